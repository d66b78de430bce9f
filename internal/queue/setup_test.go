package queue

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// setup makes the layout and fails for differences.
func setup(t *testing.T, c *Client, l Layout) {
	t.Helper()
	differences, err := c.Setup(t.Context(), l)
	if err != nil || differences != nil {
		t.Fatalf("Setup: %v, %v", differences, err)
	}
}

func TestSetupMakesTheContract(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{Prefix: "acme"})
	for range 2 { // the second finds everything as it would make it
		setup(t, c, Layout{Models: []string{"sd-1.5"}, AckWait: 7 * time.Second})
	}
	stream := func(name string) jetstream.StreamConfig {
		t.Helper()
		s, err := c.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatalf("stream %s: %v", name, err)
		}
		return s.CachedInfo().Config
	}
	jobs := stream("acme_JOBS")
	if jobs.Retention != jetstream.WorkQueuePolicy || jobs.Storage != jetstream.FileStorage || jobs.Discard != jetstream.DiscardNew ||
		jobs.Duplicates != 2*time.Minute || !jobs.AllowAtomicPublish || jobs.MaxMsgs != DefaultMaxJobs || jobs.MaxAge != 0 {
		t.Errorf("JOBS = %+v", jobs)
	}
	if diff := cmp.Diff([]string{"acme.jobs.*.*.*"}, jobs.Subjects); diff != "" {
		t.Error(diff)
	}
	results := stream("acme_RESULTS")
	if results.MaxMsgsPerSubject != 1 || results.Discard != jetstream.DiscardNew || results.MaxAge != 7*24*time.Hour || results.DiscardNewPerSubject {
		t.Errorf("RESULTS = %+v", results)
	}
	if dead := stream("acme_DEAD"); dead.MaxAge != 30*24*time.Hour {
		t.Errorf("DEAD = %+v", dead)
	}
	for bucket, ttl := range map[string]time.Duration{"acme_batches": 0, "acme_attempts": 7 * 24 * time.Hour, "acme_models": 0} {
		if got := stream("KV_" + bucket).MaxAge; got != ttl {
			t.Errorf("bucket %s keeps for %v, want %v", bucket, got, ttl)
		}
	}
	for _, p := range Priorities() {
		cons, err := c.js.Consumer(t.Context(), "acme_JOBS", "w-"+p+"-sd-1_5")
		if err != nil {
			t.Fatal(err)
		}
		cfg := cons.CachedInfo().Config
		if cfg.FilterSubject != "acme.jobs."+p+".sd-1_5.*" || cfg.AckWait != 7*time.Second || cfg.MaxDeliver != -1 || cfg.BackOff != nil ||
			cfg.MaxAckPending != maxAckPending || cfg.MaxWaiting != maxWaiting || cfg.InactiveThreshold != 0 || cfg.AckPolicy != jetstream.AckExplicitPolicy {
			t.Errorf("consumer %s = %+v", p, cfg)
		}
	}
}

func TestSetupChangesNothing(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "JOBS", Subjects: []string{"jobs.>"}, Retention: jetstream.WorkQueuePolicy, MaxMsgs: 10,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.js.CreateConsumer(t.Context(), "JOBS", jetstream.ConsumerConfig{
		Durable: "w-high-m", FilterSubject: "jobs.high.m.*", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 3 * time.Second,
		MaxDeliver: 4, BackOff: []time.Duration{time.Second},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "attempts", History: 3}); err != nil {
		t.Fatal(err)
	}
	differences, err := c.Ensure(t.Context(), Layout{Models: []string{"m"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range differences {
		got = append(got, d.String())
	}
	want := []string{
		"stream JOBS: subjects is [jobs.>], not [jobs.*.*.*]",
		"stream JOBS: discard is DiscardOld, not DiscardNew",
		"stream JOBS: allow_direct is false, not true",
		"stream JOBS: allow_atomic is false, not true",
		"bucket attempts: ttl is 0s, not 168h0m0s",
		"bucket attempts: history is 3, not 1",
		"consumer w-high-m: ack_wait is 1s, not 30s", // BackOff has replaced it
		"consumer w-high-m: max_deliver is 4, not -1",
		"consumer w-high-m: backoff is [1s], not []",
		"consumer w-high-m: max_ack_pending is 1000, not 20000",
		"consumer w-high-m: max_waiting is 512, not 4096",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	s, err := c.js.Stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	if cfg := s.CachedInfo().Config; cfg.MaxMsgs != 10 || cfg.Discard != jetstream.DiscardOld {
		t.Errorf("JOBS was changed: %+v", cfg)
	}
}

func TestSeveralMayEnsureAtOnce(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	var all sync.WaitGroup
	for i := range 6 {
		c := connect(t, s, Config{})
		all.Go(func() {
			// Half of them would make it otherwise, which is no error.
			if _, err := c.Ensure(t.Context(), Layout{Models: []string{"a", "b"}, AckWait: time.Duration(2+i%2) * time.Second}); err != nil {
				t.Errorf("Ensure: %v", err)
			}
		})
	}
	all.Wait()
}

func TestEnsureWithoutAutoCreate(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{NoAutoCreate: true})
	_, err := c.Ensure(t.Context(), Layout{Models: []string{"m"}})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "batches") || !strings.Contains(err.Error(), "enqueue setup") {
		t.Errorf("nothing there: %v", err)
	}
	setup(t, c, Layout{Models: []string{"m"}})
	if differences, err := c.Ensure(t.Context(), Layout{Models: []string{"m"}, AckWait: time.Second}); err != nil || len(differences) != 3 {
		t.Errorf("all there: %v, %v; want a difference for each consumer", differences, err)
	}
	_, err = c.Ensure(t.Context(), Layout{Models: []string{"m", "other"}})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "w-high-other") {
		t.Errorf("a consumer is missing: %v", err)
	}
}

func TestLayoutIsChecked(t *testing.T) {
	for want, l := range map[string]Layout{
		"a_b and a.b": {Models: []string{"a_b", "a.b"}},
		"MODELS":      {Models: []string{"../x"}},
		"ACK_WAIT":    {AckWait: time.Millisecond},
	} {
		var config *ConfigError
		if _, err := l.withDefaults(); !errors.As(err, &config) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want a ConfigError that says %q", l, err, want)
		}
	}
	if l, err := (Layout{Models: []string{"m", "m"}}).withDefaults(); err != nil || len(l.Models) != 1 {
		t.Errorf("a model named twice: %v, %v", l.Models, err)
	}
}

func TestSubjectsTakenByAnotherStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"jobs.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Setup(t.Context(), Layout{}); err == nil || !strings.Contains(err.Error(), "QUEUE_PREFIX") || ErrorType(err) != TypeBroker {
		t.Errorf("error %v does not tell of QUEUE_PREFIX", err)
	}
}
