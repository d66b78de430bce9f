package webhook

import (
	"encoding/base64"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// key is one for tests.
func key(t testing.TB, seed byte) Key {
	t.Helper()
	keys, err := ParseKeys(keyText(seed))
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}

func keyText(seed byte) string {
	return keyPrefix + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+seed)), 32)))
}

// TestSignIsThatOfStandardWebhooks compares with the example of the specification's own libraries.
func TestSignIsThatOfStandardWebhooks(t *testing.T) {
	keys, err := ParseKeys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("the signature is %s, want %s", got, want)
	}
}

func TestParseKeys(t *testing.T) {
	long := keyPrefix + base64.StdEncoding.EncodeToString(make([]byte, 65))
	for _, tt := range []struct {
		text string
		n    int
		err  string
	}{
		{"", 0, ""},
		{keyText(1), 1, ""},
		{" " + keyText(1) + ",\n" + keyText(2) + " ", 2, ""},
		{"hunter2", 0, "key 1 does not begin with whsec_"},
		{keyText(1) + ",whsec_hunter2!", 0, "key 2 is not"},
		{"whsec_aHVudGVyMg==", 0, "key 1 has 7 bytes, must have 24 to 64"},
		{long, 0, "has 65 bytes"},
	} {
		keys, err := ParseKeys(tt.text)
		if len(keys) != tt.n && tt.err == "" || (err == nil) != (tt.err == "") {
			t.Errorf("ParseKeys(%q): %d keys, %v", tt.text, len(keys), err)
		}
		if err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVudGVyMg")) {
			t.Errorf("ParseKeys(%q): %v, want %q and no key", tt.text, err, tt.err)
		}
	}
}

// signed is an event's header.
func signed(keys []Key, id string, at time.Time, body []byte) http.Header {
	h := http.Header{}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(HeaderSignature, Sign(keys, id, at, body))
	return h
}

func TestVerify(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	old, next := key(t, 1), key(t, 2)
	body := []byte(`{"status":"succeeded"}`)
	with := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	for _, tt := range []struct {
		name   string
		signer []Key
		known  []Key
		at     time.Time
		change func(http.Header)
		body   string
		want   error
	}{
		{"well", []Key{old}, []Key{old}, now, nil, "", nil},
		{"the receiver has the new key alone", []Key{old, next}, []Key{next}, now, nil, "", nil},
		{"the receiver has the old key alone", []Key{old, next}, []Key{old}, now, nil, "", nil},
		{"the receiver has both", []Key{next}, []Key{old, next}, now, nil, "", nil},
		{"another key", []Key{old}, []Key{next}, now, nil, "", ErrSignature},
		{"no key", []Key{old}, nil, now, nil, "", ErrSignature},
		{"late within the tolerance", []Key{old}, []Key{old}, now.Add(-Tolerance), nil, "", nil},
		{"too late", []Key{old}, []Key{old}, now.Add(-Tolerance - time.Second), nil, "", ErrTimestamp},
		{"from the future", []Key{old}, []Key{old}, now.Add(Tolerance + time.Second), nil, "", ErrTimestamp},
		{"the end of time", []Key{old}, []Key{old}, now, with(HeaderTimestamp, strconv.FormatInt(math.MinInt64, 10)), "", ErrTimestamp},
		{"another body", []Key{old}, []Key{old}, now, nil, `{"status":"failed"}`, ErrSignature},
		{"another id", []Key{old}, []Key{old}, now, with(HeaderID, "b/8"), "", ErrSignature},
		{"another time", []Key{old}, []Key{old}, now, with(HeaderTimestamp, "1800000001"), "", ErrSignature},
		{"a time that is written otherwise", []Key{old}, []Key{old}, now, with(HeaderTimestamp, "+1800000000"), "", ErrHeaders},
		{"no time", []Key{old}, []Key{old}, now, with(HeaderTimestamp, ""), "", ErrHeaders},
		{"no id", []Key{old}, []Key{old}, now, with(HeaderID, ""), "", ErrHeaders},
		{"no signature", []Key{old}, []Key{old}, now, with(HeaderSignature, ""), "", ErrHeaders},
		{"signatures of other versions", []Key{old}, []Key{old}, now, with(HeaderSignature, "v1a,AAAA v2,AAAA v1 v1,* ,"), "", ErrSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := signed(tt.signer, "b/7", tt.at, body)
			if tt.change != nil {
				tt.change(h)
			}
			sent := body
			if tt.body != "" {
				sent = []byte(tt.body)
			}
			if err := Verify(tt.known, h, sent, now); !errors.Is(err, tt.want) {
				t.Errorf("Verify: %v, want %v", err, tt.want)
			}
		})
	}
}

// FuzzVerify holds that nothing verifies but what was signed.
func FuzzVerify(f *testing.F) {
	k := key(f, 1)
	now := time.Unix(1_800_000_000, 0)
	h := signed([]Key{k}, "b/7", now, []byte("{}"))
	f.Add(h.Get(HeaderID), h.Get(HeaderTimestamp), h.Get(HeaderSignature), []byte("{}"))
	f.Add("b/7", "1800000000", "v1,AAAA v1,", []byte("{}"))
	f.Add("b/7.1", "800000000", h.Get(HeaderSignature), []byte("{}"))
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		given := http.Header{}
		given.Set(HeaderID, id)
		given.Set(HeaderTimestamp, timestamp)
		given.Set(HeaderSignature, signatures)
		err := Verify([]Key{k}, given, body, now)
		made := "v1," + base64.StdEncoding.EncodeToString(signature(k, id, timestamp, body))
		var has bool
		for word := range strings.FieldsSeq(signatures) {
			// Base64 has several forms of the last letter, and decoders skip line breaks: compare what it says.
			raw, decodeErr := base64.StdEncoding.DecodeString(strings.TrimPrefix(word, "v1,"))
			has = has || strings.HasPrefix(word, "v1,") && decodeErr == nil && "v1,"+base64.StdEncoding.EncodeToString(raw) == made
		}
		if err == nil && !has {
			t.Errorf("%q %q %q verifies", id, timestamp, signatures)
		}
	})
}
