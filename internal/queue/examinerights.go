package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// probeBatch stands in the subjects of what Examine publishes.
const probeBatch = "doctor"

// never is the sequence that no stream reaches: what expects it is refused, after the right to send it was granted.
const never = 1 << 62

// examineStreams looks at the streams; false when JetStream itself is not there.
func (e *examiner) examineStreams(ctx context.Context) bool {
	for _, want := range e.layout.streams(e.names) {
		name := "stream " + want.Name
		var info *jetstream.StreamInfo
		err := e.ask(ctx, func(ctx context.Context) error {
			s, err := e.js.Stream(ctx, want.Name)
			if err == nil {
				info = s.CachedInfo()
			}
			return err
		})
		switch {
		case err == nil:
			e.addExisting(name, fmt.Sprintf("%d messages, %d replicas", info.State.Msgs, info.Config.Replicas), streamDifferences(info.Config, want))
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
			e.add(Finding{Name: "JetStream", Err: err, Mend: "start nats-server with -js, or enable JetStream for the user's account"})
			return false
		case errors.Is(err, jetstream.ErrStreamNotFound):
			e.addMissing(name)
		case errors.Is(err, nats.ErrPermissionViolation) && e.cfg.NoAutoCreate && !strings.Contains(err.Error(), "Subscription"):
			e.add(Finding{Name: name, Detail: "the user may not look at it, and need not: QUEUE_AUTO_CREATE is false"})
		default:
			e.add(Finding{Name: name, Err: err, Mend: e.mend(err)})
			if strings.Contains(err.Error(), "Subscription") {
				return false // no reply will ever come
			}
		}
	}
	return true
}

// addExisting tells of something that is there.
func (e *examiner) addExisting(name, detail string, differences []Difference) {
	f := Finding{Name: name, Detail: detail}
	var all []error
	for _, d := range differences {
		all = append(all, errors.New(d.String()))
	}
	if f.Err = errors.Join(all...); f.Err != nil {
		f.Warning = true
		f.Mend = "the queue's promises rest on these settings: change them with the nats command, or drop it and " + e.setupMend()
	}
	e.add(f)
}

// addMissing tells of something that is not there.
func (e *examiner) addMissing(name string) {
	f := Finding{Name: name, Err: errors.New("it is not there"), Mend: e.setupMend()}
	if !e.cfg.NoAutoCreate {
		f.Warning = true
		f.Mend = "nothing, where the user may make it: the worker does (QUEUE_AUTO_CREATE). Else " + f.Mend
	}
	e.add(f)
}

// examineBuckets looks at the buckets, reads from each, and tries to write to those that a worker writes to.
func (e *examiner) examineBuckets(ctx context.Context) {
	for _, want := range e.layout.buckets(e.names) {
		name := "bucket " + want.Bucket
		var kv jetstream.KeyValue
		var found []Difference
		err := e.ask(ctx, func(ctx context.Context) (err error) {
			if kv, err = e.js.KeyValue(ctx, want.Bucket); err != nil {
				return err
			}
			status, err := kv.Status(ctx)
			if err == nil {
				found = bucketDifferences(status, want)
			}
			return err
		})
		switch {
		case errors.Is(err, jetstream.ErrBucketNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			e.addMissing(name)
			continue
		case err != nil:
			e.add(Finding{Name: name, Err: err, Mend: e.mend(err)})
			continue
		}
		e.addExisting(name, "", found)
		e.examineRight(ctx, "read "+want.Bucket, func(ctx context.Context) error {
			_, err := kv.Get(ctx, probeBatch)
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				return nil
			}
			return err
		})
		if want.Bucket != e.names.BatchesBucket() { // which enqueue writes
			e.examineRight(ctx, "write "+want.Bucket, func(ctx context.Context) error {
				_, err := kv.Update(ctx, probeBatch, nil, never)
				return refusedOnly(err)
			})
		}
	}
}

// refusedOnly takes the refusal of an impossible condition for the success that it is.
func refusedOnly(err error) error {
	if wrongLastSequence(err) {
		return nil
	}
	if err == nil {
		return errors.New("the broker stored a message whose condition is not met")
	}
	return err
}

// examineRight tells of one right.
func (e *examiner) examineRight(ctx context.Context, name string, try func(context.Context) error) {
	f := Finding{Name: name}
	if f.Err = e.ask(ctx, try); f.Err != nil {
		f.Mend = e.mend(f.Err)
	}
	e.add(f)
}

// examineConsumers looks at the consumers of the models, and tries the rights to ask them for jobs and to settle those.
func (e *examiner) examineConsumers(ctx context.Context) {
	stream := e.names.JobsStream()
	for _, want := range e.layout.consumers(e.names) {
		var info *jetstream.ConsumerInfo
		err := e.ask(ctx, func(ctx context.Context) error {
			c, err := e.js.Consumer(ctx, stream, want.Durable)
			if err == nil {
				info = c.CachedInfo()
			}
			return err
		})
		name := "consumer " + want.Durable
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			e.addMissing(name)
			continue
		case err != nil:
			e.add(Finding{Name: name, Err: err, Mend: e.mend(err)})
			continue
		}
		e.addExisting(name, fmt.Sprintf("%d jobs wait, %d are held", info.NumPending, info.NumAckPending), consumerDifferences(info.Config, want))
		e.examineRight(ctx, "fetch from "+want.Durable, func(ctx context.Context) error {
			// A request that is no JSON: the consumer says so, and gives nothing away.
			answer, err := e.nc.RequestWithContext(ctx, "$JS.API.CONSUMER.MSG.NEXT."+stream+"."+want.Durable, []byte("{"))
			if err == nil && answer.Header.Get("Status") != "400" {
				err = fmt.Errorf("a request without sense was answered with status %q", answer.Header.Get("Status"))
			}
			return err
		})
		e.examineRight(ctx, "settle jobs of "+want.Durable, func(ctx context.Context) error {
			// A sign of life for a message that nobody holds.
			if err := e.nc.Publish("$JS.ACK."+stream+"."+want.Durable+".1.0.0.0.0", []byte("+WPI")); err != nil {
				return err
			}
			return e.flush(ctx)
		})
	}
}

// examinePublishing tries the rights to publish results, dead letters, progress and status.
func (e *examiner) examinePublishing(ctx context.Context) {
	for _, stored := range []struct{ name, subject string }{
		{"publish results", e.names.ResultSubject(probeBatch, 0)}, {"publish dead letters", e.names.DeadSubject(probeBatch, 0)},
	} {
		f := Finding{Name: stored.name}
		f.Err = e.ask(ctx, func(ctx context.Context) error {
			_, err := e.js.Publish(ctx, stored.subject, nil, jetstream.WithExpectLastSequencePerSubject(never))
			return refusedOnly(err)
		})
		switch {
		case f.Err == nil:
		case errors.Is(f.Err, jetstream.ErrNoStreamResponse), errors.Is(f.Err, nats.ErrNoResponders):
			f.Err, f.Mend = fmt.Errorf("no stream takes %s", stored.subject), e.setupMend()
			if f.Warning = !e.cfg.NoAutoCreate; f.Warning {
				f.Mend = "nothing, where the worker may make the stream (QUEUE_AUTO_CREATE). Else " + f.Mend
			}
		default:
			f.Mend = e.mend(f.Err)
		}
		e.add(f)
	}
	for _, core := range []struct {
		name, subject string
		message       any
	}{
		{"publish progress", e.names.ProgressSubject(probeBatch, 0), Progress{BatchID: probeBatch, Worker: probeBatch}},
		{"publish status", e.names.StatusSubject(probeBatch), Status{Worker: probeBatch, State: WorkerStarting}},
	} {
		e.examineRight(ctx, core.name, func(ctx context.Context) error {
			body, err := marshal(core.message)
			if err != nil {
				return err
			}
			if err := e.nc.Publish(core.subject, body); err != nil {
				return err
			}
			return e.flush(ctx)
		})
	}
}
