package queue

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// natsMsg is a message as any publisher may make it.
func natsMsg(subject, msgID, body string) *nats.Msg {
	msg := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: []byte(body)}
	if msgID != "" {
		msg.Header.Set("Nats-Msg-Id", msgID)
	}
	return msg
}

func TestMessagesThatAreNoJobs(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"a.b"}})
	source := newSource(t, c, SourceConfig{Layout: Layout{Models: []string{"a.b"}}})
	tests := []struct {
		name, subject, msgID, body string
		hasID                      bool
		field                      string // of an InvalidError
	}{
		{"no id", "jobs.low.a_b.x", "", `{"model":"a.b"}`, false, "Nats-Msg-Id"},
		{"id of another batch", "jobs.low.a_b.x", "y/1", `{"model":"a.b"}`, false, "Nats-Msg-Id"},
		{"bad batch", "jobs.low.a_b.x$y", "x$y/1", `{"model":"a.b"}`, false, "batch_id"},
		{"empty body", "jobs.low.a_b.x", "x/1", "", true, "body"},
		{"binary body", "jobs.low.a_b.x", "x/2", "\x00\xff", true, "body"},
		{"model of other subjects", "jobs.low.a_b.x", "x/3", `{"model":"c"}`, true, "model"},
		{"model of the same subjects", "jobs.low.a_b.x", "x/4", `{"model":"a_b"}`, true, "model"},
		{"newer", "jobs.low.a_b.x", "x/5", `{"version":9,"model":"?"}`, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := c.js.PublishMsg(t.Context(), natsMsg(tt.subject, tt.msgID, tt.body)); err != nil {
				t.Fatal(err)
			}
			d := fetchOne(t, source)
			if d.HasID != tt.hasID || d.HasID && d.ID.MsgID() != tt.msgID {
				t.Errorf("identity %v, %v", d.ID, d.HasID)
			}
			if tt.field != "" {
				wantInvalid(t, d.Err, tt.field, "")
			} else if !errors.Is(d.Err, ErrNewerVersion) {
				t.Errorf("error %v", d.Err)
			}
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
