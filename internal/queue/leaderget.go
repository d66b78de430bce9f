package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// messageAt names a message of a stream; the fields are those of the request.
type messageAt struct {
	Sequence uint64 `json:"seq,omitempty"`          // the first at or above it
	Next     string `json:"next_by_subj,omitempty"` // on the subjects that this matches
	Last     string `json:"last_by_subj,omitempty"` // or the last on those
}

// leaderGet asks the leader of a stream for a message, and returns nil if there is none. What nats.go has asks any
// replica, and one that lags does not know yet what was just stored: good enough where a mistake costs time, and not
// where it costs a job.
func (c *Client) leaderGet(ctx context.Context, stream string, at messageAt) (*jetstream.RawStreamMsg, error) {
	var msg *jetstream.RawStreamMsg
	err := c.try(ctx, "reading stream "+stream, func(ctx context.Context) (err error) {
		msg, err = c.askLeader(ctx, stream, at)
		return err
	})
	return msg, err
}

// askLeader is one try of leaderGet.
func (c *Client) askLeader(ctx context.Context, stream string, at messageAt) (*jetstream.RawStreamMsg, error) {
	request, err := json.Marshal(at)
	if err != nil {
		return nil, err
	}
	reply, err := c.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("the broker's answer: %w", err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == codeNoMessage:
		return nil, nil //nolint:nilnil // there is no message
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Message == nil:
		return nil, jetstream.ErrInvalidJetStreamResponse
	}
	m := answer.Message
	msg := &jetstream.RawStreamMsg{Subject: m.Subject, Sequence: m.Sequence, Data: m.Data, Time: m.Time}
	if len(m.Header) > 0 {
		if msg.Header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, fmt.Errorf("the message at sequence %d: %w", m.Sequence, err)
		}
	}
	return msg, nil
}

// leaderEntry is one try to read an entry of a bucket from its leader; nil if it is not there, or was deleted.
func (c *Client) leaderEntry(ctx context.Context, bucket, key string) (*jetstream.RawStreamMsg, error) {
	entry, err := c.askLeader(ctx, "KV_"+bucket, messageAt{Last: "$KV." + bucket + "." + key})
	if err != nil || entry == nil || entry.Header.Get("KV-Operation") != "" {
		return nil, err
	}
	return entry, nil
}
