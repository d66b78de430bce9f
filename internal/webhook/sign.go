package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of an event, in the form that net/http gives them.
const (
	HeaderID        = "Webhook-Id"        // the same for every attempt: receivers drop what they have seen
	HeaderTimestamp = "Webhook-Timestamp" // of the attempt, in seconds since 1970
	HeaderSignature = "Webhook-Signature" // "v1," and a signature, for each key, with spaces in between
)

// Tolerance is how far the timestamp of an event may lie from a receiver's clock: an event that somebody has recorded
// cannot be sent again much later.
const Tolerance = 5 * time.Minute

// Bounds of keys, from Standard Webhooks, in bytes.
const (
	minKey = 24
	maxKey = 64
)

// Key is what an event is signed with, by HMAC-SHA256.
type Key []byte

// keyPrefix is what a key as text begins with.
const keyPrefix = "whsec_"

// ParseKeys reads keys: whsec_ and base64, separated by commas or spaces. An event carries a signature by each, so that a
// receiver may know either while one takes the other's place. Errors do not show keys.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	for i, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' }) {
		encoded, ok := strings.CutPrefix(word, keyPrefix)
		if !ok {
			return nil, fmt.Errorf("key %d does not begin with %s", i+1, keyPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("key %d is not %s and base64", i+1, keyPrefix)
		}
		if len(key) < minKey || len(key) > maxKey {
			return nil, fmt.Errorf("key %d has %d bytes, must have %d to %d", i+1, len(key), minKey, maxKey)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Sign returns the value of Webhook-Signature for an event that is sent at a time.
func Sign(keys []Key, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		signatures[i] = version + base64.StdEncoding.EncodeToString(signature(key, id, strconv.FormatInt(at.Unix(), 10), body))
	}
	return strings.Join(signatures, " ")
}

// version is what a signature begins with that is made like this.
const version = "v1,"

// signature is the HMAC-SHA256 of "<id>.<timestamp>.<body>".
func signature(key Key, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range [][]byte{[]byte(id), {'.'}, []byte(timestamp), {'.'}, body} {
		mac.Write(part) // a hash never fails
	}
	return mac.Sum(nil)
}

// Errors of Verify.
var (
	ErrHeaders   = errors.New("a header of the webhook is missing or cannot be read")
	ErrTimestamp = errors.New("the webhook's timestamp is too far from now")
	ErrSignature = errors.New("no signature of the webhook is by a known key")
)

// Verify is what a receiver does with an event: it holds that one of the signatures is by one of the keys, and that the
// event was sent within Tolerance of now.
func Verify(keys []Key, h http.Header, body []byte, now time.Time) error {
	id, timestamp, signatures := h.Get(HeaderID), h.Get(HeaderTimestamp), h.Get(HeaderSignature)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil || signatures == "" || strconv.FormatInt(seconds, 10) != timestamp {
		return ErrHeaders
	}
	// Compared in seconds, for a difference of times has an end.
	if now := now.Unix(); seconds < now-int64(Tolerance.Seconds()) || seconds > now+int64(Tolerance.Seconds()) {
		return ErrTimestamp
	}
	for word := range strings.FieldsSeq(signatures) {
		encoded, ok := strings.CutPrefix(word, version)
		if !ok {
			continue // of another version
		}
		given, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		for _, key := range keys {
			if hmac.Equal(given, signature(key, id, timestamp, body)) {
				return nil
			}
		}
	}
	return ErrSignature
}
