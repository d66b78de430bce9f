package queue

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// forgetful gives JOBS the shortest dedupe window there is, so that what is published again a moment later is new to
// the broker.
func forgetful(t *testing.T, c *Client) time.Duration {
	t.Helper()
	s, err := c.js.Stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	if _, err := c.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg.Duplicates
}

// everStored is how many messages were ever stored in JOBS.
func everStored(t *testing.T, c *Client) uint64 {
	t.Helper()
	s, err := c.js.Stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

// finish records a success of jobs from..to-1 of batch b, published as sequences in the order of their indexes from
// 1, and takes their messages out of the queue.
func finish(t *testing.T, c *Client, from, to int64) {
	t.Helper()
	s, err := c.stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < to; i++ {
		record(t, c, "b", i, 0)
		if err := s.DeleteMsg(t.Context(), uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResumeChunk(t *testing.T) {
	t.Parallel()
	mixed := func(from int64, n int) []Message {
		all := chunk(from, n)
		for i := range all {
			all[i].Priority = Priorities()[i%3]
			all[i].Job.Model = []string{"m", "n"}[i%2]
		}
		return all
	}
	tests := []struct {
		name  string
		chunk func(from int64, n int) []Message
		from  int64                         // of the 6 jobs that are resumed
		work  func(t *testing.T, c *Client) // after jobs 0 to 9 were published, 4 to 9 in one chunk
		want  Ack
		total uint64 // ever stored
	}{
		{"all wait", chunk, 4, func(*testing.T, *Client) {}, Ack{10, true}, 10},
		{"some are done", chunk, 4, func(t *testing.T, c *Client) { finish(t, c, 0, 7) }, Ack{10, true}, 10},
		{"the last are done", chunk, 4, func(t *testing.T, c *Client) { finish(t, c, 5, 10) }, Ack{10, true}, 10},
		{"all are done", chunk, 4, func(t *testing.T, c *Client) { finish(t, c, 0, 10) }, Ack{0, true}, 10},
		{"of several models and priorities", mixed, 4, func(t *testing.T, c *Client) { finish(t, c, 3, 6) }, Ack{10, true}, 10},
		{"retried since", chunk, 4, func(t *testing.T, c *Client) {
			finish(t, c, 0, 10)
			j := plainJob(4)
			j.Retry = 1
			publish(t, c, High, j)
		}, Ack{0, true}, 11},
		{"never published", chunk, 10, func(t *testing.T, c *Client) {
			finish(t, c, 0, 3)
		}, Ack{16, false}, 16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, c := newQueue(t, Layout{})
			window := forgetful(t, c)
			if _, err := c.PublishChunk(t.Context(), chunk(0, 4), 0); err != nil {
				t.Fatal(err)
			}
			if _, err := c.PublishChunk(t.Context(), tt.chunk(4, 6), 4); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * window)
			tt.work(t, c)
			for range 2 {
				if ack, err := c.ResumeChunk(t.Context(), tt.chunk(tt.from, 6), 4); err != nil || ack != tt.want {
					t.Errorf("%+v, %v; want %+v", ack, err, tt.want)
				}
				tt.want.Duplicate = true
			}
			if n := everStored(t, c); n != tt.total {
				t.Errorf("%d messages were stored, want %d", n, tt.total)
			}
		})
	}
}

// A chunk that is resumed without a hint where to look is found behind others.
func TestChunkStoredBehindOthers(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	for from := range int64(3) {
		if _, err := c.PublishChunk(t.Context(), chunk(10*from, 10), 0); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range []Ack{{10, true}, {20, true}, {30, true}} {
		if ack, found, err := c.ChunkStored(t.Context(), chunk(int64(10*from), 10), 0); !found || err != nil || ack != want {
			t.Errorf("chunk %d: %+v, %v, %v; want %+v", from, ack, found, err, want)
		}
	}
	if _, found, err := c.ChunkStored(t.Context(), chunk(30, 10), 0); found || err != nil {
		t.Errorf("a chunk that was not published: %v, %v", found, err)
	}
	if _, _, err := c.ChunkStored(t.Context(), nil, 0); err == nil {
		t.Error("an empty chunk was looked for")
	}
}

// lostAnswer is a publish that is stored, and whose answer comes when the broker has forgotten its id.
func lostAnswer(t *testing.T, window time.Duration, publish func(context.Context) error) (op func(context.Context) error, tries *int) {
	t.Helper()
	tries = new(int)
	return func(ctx context.Context) error {
		*tries++
		if err := publish(ctx); err != nil {
			t.Errorf("publishing: %v", err)
		}
		time.Sleep(2 * window)
		return nats.ErrTimeout
	}, tries
}

func TestPublishLooksBeforeALateTry(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	window := forgetful(t, c)
	id := Identity{Batch: "b", Index: 7}
	for _, done := range []bool{false, true} {
		msg, err := c.message(Message{Normal, plainJob(7), nil})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		op, tries := lostAnswer(t, window, func(ctx context.Context) error {
			_, err := c.js.PublishMsg(ctx, msg)
			if done {
				record(t, c, "b", 7, 0)
				s, streamErr := c.stream(ctx, "JOBS")
				if streamErr != nil {
					return streamErr
				}
				return s.Purge(ctx)
			}
			return err
		})
		err = c.publishOnce(t.Context(), "publishing", op, func() (_ bool, err error) {
			_, found, err = c.jobStored(t.Context(), msg.Subject, id, 0)
			return found, err
		})
		if err != nil || !found || *tries != 1 {
			t.Errorf("done %v: found %v after %d tries, %v; want it found after one", done, found, *tries, err)
		}
	}
}

// What was not stored is published when the broker answers, however late.
func TestPublishTriesAgainLate(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	window := forgetful(t, c)
	tries := 0
	err := c.publishOnce(t.Context(), "publishing", func(context.Context) error {
		if tries++; tries < 4 {
			time.Sleep(window)
			return nats.ErrTimeout
		}
		return nil
	}, func() (bool, error) {
		_, found, err := c.jobStored(t.Context(), "jobs.normal.m.b", Identity{Batch: "b"}, 0)
		return found, err
	})
	if err != nil || tries != 4 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// A message of JOBS that has no Nats-Msg-Id, or another's, is not taken for a job.
func TestJobStoredAmongOthers(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	for _, id := range []string{"", "b/8", "b/7", "b/7#1", "b/70", ""} {
		if _, err := c.js.PublishMsg(t.Context(), natsMsg("jobs.low.m.b", id, "{}")); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		id   Identity
		want uint64
	}{{Identity{"b", 7, 0}, 3}, {Identity{"b", 7, 1}, 4}, {Identity{"b", 9, 0}, 0}} {
		if seq, found, err := c.jobStored(t.Context(), "jobs.low.m.b", tt.id, 0); err != nil || seq != tt.want || found != (tt.want > 0) {
			t.Errorf("%s: %d, %v, %v; want %d", tt.id.MsgID(), seq, found, err, tt.want)
		}
	}
}
