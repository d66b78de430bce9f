package queue

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// startCluster runs three brokers with a queue of three replicas, and returns one client of each: connected to that
// broker first, knowing the others.
func startCluster(t *testing.T, l Layout) (*natsd.Cluster, []*Client) {
	t.Helper()
	cluster, err := natsd.StartCluster(3, natsd.Options{})
	if err != nil {
		t.Fatalf("starting the cluster: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	var clients []*Client
	for _, s := range cluster.Servers {
		clients = append(clients, connect(t, s, Config{})) // a cluster tells its clients of all members
	}
	l.Replicas = 3
	setup(t, clients[0], l)
	return cluster, clients
}

// clusterFaults are what happens to a cluster while it works: the leader of a stream, or of one of its consumers, hands
// over, or the broker that leads the jobs goes away and comes back.
var clusterFaults = []struct{ stream, consumer string }{
	{"JOBS", ""}, {"JOBS", "w-normal-m"}, {"RESULTS", ""}, {"KV_attempts", ""}, {"", ""},
}

// fault makes the i-th fault happen, after a moment, and returns when the streams have leaders again: a cluster of three
// outlives one fault at a time.
func fault(t *testing.T, cluster *natsd.Cluster, c *Client, i int) {
	t.Helper()
	time.Sleep(rand.N(40 * time.Millisecond))
	switch f := clusterFaults[i%len(clusterFaults)]; {
	case f.stream == "":
		away := cluster.Leader("JOBS")
		if away == nil {
			return
		}
		away.Suspend()
		time.Sleep(200 * time.Millisecond)
		if err := away.Resume(); err != nil {
			t.Error(err)
		}
	case f.consumer == "":
		stepDown(t, c, "STREAM.LEADER.STEPDOWN."+f.stream)
	default:
		stepDown(t, c, "CONSUMER.LEADER.STEPDOWN."+f.stream+"."+f.consumer)
	}
	for _, stream := range []string{"JOBS", "RESULTS", "KV_attempts"} {
		for deadline := time.Now().Add(30 * time.Second); cluster.Leader(stream) == nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%s has no leader after 30 s", stream)
				return
			}
		}
	}
}

// stepDown makes a leader hand over. That there is none now is as good.
func stepDown(t *testing.T, c *Client, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.nc.RequestWithContext(ctx, "$JS.API."+what, nil); err != nil {
		t.Logf("%s: %v", what, err)
	}
}

// ledger notes what workers saw.
type ledger struct {
	mu        sync.Mutex
	sequences map[string]map[uint64]bool // of the messages of a job, by Nats-Msg-Id
	recorded  map[string]int             // by identity, how often a worker was told that its result is the record
}

func (l *ledger) saw(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sequences[d.ID.MsgID()] == nil {
		l.sequences[d.ID.MsgID()] = map[uint64]bool{}
	}
	l.sequences[d.ID.MsgID()][d.StreamSeq] = true
}

func (l *ledger) recordedNow(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded[d.ID.MsgID()]++
}

// workJobs does what a worker does, until ctx ends.
func (l *ledger) workJobs(ctx context.Context, t *testing.T, c *Client, layout Layout, name string) {
	t.Helper()
	source, err := c.NewSource(SourceConfig{Layout: layout})
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		got, err := source.Fetch(ctx, 20)
		if err != nil && ctx.Err() == nil {
			t.Errorf("Fetch: %v", err)
		}
		for _, d := range got {
			l.workJob(t, c, d, name)
		}
		if len(got) == 0 {
			_ = source.Wait(ctx) // it ends with ctx, which the loop sees
		}
	}
}

func (l *ledger) workJob(t *testing.T, c *Client, d *Delivery, name string) {
	t.Helper()
	defer d.Release()
	l.saw(d)
	ctx := t.Context()
	r, found, err := c.Lookup(ctx, d.ID.Batch, d.ID.Index)
	if err != nil {
		t.Errorf("Lookup of %v: %v", d, err)
		return
	}
	if !found || r.Retry < d.ID.Retry {
		if _, err := c.Begin(ctx, d); err != nil {
			t.Errorf("Begin of %v: %v", d, err)
			return
		}
		r := result(Succeeded, d.ID.Retry, name)
		r.Index = d.ID.Index
		stored, err := c.Record(ctx, r)
		if err != nil {
			t.Errorf("Record of %v: %v", d, err)
			return
		}
		if stored {
			l.recordedNow(d)
		}
	}
	_ = d.Ack(ctx) // unconfirmed, it is delivered again
}

// TestClusterLosesNothing publishes, works and records while leaders hand over and brokers go away and come back.
func TestClusterLosesNothing(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}, AckWait: 2 * time.Second}
	cluster, clients := startCluster(t, layout)
	ctx, stop := context.WithCancel(t.Context())
	l := &ledger{sequences: map[string]map[uint64]bool{}, recorded: map[string]int{}}
	var workers sync.WaitGroup
	workers.Go(func() { l.workJobs(ctx, t, clients[1], layout, "one") })
	workers.Go(func() { l.workJobs(ctx, t, clients[2], layout, "two") })

	const size = 100
	rounds := 2
	if os.Getenv("STIPPLE_SOAK") != "" {
		rounds = 40
	}
	chunks := rounds * len(clusterFaults)
	var after uint64
	for i := range chunks {
		var faults sync.WaitGroup
		faults.Go(func() { fault(t, cluster, clients[0], i) })
		ack, err := clients[0].PublishChunk(t.Context(), chunk(int64(i*size), size), after)
		if err != nil {
			t.Fatalf("publishing chunk %d: %v", i, err)
		}
		after = max(after, ack.Sequence)
		faults.Wait()
	}
	eventuallyIn(t, 2*time.Minute, "every job is done", func() bool {
		left, err := clients[0].WaitingJobs(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	stop()
	workers.Wait()
	l.check(t, clients[0], chunks*size)
}

// check checks that each of n jobs of batch b was stored once and has one result.
func (l *ledger) check(t *testing.T, c *Client, n int) {
	t.Helper()
	results := map[int64]int{}
	for r, err := range c.ReadResults(t.Context(), "b") {
		if err != nil {
			t.Fatal(err)
		}
		results[r.Index]++
	}
	if len(results) != n {
		t.Errorf("%d jobs have a result, want %d", len(results), n)
	}
	for index, results := range results {
		if results != 1 {
			t.Errorf("job %d has %d results", index, results)
		}
	}
	for id, sequences := range l.sequences {
		if len(sequences) != 1 {
			t.Errorf("job %s was stored %d times: %v", id, len(sequences), slices.Sorted(maps.Keys(sequences)))
		}
	}
	for id, times := range l.recorded {
		if times > 1 {
			t.Errorf("%d results of job %s were the record", times, id)
		}
	}
}
