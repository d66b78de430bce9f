package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clusterFanOut is how many jobs are sent to the cluster.
func clusterFanOut() int {
	if soak() {
		return 100_000
	}
	return 10_000
}

// TestLeadersDieWhileABatchIsSent: of three brokers, the one that leads the stream of jobs is killed twice in the middle
// of a batch, and comes back. Enqueue goes on by itself, and the queue holds every job once.
func TestLeadersDieWhileABatchIsSent(t *testing.T) {
	if given.external() {
		return // it kills brokers of its own, and starts them by program: `make e2e` does
	}
	w := newWorldWithout(t)
	brokers := w.startCluster()
	const seeds = 10
	n := clusterFanOut()
	var rows strings.Builder
	for i := range n / seeds {
		fmt.Fprintf(&rows, "picture %d of a fox\n", i)
	}
	write(t, filepath.Join(w.dir, "rows.txt"), rows.String())
	w.says(0, "setup", "--models", "nobody", "--replicas", "3")

	p := w.launchEnqueue(nil, "--file", "rows.txt", "--seeds", fmt.Sprintf("1..%d", seeds), "--model", "nobody", "--force", "--batch", "many", "--json")
	var killed []string
	for _, share := range []int{n / 4, n / 2} {
		w.awaitJobs(p, share)
		leader := w.leader("JOBS")
		killed = append(killed, leader)
		brokers[leader].kill()
		eventually(t, startTime, func() string {
			if now := w.leader("JOBS"); now == "" || now == leader {
				return fmt.Sprintf("the stream of jobs is led by %q, which was killed", now)
			}
			return ""
		})
		brokers[leader].start()
	}
	if code := p.exit(5 * time.Minute); code != 0 {
		t.Fatalf("enqueue ended with exit code %d:\n%s", code, tail(p.errs(), 20))
	}
	if got := w.state("JOBS").Msgs; got != uint64(n) {
		t.Errorf("%d jobs are in the queue, want %d", got, n)
	}
	w.holdsFanOut("many", n, seeds)
	t.Logf("%d jobs, %s killed while they were sent", n, strings.Join(killed, " and "))
}

// startCluster starts three brokers, each by its name, and connects to them.
func (w *world) startCluster() map[string]*server {
	w.t.Helper()
	const n = 3
	var urls, routes, ports []string
	for range n {
		ports = append(ports, freePort(w.t))
		urls = append(urls, "nats://127.0.0.1:"+ports[len(ports)-1])
		routes = append(routes, "nats://127.0.0.1:"+freePort(w.t))
	}
	brokers := map[string]*server{}
	for i := range n {
		name := fmt.Sprintf("nats%d", i)
		s := &server{t: w.t, name: name, answers: func(ctx context.Context) error { return jetStreamAnswers(ctx, urls[i]) }}
		s.launch = func() *process {
			return start(w.t, w.dir, name, []string{}, given.natsServer, "--jetstream", "--server_name", name, "--store_dir", filepath.Join(w.dir, name),
				"--addr", "127.0.0.1", "--port", ports[i], "--cluster_name", "story", "--cluster", routes[i], "--routes", strings.Join(routes, ","))
		}
		s.process = s.launch() // each waits for the others before it answers
		brokers[name] = s
	}
	w.natsURL = strings.Join(urls, ",")
	for _, s := range brokers {
		s.awaitAnswer()
	}
	w.connect()
	return brokers
}

// leader is the broker that leads a stream, "" while there is none.
func (w *world) leader(stream string) string {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
	defer cancel()
	s, err := w.js.Stream(ctx, w.stream(stream))
	if err != nil || s.CachedInfo().Cluster == nil {
		return ""
	}
	return s.CachedInfo().Cluster.Leader
}
