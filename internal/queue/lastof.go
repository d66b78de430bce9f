package queue

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// lastOfMost is how many subjects one lastOf takes, and a few more: the broker sends no more than 1024 messages for a
// request.
const lastOfMost = 1000

// lastOf returns the last message of each of some subjects, of those that have one, by one request. It needs no right
// to make consumers. Try it: an answer that does not come whole is an error that may be tried again.
func (c *Client) lastOf(ctx context.Context, stream string, subjects []string) ([]*jetstream.RawStreamMsg, error) {
	answer, err := jetstreamext.GetLastMsgsFor(ctx, c.js, stream, subjects)
	if err != nil {
		return nil, err
	}
	var all []*jetstream.RawStreamMsg
	pending := "" // messages that are still to come, by the last that came
	for msg, err := range answer {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages) && len(all) > 0: // one that was found could not be read
			return nil, nats.ErrTimeout
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, nil
		case errors.Is(err, jetstreamext.ErrBatchUnsupported): // what it makes of an answer that nobody gave
			return nil, nats.ErrNoResponders
		case err != nil:
			return nil, err
		}
		pending = msg.Header.Get("Nats-Num-Pending")
		all = append(all, msg)
	}
	if pending != "0" {
		return nil, nats.ErrTimeout // which the answer ends with, too
	}
	return all, nil
}
