package page

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// says reports whether a state tells of a problem in these words, with what to do about it.
func says(words string) func(*web.State) bool {
	return func(st *web.State) bool {
		for _, p := range st.Problems {
			if strings.Contains(p.What, words) && p.Mend != "" && !p.Since.IsZero() {
				return true
			}
		}
		return false
	}
}

func well(st *web.State) bool { return len(st.Problems) == 0 }

// TestBrokerAway holds that a broker that goes is told within seconds, keeps what is known on the page, and is gone on
// with when it is back.
func TestBrokerAway(t *testing.T) {
	w := newWorld(t)
	w.until("the model", func(st *web.State) bool { return len(st.Models) == 1 })
	if _, err := (Orders{System: w.System}).Submit(t.Context(), order("monday")); err != nil {
		t.Fatal(err)
	}
	w.announce(queue.WorkerReady)
	w.until("the batch", func(st *web.State) bool { return len(st.Batches) == 1 && len(st.Workers) == 1 && well(st) })
	w.broker.Suspend()
	gone := time.Now()
	st := w.until("the broker that is away", says("the broker at 127.0.0.1:"))
	if took := time.Since(gone); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if len(st.Batches) != 1 || len(st.Workers) != 1 || st.Workers[0].Gone || len(st.Problems) != 1 {
		t.Errorf("what was known is not on the page any more: %+v", st)
	}
	for name, ask := range map[string]func() error{
		"images": func() error { _, err := w.Images(t.Context(), web.ImageQuery{Order: web.Newest, Limit: 1}); return err },
		"job":    func() error { _, err := w.Job(t.Context(), "monday", 0); return err },
		"dead":   func() error { _, err := w.Dead(t.Context(), 0, 1); return err },
		"order":  func() error { _, err := (Orders{System: w.System}).Submit(t.Context(), order("tuesday")); return err },
		"cancel": func() error { _, err := (Controls{w.System}).Cancel(t.Context(), "monday", -1); return err },
	} {
		if err := ask(); statusOf(t, err) != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "NATS_URL") {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, w.broker.Resume())
	w.until("the broker that is back", func(st *web.State) bool { return !says("the broker")(st) })
	w.work(6, nil)
	w.until("the pictures", func(st *web.State) bool { return len(st.Batches) == 1 && st.Batches[0].Succeeded == 6 })
}

// TestBrokerAwayAtFirst holds that a page that starts before its broker says so, and finds it.
func TestBrokerAwayAtFirst(t *testing.T) {
	w := newWorld(t)
	w.broker.Suspend()
	late := New(w.cfg)
	late.pace = w.pace
	w.System = late
	w.run(late)
	w.until("the broker that is away", says("does not answer"))
	if _, err := w.Batch(t.Context(), "monday"); statusOf(t, err) != http.StatusServiceUnavailable {
		t.Errorf("batch: %v", err)
	}
	must(t, w.broker.Resume())
	w.until("the broker", func(st *web.State) bool { return well(st) && len(st.Models) == 1 })
}

func TestSettingsThatCannotWork(t *testing.T) {
	s := New(Config{Queue: queue.Config{URL: "http://nowhere"}})
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "NATS_URL") {
		t.Errorf("%v, want an error that names NATS_URL", err)
	}
}

// TestStoreAway holds the same for the store.
func TestStoreAway(t *testing.T) {
	w := newWorld(t)
	w.until("the model", func(st *web.State) bool { return len(st.Models) == 1 })
	if _, err := (Orders{System: w.System}).Submit(t.Context(), order("monday")); err != nil {
		t.Fatal(err)
	}
	w.work(6, nil)
	key := w.landed(0, 6)[0].Key
	w.announce(queue.WorkerReady)
	w.until("no problem", well)
	must(t, w.store.Suspend())
	w.until("the store that is away", says("the store cannot be read"))
	if _, err := w.Open(t.Context(), key); statusOf(t, err) != http.StatusBadGateway || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL_S3") {
		t.Errorf("a picture: %v", err)
	}
	if p, err := w.Images(t.Context(), web.ImageQuery{Batch: "monday", Limit: 10}); err != nil || len(p.Images) != 6 {
		t.Errorf("the list: %+v, %v", p, err)
	}
	if d, err := w.Job(t.Context(), "monday", 0); err != nil || !strings.Contains(string(d.Ledger), "the picture was not read") {
		t.Errorf("the details: %s, %v", d.Ledger, err)
	}
	must(t, w.store.Resume())
	w.until("the store that is back", func(st *web.State) bool { return !says("the store")(st) })
	body, err := w.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	must(t, body.Close())
}

// TestProblems holds when each problem is told, and when it ends.
func TestProblems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Queue: queue.Config{URL: "nats://user:secret@b1:4222, b2"}})
		f := &s.facts
		f.models = []queue.Model{{Name: "m"}}
		whats := func(after time.Duration) []string {
			time.Sleep(after)
			all := []string{}
			for _, p := range s.assemble(time.Now()).Problems {
				if p.Mend == "" || p.Since.After(time.Now()) || strings.Contains(p.What+p.Mend, "secret") {
					t.Errorf("problem %+v", p)
				}
				all = append(all, p.What)
			}
			return all
		}
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			if diff := cmp.Diff(append([]string{}, want...), whats(after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		expect(0)
		expect(2*time.Second, "the broker at b1:4222, an address that cannot be read does not answer")
		f.brokerRefused(fmt.Errorf("connecting: %w", queue.ErrDenied))
		expect(0, "the broker at b1:4222, an address that cannot be read cannot be used: connecting: the broker refused the connection; check NATS_CREDS, NATS_NKEY and NATS_CA")
		f.broker, f.steady = trouble{}, time.Now()
		expect(0)

		f.depths = []queue.Depth{{Priority: queue.Low, Model: "m", Waiting: 2}}
		expect(0)
		expect(4 * time.Second)
		expect(2*time.Second, "jobs wait for the model m, and no worker that serves it is heard")
		hear := func(state string) {
			f.heard(queue.Status{Worker: "w", State: state, Models: []string{"m"}, Jobs: 1}, time.Now())
		}
		hear(queue.WorkerReady)
		expect(0)
		hear(queue.WorkerHolding)
		expect(0, "worker w cannot reach the store: it keeps what it has drawn, and fetches nothing")
		hear(queue.WorkerReady)
		expect(5 * time.Second)
		expect(2*time.Second, "worker w has gone silent; it held 1 job")
		expect(6*time.Second, "worker w has gone silent; it held 1 job", "jobs wait for the model m, and no worker that serves it is heard")
		f.depths[0].PausedUntil = time.Now().Add(time.Hour)
		expect(0, "worker w has gone silent; it held 1 job")
		hear(queue.WorkerDraining) // one that says that it leaves is not missed
		expect(8 * time.Second)
		expect(8 * time.Second)
		if n := len(s.assemble(time.Now()).Workers); n != 0 {
			t.Errorf("%d workers are shown after all have left", n)
		}
		hear(queue.WorkerReady)
		// While the broker is away nobody is heard, and that says nothing of workers.
		f.broker, f.steady = trouble{errConnecting, time.Now()}, time.Time{}
		expect(time.Minute, "the broker at b1:4222, an address that cannot be read does not answer")
		f.broker, f.steady = trouble{}, time.Now()
		expect(time.Second)
		expect(6*time.Second, "worker w has gone silent; it held 1 job")
		expect(5 * time.Minute)

		f.stranded = []queue.Stranding{{Model: "m", Consumer: "w-low-m", Jobs: 2}, {Model: "m", Consumer: "w-high-m", Jobs: 1, Missing: true}}
		expect(0, "2 jobs of m are stranded: consumer w-low-m does not deliver them any more", "1 job of m is stranded: consumer w-high-m is missing")
		f.stranded = nil
		f.reading(100)
		expect(0)
		expect(3*time.Second, "the results that are stored are still being read: counts grow until that is done")
		f.add(queue.Followed{Result: queue.Result{BatchID: "b"}, Sequence: 100})
		f.storeIs(&upload.Error{Doing: "looking up", Target: "s3://b/k", Reason: "no answer from s3: is the store up, and AWS_ENDPOINT_URL_S3 right?"})
		expect(0, "the store cannot be read: no answer from s3: is the store up, and AWS_ENDPOINT_URL_S3 right?")
		f.storeIs(nil)
		f.couldNot(fmt.Errorf("the batches: no stream"))
		expect(0)
		expect(2*time.Second, "the queue cannot be read: the batches: no stream")
		f.couldNot(nil)
		f.unreadable(fmt.Errorf("no right"))
		expect(2*time.Second, "the queue cannot be read: no right")
	})
}

// TestBatchCounts holds where counts come from.
func TestBatchCounts(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	some := func(statuses ...string) *tally {
		tl := &tally{}
		for i, s := range statuses {
			r := queue.Result{BatchID: "b", Index: int64(i), Status: s}
			switch s {
			case queue.Succeeded:
				r.Image = &queue.Image{Bucket: "images"}
			case queue.Failed:
				r.Error = &queue.ResultError{Type: queue.TypeInvalidJob}
			}
			tl.add(queue.Followed{Result: r, Stored: now.Add(time.Duration(i-len(statuses)) * time.Second)})
		}
		return tl
	}
	kept := &queue.Summary{Succeeded: 9, Expired: 1}
	for name, tt := range map[string]struct {
		record queue.Batch
		tally  *tally
		want   web.Batch
	}{
		"begun":           {queue.Batch{Total: 10, State: queue.BatchEnqueuing}, nil, web.Batch{Total: 10, Pending: 10, From: "results"}},
		"under way":       {queue.Batch{Total: 10, State: queue.BatchCommitted}, some(queue.Succeeded, queue.Failed), web.Batch{Total: 10, Succeeded: 1, Images: 1, Failed: 1, Invalid: 1, Pending: 8, ImagesPerS: 0.5, ETA: 16, From: "results"}},
		"done":            {queue.Batch{Total: 2, State: queue.BatchCommitted}, some(queue.Succeeded, queue.Expired), web.Batch{Total: 2, Succeeded: 1, Images: 1, Expired: 1, Done: true, From: "results"}},
		"cancelled":       {queue.Batch{Total: 5, State: queue.BatchCancelled}, some(queue.Succeeded, queue.Cancelled), web.Batch{Total: 5, Succeeded: 1, Images: 1, Cancelled: 4, Done: true, From: "results"}},
		"results gone":    {queue.Batch{Total: 10, State: queue.BatchCommitted, Summary: kept}, nil, web.Batch{Total: 10, Succeeded: 9, Images: 9, Expired: 1, Done: true, From: "summary"}},
		"not by enqueue":  {queue.Batch{}, some(queue.Succeeded), web.Batch{Total: 1, Succeeded: 1, Images: 1, Done: true, From: "results"}},
		"all are counted": {queue.Batch{Total: 1, State: queue.BatchCommitted, Summary: kept}, some(queue.Succeeded), web.Batch{Total: 1, Succeeded: 1, Images: 1, Done: true, From: "results"}},
	} {
		f := &facts{}
		f.begin(now)
		tt.record.ID = "b"
		if tt.tally != nil {
			f.tallies["b"] = tt.tally
			tt.want.LastAt = tt.tally.last.UTC()
		}
		tt.want.ID, tt.want.State, tt.want.SentAt = "b", tt.record.State, tt.record.Created.UTC()
		if diff := cmp.Diff(tt.want, f.batch(tt.record, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var r ops.Rate
	if r.PerSecond(now) != 0 {
		t.Error("an empty rate")
	}
}

// TestLanded holds what a client gets that is new, comes back or is slow.
func TestLanded(t *testing.T) {
	s := New(Config{})
	s.board.skip(10)
	for i := uint64(11); i < 12+2*ringSize; i++ {
		s.board.land([]landed{{sequence: i, image: web.Image{Index: int64(i)}}})
	}
	end := uint64(11 + 2*ringSize)
	for _, tt := range []struct {
		after        uint64
		limit        int
		first, last  uint64
		more, missed bool
	}{
		{end + 5, 10, 0, end, false, false},
		{end, 10, 0, end, false, false},
		{end - 3, 10, end - 2, end, false, false},
		{end - 100, 10, end - 99, end - 90, true, false},
		{end - ringSize, 10, end - ringSize + 1, end - ringSize + 10, true, false},
		{end - ringSize - 1, 10, end - ringSize + 1, end - ringSize + 10, true, true},
		{0, 10, end - ringSize + 1, end - ringSize + 10, true, true},
		{5, 0, 0, 5, false, false},
	} {
		l := s.Landed(tt.after, tt.limit)
		first := uint64(0)
		if len(l.Images) > 0 {
			first = uint64(l.Images[0].Index)
		}
		if first != tt.first || l.Last != tt.last || l.More != tt.more || l.Missed != tt.missed {
			t.Errorf("after %d: from %d to %d, more %v, missed %v; want %+v", tt.after, first, l.Last, l.More, l.Missed, tt)
		}
	}
}
