package page

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// mostBatches is how many batches a snapshot lists.
const mostBatches = 100

// Silences of a worker, which tells of itself every 2 s.
const (
	silent = 6 * time.Second // after which it is gone
	forget = 5 * time.Minute // after which nobody wants to know any more
)

// publish shows a snapshot whenever there is another, until ctx ends.
func (s *System) publish(ctx context.Context) {
	for s.wait(ctx, s.pace.assemble) == nil {
		next := s.assemble(time.Now())
		was := *s.State()
		was.At = next.At
		if !reflect.DeepEqual(was, *next) {
			s.board.show(next)
		}
	}
}

// assemble makes a snapshot of the facts.
func (s *System) assemble(now time.Time) *web.State {
	f := &s.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep(now)
	st := &web.State{
		At: now.UTC(), Queues: []web.Queue{}, Workers: []web.Worker{}, Batches: f.listed(now), Dead: web.DeadCount{Count: f.letters.count},
		Models: []web.Model{}, Schedulers: s.cfg.Schedulers,
	}
	if st.Schedulers == nil {
		st.Schedulers = []web.Scheduler{}
	}
	for _, d := range f.depths {
		q := web.Queue{Model: d.Model, Priority: d.Priority, Waiting: d.Waiting, Running: d.Running}
		if d.PausedUntil.After(now) {
			q.Paused, q.PausedUntil = true, d.PausedUntil
		}
		st.Queues = append(st.Queues, q)
	}
	for _, name := range slices.Sorted(maps.Keys(f.workers)) {
		st.Workers = append(st.Workers, f.workers[name].shown(now))
	}
	for _, m := range f.models {
		st.Models = append(st.Models, modelOf(m))
	}
	st.Problems = s.problems(st, now)
	return st
}

// quiet reports whether a worker is not heard any more. While the broker is away, nobody is.
func (f *facts) quiet(w *worker, now time.Time) bool {
	return now.Sub(w.seen) > silent && !f.steady.IsZero() && now.Sub(f.steady) > silent
}

// sweep notes which workers have gone silent without a word, and forgets those that have left, or are gone for long, and the
// times of batches that have none to tell any more.
func (f *facts) sweep(now time.Time) {
	for _, t := range f.tallies {
		if now.Sub(t.last) > ops.RateOver {
			t.images = ops.Rate{}
		}
	}
	maps.DeleteFunc(f.workers, func(_ string, w *worker) bool {
		if !f.quiet(w, now) {
			return false
		}
		w.gone = true
		return w.last.State == queue.WorkerDraining || now.Sub(w.seen) > forget
	})
}

// shown is a worker as the page shows it.
func (w *worker) shown(now time.Time) web.Worker {
	l := w.last
	shown := web.Worker{
		ID: l.Worker, Models: l.Models, State: l.State, Rows: l.Rows, Slots: l.Slots, Held: l.Jobs, StepsPerSecond: l.StepsPerSecond,
		ImagesPerS: round(w.images.PerSecond(now)), StartedAt: w.first.UTC(), SeenAt: w.seen.UTC(), Gone: w.gone,
		Provider: l.Provider, Device: l.Device, MaxRows: l.MaxRows, Lanes: l.Lanes,
	}
	if !l.Started.IsZero() {
		shown.StartedAt = l.Started.UTC()
	}
	if shown.Models == nil {
		shown.Models = []string{}
	}
	return shown
}

// modelOf is a model as the page shows it.
func modelOf(m queue.Model) web.Model {
	return web.Model{Name: m.Name, Width: m.Defaults.Width, Height: m.Defaults.Height, Defaults: m.Defaults, Limits: m.Limits}
}

// listed are the newest batches: those with a record, and those that others than enqueue have published.
func (f *facts) listed(now time.Time) []web.Batch {
	all := make([]web.Batch, 0, mostBatches)
	recorded := make(map[string]bool, len(f.batches))
	for i, b := range f.batches {
		recorded[b.ID] = true
		if i < mostBatches {
			all = append(all, f.batch(b, now))
		}
	}
	for id, t := range f.tallies {
		if !recorded[id] {
			all = append(all, f.batch(queue.Batch{ID: id, Created: t.first}, now))
		}
	}
	slices.SortFunc(all, func(a, b web.Batch) int { return cmp.Or(b.SentAt.Compare(a.SentAt), cmp.Compare(b.ID, a.ID)) })
	return all[:min(len(all), mostBatches)]
}

// batch counts the jobs of a batch: by its results, or where these are gone, by the summary in its record.
func (f *facts) batch(b queue.Batch, now time.Time) web.Batch {
	t := f.tallies[b.ID]
	if t == nil {
		t = &tally{}
	}
	sum := t.all.Summary()
	shown := web.Batch{ID: b.ID, Total: max(b.Total, sum.Total()), State: b.State, TraceID: b.TraceID, SentAt: b.Created.UTC(), From: "results",
		Dead: f.lettered[b.ID].letters, Invalid: t.invalid.Summary().Failed}
	if !t.last.IsZero() {
		shown.LastAt = t.last.UTC()
	}
	if b.Summary != nil && sum.Total() < b.Total && b.Summary.Total() >= b.Total {
		sum, shown.From = *b.Summary, "summary"
	}
	if b.State == queue.BatchCancelled {
		sum.Cancelled += max(b.Total-sum.Total(), 0)
	}
	shown.Succeeded, shown.Failed, shown.Cancelled, shown.Expired, shown.Images = sum.Succeeded, sum.Failed, sum.Cancelled, sum.Expired, sum.Succeeded
	shown.Pending = max(shown.Total-sum.Total(), 0)
	shown.Done = shown.Pending == 0 && b.State != queue.BatchEnqueuing
	if !shown.Done {
		shown.ImagesPerS = round(t.images.PerSecond(now))
		if shown.ImagesPerS > 0 {
			shown.ETA = round(float64(shown.Pending) / shown.ImagesPerS)
		}
	}
	return shown
}

// round keeps three digits behind the point: more would be another state every second.
func round(x float64) float64 { return float64(int64(x*1000+0.5)) / 1000 }

func byWorker(a, b queue.Status) int { return cmp.Compare(a.Worker, b.Worker) }
