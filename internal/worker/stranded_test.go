package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestStrandedJobsAreToldOf: of jobs that no consumer delivers any more a worker warns, once, with the mend, and counts them.
func TestStrandedJobsAreToldOf(t *testing.T) {
	r := connect(t)
	// A consumer with a limit of deliveries leaves what it gave up in the stream, where nothing counts it.
	stream, name := r.client.Names().JobsStream(), queue.ConsumerName(queue.Normal, "sd15")
	consumer, err := r.jetstream().Consumer(t.Context(), stream, name)
	if err != nil {
		t.Fatal(err)
	}
	cfg := consumer.CachedInfo().Config
	cfg.MaxDeliver = 1
	if _, err := r.jetstream().UpdateConsumer(t.Context(), stream, cfg); err != nil {
		t.Fatal(err)
	}
	r.publish(quick("b", 0))
	r.loseFirstDelivery()
	r.awaitConsumer("the consumer has given the job up", func(info *jetstream.ConsumerInfo) bool { return info.NumAckPending+int(info.NumPending) == 0 })

	w := startWorker(t, func(c *Config) { c.strandedEvery, c.HTTPAddr = 200*time.Millisecond, "127.0.0.1:0" })
	w.awaitLog("enqueue repair")
	if got := w.metric(`worker_queue_stranded{messaging_consumer_group_name="` + name); got != "1.0" {
		t.Errorf("the metric of it is %q", got)
	}
	time.Sleep(3 * time.Second) // another look or two: this is about nothing happening
	if n := strings.Count(w.log.String(), "jobs are stranded"); n != 1 {
		t.Errorf("it warned %d times of the same", n)
	}
}
