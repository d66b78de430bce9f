package queue

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Identity is what makes a job this job. It comes from the message's subject (the batch) and its Nats-Msg-Id
// (index and retry), so that it is known of a job whose body cannot be read.
type Identity struct {
	Batch string // [A-Za-z0-9_-]{1,64}
	Index int64  // from 0
	Retry int    // 0, and one higher each time the job is put back by hand
}

// String returns <batch>/<index>, which is the same for every retry.
func (id Identity) String() string {
	return id.Batch + "/" + strconv.FormatInt(id.Index, 10)
}

// MsgID returns the Nats-Msg-Id: <batch>/<index>, from retry 1 on <batch>/<index>#<retry>, because the broker
// swallows an id that it has seen within its dedupe window.
func (id Identity) MsgID() string {
	if id.Retry == 0 {
		return id.String()
	}
	return id.String() + "#" + strconv.Itoa(id.Retry)
}

// validate returns an *InvalidError for an identity that no subject or Nats-Msg-Id can carry.
func (id Identity) validate() error {
	switch {
	case !validBatch(id.Batch):
		return &InvalidError{"batch_id", fmt.Sprintf("must be 1 to 64 of A-Z a-z 0-9 _ -, is %s", quote(id.Batch))}
	case id.Index < 0:
		return &InvalidError{"index", fmt.Sprintf("must be 0 or more, is %d", id.Index)}
	case id.Retry < 0 || id.Retry > math.MaxInt32:
		return &InvalidError{"retry", fmt.Sprintf("must be from 0 to %d, is %d", math.MaxInt32, id.Retry)}
	}
	return nil
}

// parseIdentity reads the identity of a job in a batch, the last token of its subject, from its Nats-Msg-Id.
// Only the form that MsgID writes is taken, so that one job has one id. Errors are *InvalidError.
func parseIdentity(batch, msgID string) (Identity, error) {
	id := Identity{Batch: batch}
	if err := id.validate(); err != nil {
		return Identity{}, err
	}
	if msgID == "" {
		return Identity{}, &InvalidError{"Nats-Msg-Id", "is missing; it must be <batch>/<index>"}
	}
	malformed := &InvalidError{"Nats-Msg-Id", fmt.Sprintf("must be %s/<index> or %s/<index>#<retry>, is %s", batch, batch, quote(msgID))}
	rest, ok := strings.CutPrefix(msgID, batch+"/")
	if !ok {
		return Identity{}, malformed
	}
	index, retry, retried := strings.Cut(rest, "#")
	var err error
	if id.Index, err = strconv.ParseInt(index, 10, 64); err != nil {
		return Identity{}, malformed
	}
	if retried {
		r, err := strconv.ParseInt(retry, 10, 32)
		if err != nil || r < 1 {
			return Identity{}, malformed
		}
		id.Retry = int(r)
	}
	if id.validate() != nil || id.MsgID() != msgID {
		return Identity{}, malformed // a sign, a leading zero
	}
	return id, nil
}

// validBatch reports whether s is a batch id: [A-Za-z0-9_-]{1,64}.
func validBatch(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && strings.Trim(s, wordChars+"-") == ""
}

// validModel reports whether s is a model name: [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
func validModel(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && strings.Trim(s, wordChars+".-") == "" && !strings.ContainsRune("._-", rune(s[0]))
}

// wordChars are the characters of a word in names: letters, digits and the underscore.
const wordChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
