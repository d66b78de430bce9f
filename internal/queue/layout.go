package queue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Layout is what Ensure makes on the broker beside the streams and buckets that every queue has. The zero
// value makes no consumers and takes the defaults of the fields.
type Layout struct {
	Models   []string      // a consumer for each of these and each priority
	AckWait  time.Duration // of new consumers; default 30 s, and at least 1 s
	Replicas int           // of new streams and buckets; default 1, in a cluster 3 or 5
	MaxJobs  int64         // jobs that JOBS holds before publishers must wait; default 2 000 000
}

// Defaults of a Layout.
const (
	DefaultAckWait = 30 * time.Second
	DefaultMaxJobs = 2_000_000
)

const (
	dedupeWindow = 2 * time.Minute
	resultsAge   = 7 * 24 * time.Hour
	deadAge      = 30 * 24 * time.Hour
	attemptsAge  = 7 * 24 * time.Hour

	// Jobs that wait for a delayed retry count as pending, so the limit must be far above workers × slots; at
	// the limit no job is delivered at all. MaxWaiting cannot be changed once the consumer is there.
	maxAckPending = 20_000
	maxWaiting    = 4096
)

// withDefaults fills and checks the layout.
func (l Layout) withDefaults() (Layout, error) {
	if l.AckWait == 0 {
		l.AckWait = DefaultAckWait
	}
	if l.Replicas == 0 {
		l.Replicas = 1
	}
	if l.MaxJobs == 0 {
		l.MaxJobs = DefaultMaxJobs
	}
	if l.AckWait < time.Second {
		return l, &ConfigError{"ACK_WAIT", fmt.Errorf("must be at least 1s, is %v", l.AckWait)}
	}
	tokens := map[string]string{}
	for _, m := range l.Models {
		if why := modelProblem(m, quote); why != "" {
			return l, &ConfigError{"MODELS", errors.New("a name " + why)}
		}
		if other, taken := tokens[ModelToken(m)]; taken && other != m {
			return l, &ConfigError{"MODELS", fmt.Errorf("%s and %s are the same in subjects, %s; rename one of them", other, m, ModelToken(m))}
		}
		tokens[ModelToken(m)] = m
	}
	l.Models = slices.Sorted(maps.Values(tokens))
	return l, nil
}

// streams are the configurations of the streams that are not buckets.
func (l Layout) streams(n Names) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name: n.JobsStream(), Description: "jobs that wait or run",
			Subjects:  []string{n.subject("jobs", "*", "*", "*")},
			Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			Discard: jetstream.DiscardNew, MaxMsgs: l.MaxJobs, MaxBytes: -1, MaxMsgSize: maxBody + 64<<10, MaxMsgsPerSubject: -1,
			MaxConsumers: -1, Duplicates: dedupeWindow, AllowDirect: true, AllowAtomicPublish: true,
		},
		{
			Name: n.ResultsStream(), Description: "what became of the jobs, one message a job",
			Subjects:  []string{n.subject("results", "*", "*")},
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			Discard: jetstream.DiscardNew, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: 1,
			MaxConsumers: -1, MaxAge: resultsAge, Duplicates: dedupeWindow, AllowDirect: true,
		},
		{
			Name: n.DeadStream(), Description: "jobs that failed for good, and why",
			Subjects:  []string{n.subject("dead", "*", "*")},
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			Discard: jetstream.DiscardNew, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1,
			MaxConsumers: -1, MaxAge: deadAge, Duplicates: dedupeWindow, AllowDirect: true,
		},
	}
}

// buckets are the configurations of the key-value buckets.
func (l Layout) buckets(n Names) []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{Bucket: n.BatchesBucket(), Description: "batches: totals, state, cursor", Storage: jetstream.FileStorage, Replicas: l.Replicas},
		{Bucket: n.AttemptsBucket(), Description: "counted starts of jobs", Storage: jetstream.FileStorage, Replicas: l.Replicas, TTL: attemptsAge},
		{Bucket: n.ModelsBucket(), Description: "models that workers serve", Storage: jetstream.FileStorage, Replicas: l.Replicas},
	}
}

// consumers are the configurations of the durable pull consumers of JOBS, one for each priority and model.
//
// MaxDeliver and BackOff stay unset: a message past MaxDeliver stays in a work queue where nothing delivers or
// counts it, and BackOff bends both the lease and the delay of a Nak. Attempts are counted elsewhere.
func (l Layout) consumers(n Names) []jetstream.ConsumerConfig {
	var all []jetstream.ConsumerConfig
	for _, m := range l.Models {
		for _, p := range Priorities() {
			all = append(all, l.consumer(n, p, m))
		}
	}
	return all
}

func (l Layout) consumer(n Names, priority, model string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: ConsumerName(priority, model), FilterSubject: n.consumerFilter(priority, model),
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy, ReplayPolicy: jetstream.ReplayInstantPolicy,
		AckWait: l.AckWait, MaxDeliver: -1, MaxAckPending: maxAckPending, MaxWaiting: maxWaiting,
	}
}

// Difference is a setting of something on the broker that is not as the queue would make it.
type Difference struct {
	Object     string // "stream JOBS", "consumer w-high-sd"
	Field      string
	Have, Want string
}

// String returns "<object>: <field> is <have>, not <want>".
func (d Difference) String() string {
	return fmt.Sprintf("%s: %s is %s, not %s", d.Object, d.Field, d.Have, d.Want)
}

// differences collects the fields of one object that differ.
type differences struct {
	object string
	found  []Difference
}

func differ[T any](d *differences, field string, have, want T) {
	if h, w := fmt.Sprint(have), fmt.Sprint(want); h != w {
		d.found = append(d.found, Difference{d.object, field, h, w})
	}
}

// streamDifferences compares what the queue's promises rest on. How large and how often replicated a stream is
// may be chosen freely.
func streamDifferences(have, want jetstream.StreamConfig) []Difference {
	d := differences{object: "stream " + want.Name}
	differ(&d, "subjects", have.Subjects, want.Subjects)
	differ(&d, "retention", have.Retention, want.Retention)
	differ(&d, "storage", have.Storage, want.Storage)
	differ(&d, "discard", have.Discard, want.Discard)
	differ(&d, "max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	differ(&d, "max_age", have.MaxAge, want.MaxAge)
	differ(&d, "duplicate_window", have.Duplicates, want.Duplicates)
	differ(&d, "allow_direct", have.AllowDirect, want.AllowDirect)
	differ(&d, "allow_atomic", have.AllowAtomicPublish, want.AllowAtomicPublish)
	return d.found
}

func bucketDifferences(have jetstream.KeyValueStatus, want jetstream.KeyValueConfig) []Difference {
	d := differences{object: "bucket " + want.Bucket}
	differ(&d, "ttl", have.TTL(), want.TTL)
	differ(&d, "history", have.History(), int64(max(want.History, 1)))
	return d.found
}

func consumerDifferences(have, want jetstream.ConsumerConfig) []Difference {
	d := differences{object: "consumer " + want.Durable}
	differ(&d, "filter_subject", have.FilterSubject, want.FilterSubject)
	differ(&d, "ack_policy", have.AckPolicy, want.AckPolicy)
	differ(&d, "deliver_policy", have.DeliverPolicy, want.DeliverPolicy)
	differ(&d, "ack_wait", have.AckWait, want.AckWait)
	differ(&d, "max_deliver", have.MaxDeliver, want.MaxDeliver)
	differ(&d, "backoff", have.BackOff, want.BackOff)
	differ(&d, "inactive_threshold", have.InactiveThreshold, want.InactiveThreshold)
	if have.MaxAckPending >= 0 && have.MaxAckPending < want.MaxAckPending {
		differ(&d, "max_ack_pending", have.MaxAckPending, want.MaxAckPending)
	}
	if have.MaxWaiting < want.MaxWaiting {
		differ(&d, "max_waiting", have.MaxWaiting, want.MaxWaiting)
	}
	return d.found
}
