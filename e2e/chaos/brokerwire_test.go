package main

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// TestEdgesOfTheBroker: a job's way through a real broker is seen at each edge, and a trap there kills the worker with
// its last word sent or not, its last answer read or not.
func TestEdgesOfTheBroker(t *testing.T) {
	q := newQueue(t)
	for _, tt := range []struct {
		at       edge
		steps    int    // of the job that the worker has done, as it knows
		heard    int    // announcements that came through
		recorded uint64 // records and jobs that the broker has
		left     uint64
	}{
		{at: edgeFetched, left: 1}, {at: edgeStep, steps: 2, left: 1}, {at: edgeRecorded, steps: 2, heard: 1, recorded: 1, left: 1},
		{at: edgeAck, steps: 3, heard: 1, recorded: 1, left: 1}, {at: edgeAcked, steps: 3, heard: 1, recorded: 1},
	} {
		q.empty(t)
		e, w := newEdges(), sleeper(t)
		wire, err := newBrokerWire(q.addr, w, e, w.stall)
		if err != nil {
			t.Fatal(err)
		}
		heard := q.listen(t, "progress.>")
		trap := e.lay(tt.at, fault{Kind: killAck}, nil)
		steps := work(t, wire.addr())
		<-trap.sprung
		awaitDeath(t, w.current())
		wire.stop()
		if err := q.js.Conn().Flush(); err != nil {
			t.Fatal(err)
		}
		announced, _, err := heard.Pending()
		if err != nil || steps != tt.steps || announced != tt.heard {
			t.Errorf("%s: the worker came to step %d and announced %d times (%v), want %d and %d", tt.at, steps, announced, err, tt.steps, tt.heard)
		}
		if recorded, left := q.messages(t, "RESULTS"), q.messages(t, "JOBS"); recorded != tt.recorded || left != tt.left {
			t.Errorf("%s: the broker has %d records and %d jobs, want %d and %d", tt.at, recorded, left, tt.recorded, tt.left)
		}
	}
}

// TestStallAndReset: what is sent during a stall arrives after it; a reset ends the connection.
func TestStallAndReset(t *testing.T) {
	q := newQueue(t)
	w := sleeper(t)
	wire, err := newBrokerWire(q.addr, w, newEdges(), w.stall)
	if err != nil {
		t.Fatal(err)
	}
	defer wire.stop()
	lost := make(chan error, 1)
	nc, err := nats.Connect("nats://"+wire.addr(), nats.NoReconnect(), nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { lost <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	heard := q.listen(t, "late")
	open := w.stall.close()
	if err := nc.Publish("late", nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(100 * time.Millisecond); err == nil {
		t.Error("a flush came through a stall")
	}
	if n, _, err := heard.Pending(); err != nil || n > 0 {
		t.Errorf("%d messages came through a stall (%v)", n, err)
	}
	open()
	if _, err := heard.NextMsg(10 * time.Second); err != nil {
		t.Errorf("after the stall: %v", err)
	}
	wire.reset()
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Error("the connection lives through a reset")
	}
}

// queue is a broker with a stream of jobs and one of records, and a client that no proxy stands before.
type queue struct {
	addr string
	js   jetstream.JetStream
}

func newQueue(t *testing.T) queue {
	t.Helper()
	broker, err := natsd.Start(natsd.Options{Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	})
	q := queue{broker.Addr(), dial(t, broker.Addr())}
	_, err = q.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs.>"}, Retention: jetstream.WorkQueuePolicy})
	if err == nil {
		_, err = q.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "RESULTS", Subjects: []string{"results.>"}})
	}
	if err == nil {
		_, err = q.js.CreateConsumer(t.Context(), "JOBS", jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour})
	}
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// listen hears a subject from now on.
func (q queue) listen(t *testing.T, subject string) *nats.Subscription {
	t.Helper()
	sub, err := q.js.Conn().SubscribeSync(subject)
	if err == nil {
		err = q.js.Conn().Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Unsubscribe() })
	return sub
}

// empty leaves one job in the queue.
func (q queue) empty(t *testing.T) {
	t.Helper()
	for _, name := range []string{"JOBS", "RESULTS"} {
		s, err := q.js.Stream(t.Context(), name)
		if err == nil {
			err = s.Purge(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.js.Publish(t.Context(), "jobs.high.m.b", []byte("{}")); err != nil {
		t.Fatal(err)
	}
}

func (q queue) messages(t *testing.T, stream string) uint64 {
	t.Helper()
	s, err := q.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// work does a job as a worker does, until it is cut off, and returns how many steps it knows to be done.
func work(t *testing.T, addr string) (steps int) {
	t.Helper()
	js := dial(t, addr)
	defer js.Conn().Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var job jetstream.Msg
	for _, step := range []func() error{
		func() error {
			c, err := js.Consumer(ctx, "JOBS", "workers")
			if err != nil {
				return err
			}
			job, err = c.Next(jetstream.FetchMaxWait(time.Second))
			return err
		},
		func() error { return js.Conn().Publish("progress.b.0", []byte("{}")) },
		func() error {
			_, err := js.Publish(ctx, "results.b.0", []byte("{}"))
			return err
		},
		func() error { return job.DoubleAck(ctx) },
	} {
		if step() != nil {
			break
		}
		steps++
	}
	return steps
}

func dial(t *testing.T, addr string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("nats://"+addr, nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
