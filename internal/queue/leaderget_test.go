package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestLeaderGet(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	msg := natsMsg("jobs.low.m.b", "b/1", "{}")
	msg.Header.Set("X-Mine", "kept")
	for _, m := range []*nats.Msg{msg, {Subject: "jobs.low.m.c", Data: []byte{0, 0xff}}} {
		if _, err := c.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	first := &jetstream.RawStreamMsg{Subject: "jobs.low.m.b", Sequence: 1, Header: nats.Header{"Nats-Msg-Id": {"b/1"}, "X-Mine": {"kept"}}, Data: []byte("{}")}
	second := &jetstream.RawStreamMsg{Subject: "jobs.low.m.c", Sequence: 2, Data: []byte{0, 0xff}}
	for _, tt := range []struct {
		at   messageAt
		want *jetstream.RawStreamMsg
	}{
		{messageAt{Last: "jobs.low.m.b"}, first},
		{messageAt{Last: "jobs.>"}, second},
		{messageAt{Last: "jobs.high.m.b"}, nil},
		{messageAt{Sequence: 1, Next: "jobs.*.*.b"}, first},
		{messageAt{Sequence: 2, Next: "jobs.*.*.b"}, nil},
		{messageAt{Sequence: 2, Next: "jobs.>"}, second},
		{messageAt{Sequence: 2}, second},
		{messageAt{Sequence: 3}, nil},
	} {
		got, err := c.leaderGet(t.Context(), "JOBS", tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got != nil {
			if age := time.Since(got.Time); age < -time.Second || age > time.Minute {
				t.Errorf("%+v: stored at %v", tt.at, got.Time)
			}
			got.Time = time.Time{}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.at, diff)
		}
	}
}

func TestLeaderGetOfNoStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.leaderGet(t.Context(), "JOBS", messageAt{Last: "jobs.>"}); !errors.Is(err, ErrMissing) {
		t.Errorf("%v, want ErrMissing", err)
	}
}
