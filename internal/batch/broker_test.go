package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a real nats-server with the queue set up on it.
type broker struct {
	*natsd.Server
	client *queue.Client
}

func startBroker(t *testing.T, layout queue.Layout, configure func(*server.Options)) *broker {
	t.Helper()
	s, err := natsd.Start(natsd.Options{Configure: configure})
	if err != nil {
		t.Fatalf("starting the broker: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping the broker: %v", err)
		}
	})
	b := &broker{Server: s}
	b.client = b.connect(t)
	if _, err := b.client.Setup(t.Context(), layout); err != nil {
		t.Fatalf("setting up the queue: %v", err)
	}
	return b
}

// connect returns one more client.
func (b *broker) connect(t *testing.T) *queue.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := queue.Connect(ctx, queue.Config{URL: b.URL(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatalf("connecting to the broker: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	return c
}

// port is where the broker listens.
func (b *broker) port(t *testing.T) int64 {
	t.Helper()
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(port, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// jobsStream is the JOBS stream, past the queue's own client.
func (b *broker) jobsStream(t *testing.T) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	nc, err := nats.Connect(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	return js, s
}

// stored is a message of the JOBS stream.
type stored struct {
	Subject string
	MsgID   string
	Header  nats.Header
	Body    struct {
		Index  int64  `json:"index"`
		Prompt string `json:"prompt"`
		Seed   uint64 `json:"seed"`
	}
}

// jobs reads the JOBS stream from its beginning.
func (b *broker) jobs(t *testing.T) []stored {
	t.Helper()
	js, s := b.jobsStream(t)
	state := s.CachedInfo().State
	var all []stored
	for next := state.FirstSeq; next <= state.LastSeq && state.Msgs > 0; {
		messages, err := jetstreamext.GetBatch(t.Context(), js, "JOBS", 1000, jetstreamext.GetBatchSeq(next))
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range messages {
			if err != nil {
				t.Fatal(err)
			}
			one := stored{Subject: m.Subject, MsgID: m.Header.Get("Nats-Msg-Id"), Header: m.Header}
			if err := json.Unmarshal(m.Data, &one.Body); err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
			next = m.Sequence + 1
		}
	}
	return all
}

// wantJobs checks that the stream holds jobs 0..n-1 of a batch, each once and in order.
func (b *broker) wantJobs(t *testing.T, batch string, n int) []stored {
	t.Helper()
	all := b.jobs(t)
	for i, m := range all {
		if want := fmt.Sprintf("%s/%d", batch, i); m.MsgID != want || m.Body.Index != int64(i) {
			t.Fatalf("message %d is job %s with index %d in its body, want %s", i, m.MsgID, m.Body.Index, want)
		}
	}
	if len(all) != n {
		t.Fatalf("%d jobs in the queue, want %d", len(all), n)
	}
	return all
}

// wantRecord checks what the batch's record says of its progress.
func (b *broker) wantRecord(t *testing.T, batch, state string, cursor, total int64) {
	t.Helper()
	r, err := b.client.GetBatch(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if r.State != state || r.Cursor != cursor || r.Total != total {
		t.Errorf("record of %s: %s, %d of %d; want %s, %d of %d", batch, r.State, r.Cursor, r.Total, state, cursor, total)
	}
}

// purge takes every job out of the queue, as workers that are done with them.
func (b *broker) purge(t *testing.T) {
	t.Helper()
	_, s := b.jobsStream(t)
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
}
