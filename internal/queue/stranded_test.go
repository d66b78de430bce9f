package queue

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

func TestStrandedAndRepair(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	publish(t, c, Normal, plainJob(0))
	strand(t, c, Normal, "m")
	if _, err := c.PublishChunk(t.Context(), chunk(1, 6), 0); err != nil {
		t.Fatal(err)
	}
	stranded := func() []Stranding {
		t.Helper()
		got, err := c.stranded(t.Context(), layout, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff([]Stranding{{Priority: Normal, Model: "m", Consumer: "w-normal-m", Jobs: 1}}, stranded()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := c.Pause(t.Context(), Scope{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Repair(t.Context(), layout, Normal, "m"); err != nil {
			t.Fatal(err)
		}
		if got := stranded(); got != nil {
			t.Errorf("after the repair: %+v", got)
		}
	}
	info, err := c.js.Consumer(t.Context(), "JOBS", "w-normal-m")
	if err != nil {
		t.Fatal(err)
	}
	if cfg := info.CachedInfo().Config; cfg.MaxDeliver != -1 || cfg.AckWait != time.Minute || !info.CachedInfo().Paused {
		t.Errorf("the new consumer: %+v; want its AckWait and pause, and no MaxDeliver", cfg)
	}
	if _, err := c.Resume(t.Context(), Scope{}); err != nil {
		t.Fatal(err)
	}
	visible(t, c, layout)
	if got := take(t, newSource(t, c, SourceConfig{Layout: layout}), 10); len(got) != 7 {
		t.Errorf("%d jobs are delivered, want all 7", len(got))
	}
}

// A job that runs when its consumer is made anew is delivered to a second worker; whoever comes first, it has one
// result and leaves the queue.
func TestRepairWhileJobsRun(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m"}})
	layout := Layout{Models: []string{"m"}}
	publish(t, c, Normal, plainJob(7))
	source := newSource(t, c, SourceConfig{Layout: layout})
	first := fetchOne(t, source)
	if err := c.Repair(t.Context(), layout, Normal, "m"); err != nil {
		t.Fatal(err)
	}
	second := fetchOne(t, newSource(t, c, SourceConfig{Layout: layout}))
	if second.ID != first.ID {
		t.Fatalf("delivered %v", second.ID)
	}
	if stored, err := c.Record(t.Context(), result(Succeeded, 0, "second")); !stored || err != nil {
		t.Errorf("the second records: %v, %v", stored, err)
	}
	if err := second.Ack(t.Context()); err != nil {
		t.Errorf("the second acknowledges: %v", err)
	}
	if stored, err := c.Record(t.Context(), result(Succeeded, 0, "first")); stored || err != nil {
		t.Errorf("the first records: %v, %v", stored, err)
	}
	if err := first.Ack(t.Context()); err != nil && !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("the first acknowledges: %v", err)
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// Jobs that come and go while they are counted are not taken for stranded.
func TestNothingIsStrandedInABusyQueue(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{Models: []string{"m"}})
	layout := Layout{Models: []string{"m"}}
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	worker := connect(t, s, Config{})
	source := newSource(t, worker, SourceConfig{Layout: layout})
	busy.Go(func() {
		for i := int64(0); ctx.Err() == nil; i += 20 {
			if _, err := c.PublishChunk(ctx, chunk(i, 20), 0); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	busy.Go(func() {
		for ctx.Err() == nil {
			got, err := source.Fetch(ctx, 10)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			for _, d := range got {
				if err := d.Ack(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 10 {
		got, err := c.stranded(t.Context(), layout, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if got != nil {
			t.Errorf("%+v", got)
		}
	}
	stop()
	busy.Wait()
}

func TestStrandedWithoutAConsumer(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	publish(t, c, High, plainJob(0))
	layout := Layout{Models: []string{"m", "n"}}
	got, err := c.stranded(t.Context(), layout, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Stranding{{Priority: High, Model: "m", Consumer: "w-high-m", Jobs: 1, Missing: true}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := c.Repair(t.Context(), layout, High, "m"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Stranded(t.Context(), layout); err != nil || got != nil {
		t.Errorf("after the repair: %+v, %v", got, err)
	}
	for _, bad := range [][2]string{{"urgent", "m"}, {High, "a b"}, {High, ""}} {
		if err := c.Repair(t.Context(), layout, bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), "repairing") {
			t.Errorf("Repair of %q: %v", bad, err)
		}
	}
	if _, err := c.js.Consumer(t.Context(), "JOBS", "w-low-m"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("another consumer was made: %v", err)
	}
}

// losing is a JetStream that loses the answer to the first deletion of a consumer, and by the time that is noticed a
// worker has made the consumer anew.
type losing struct {
	jetstream.JetStream
	worker jetstream.ConsumerConfig
	lost   bool
}

func (l *losing) DeleteConsumer(ctx context.Context, stream, consumer string) error {
	err := l.JetStream.DeleteConsumer(ctx, stream, consumer)
	if err != nil || l.lost {
		return err
	}
	l.lost = true
	if _, err := l.CreateConsumer(ctx, stream, l.worker); err != nil {
		return err
	}
	return context.DeadlineExceeded
}

// TestRepairKeepsWhatItSaw: AckWait and pause are those of the consumer that was to be repaired, not of one that a worker
// has made in between.
func TestRepairKeepsWhatItSaw(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	fresh, err := layout.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	made := fresh.consumer(c.names, Normal, "m")
	kept := made
	kept.AckWait = 90 * time.Second
	if _, err := c.js.UpdateConsumer(t.Context(), "JOBS", kept); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	if _, err := c.Pause(t.Context(), Scope{Priorities: []string{Normal}}, until); err != nil {
		t.Fatal(err)
	}
	c.js = &losing{JetStream: c.js, worker: made}
	if err := c.Repair(t.Context(), layout, Normal, "m"); err != nil {
		t.Fatal(err)
	}
	consumer, err := c.js.Consumer(t.Context(), "JOBS", made.Durable)
	if err != nil {
		t.Fatal(err)
	}
	info := consumer.CachedInfo()
	if info.Config.AckWait != kept.AckWait || !info.Paused || info.PauseRemaining < 59*time.Minute {
		t.Errorf("AckWait %v, paused %v for %v", info.Config.AckWait, info.Paused, info.PauseRemaining)
	}
}
