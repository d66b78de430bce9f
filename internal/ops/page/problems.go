package page

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// errConnecting is the state before the first answer of the broker.
var errConnecting = errors.New("not connected yet")

// Times before something counts as a problem: what begins takes a moment.
const (
	connecting = 1500 * time.Millisecond
	unserved   = 5 * time.Second // jobs wait, and no worker serves their model
	counting   = 2 * time.Second // results are still being read
)

// problems says what a person should know of, the worst first. The caller has the lock of the facts.
func (s *System) problems(st *web.State, now time.Time) []web.Problem {
	f := &s.facts
	all, kept := []web.Problem{}, map[string]time.Time{}
	// add tells a problem that has lasted for some time. Since is when it was first seen, unless that is known.
	add := func(after time.Duration, since time.Time, what, mend string) {
		if since.IsZero() {
			if since = f.since[what]; since.IsZero() {
				since = now
			}
		}
		kept[what] = since
		if now.Sub(since) >= after {
			all = append(all, web.Problem{What: what, Mend: mend, Since: since.UTC()})
		}
	}
	if t := f.broker; t.err != nil {
		what, mend := s.brokerProblem(t.err)
		add(connecting, t.since, what, mend)
	} else if f.fresh {
		add(connecting, f.failed.since, "the queue is new: what it needs on the broker is not there yet", "start a worker, which makes it, or run: enqueue setup")
	} else if t := worse(f.failed, f.unread); t.err != nil {
		add(connecting, t.since, "the queue cannot be read: "+t.err.Error(),
			"if it is new, a worker or `enqueue setup` makes what it lacks; else see that this user may read streams and buckets")
	}
	if t := f.store; t.err != nil {
		why := t.err.Error()
		if e, ok := errors.AsType[*upload.Error](t.err); ok {
			why = e.Reason // it was no picture that was looked for
		}
		add(0, t.since, "the store cannot be read: "+why,
			"pictures cannot be shown until it answers; workers keep what they have drawn, fetch nothing new, and lose no job")
	}
	if f.broker.err == nil {
		s.workerProblems(st, add)
		for _, l := range f.stranded {
			why := "does not deliver them any more"
			if l.Missing {
				why = "is missing"
			}
			add(0, time.Time{}, fmt.Sprintf("%s of %s %s stranded: consumer %s %s", ops.Plural(l.Jobs, "job"), l.Model, isOrAre(l.Jobs), l.Consumer, why), "run: enqueue repair")
		}
		if f.read < f.old {
			add(counting, time.Time{}, "the results that are stored are still being read: counts grow until that is done", "wait a moment: it reads some hundred thousand a second")
		}
	}
	if s.cfg.Also != nil {
		if what := s.cfg.Also(); what != "" {
			add(0, time.Time{}, what, "the log of this page's process says more")
		}
	}
	f.since = kept
	return all
}

// worse is the trouble that there is, the first of two.
func worse(a, b trouble) trouble {
	if a.err != nil {
		return a
	}
	return b
}

// brokerProblem says why the broker is away.
func (s *System) brokerProblem(err error) (what, mend string) {
	if errors.Is(err, queue.ErrDenied) || errors.Is(err, queue.ErrOldServer) {
		return fmt.Sprintf("the broker at %s cannot be used: %v", s.servers(), err), "it is tried again every few seconds"
	}
	return fmt.Sprintf("the broker at %s does not answer", s.servers()),
		"start it, or correct NATS_URL (--nats-url). What stands here is as of before; workers finish what they hold, no job is lost, and the page goes on by itself"
}

// workerProblems says which workers are missed.
func (s *System) workerProblems(st *web.State, add func(after time.Duration, since time.Time, what, mend string)) {
	served := map[string]bool{}
	for _, w := range st.Workers {
		switch {
		case w.Gone:
			what, mend := fmt.Sprintf("worker %s has gone silent", w.ID), "it was killed, or its network is cut: see its log, or start another"
			if w.Held > 0 {
				what += "; it held " + ops.Plural(w.Held, "job")
				mend += ". What it held is delivered again when the leases run out, after about 30 s"
			}
			add(0, w.SeenAt, what, mend)
		case !w.Gone && w.State == queue.WorkerHolding:
			add(0, time.Time{}, fmt.Sprintf("worker %s cannot reach the store: it keeps what it has drawn, and fetches nothing", w.ID),
				"start the store, or see the worker's log for what is wrong with its bucket or key: worker doctor, in its environment, tells more")
		}
		if !w.Gone {
			for _, m := range w.Models {
				served[m] = true
			}
		}
	}
	waiting := map[string]int64{}
	for _, q := range st.Queues {
		if !q.Paused && !served[q.Model] {
			waiting[q.Model] += q.Waiting + q.Running
		}
	}
	for _, model := range slices.Sorted(maps.Keys(waiting)) {
		if waiting[model] > 0 {
			add(unserved, time.Time{}, fmt.Sprintf("jobs wait for the model %s, and no worker that serves it is heard", model), "start a worker with it among its MODELS")
		}
	}
}

// storeIs takes the outcome of a look at the store.
func (f *facts) storeIs(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store.note(err, time.Now())
}

// servers are the addresses of the broker, without what is secret in them.
func (s *System) servers() string {
	list := s.cfg.Queue.URL
	if list == "" {
		list = queue.DefaultURL
	}
	var hosts []string
	for server := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" {
			hosts = append(hosts, "an address that cannot be read")
			continue
		}
		hosts = append(hosts, u.Host)
	}
	return strings.Join(hosts, ", ")
}

func isOrAre(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
