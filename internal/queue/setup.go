package queue

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Setup makes the streams, buckets and consumers of a layout that are not there. It never changes what is:
// where that differs from what it would have made, it says so. Several callers at once are fine.
func (c *Client) Setup(ctx context.Context, l Layout) ([]Difference, error) {
	l, err := l.withDefaults()
	if err != nil {
		return nil, err
	}
	var all []Difference
	note := func(found []Difference, err error) error {
		all = append(all, found...)
		return err
	}
	for _, want := range l.streams(c.names) {
		if err := note(c.ensureStream(ctx, want)); err != nil {
			return all, err
		}
	}
	for _, want := range l.buckets(c.names) {
		if err := note(c.ensureBucket(ctx, want)); err != nil {
			return all, err
		}
	}
	for _, want := range l.consumers(c.names) {
		if err := note(c.ensureConsumer(ctx, want)); err != nil {
			return all, err
		}
	}
	return all, nil
}

// Ensure is Setup for workers and enqueue: with NoAutoCreate it makes nothing and looks only at what such a
// user may see, its consumers and buckets. What is missing is then ErrMissing.
func (c *Client) Ensure(ctx context.Context, l Layout) ([]Difference, error) {
	if !c.config.NoAutoCreate {
		return c.Setup(ctx, l)
	}
	l, err := l.withDefaults()
	if err != nil {
		return nil, err
	}
	var all []Difference
	for _, want := range l.buckets(c.names) {
		if _, err := c.bucket(ctx, want.Bucket); err != nil {
			return all, err
		}
	}
	for _, want := range l.consumers(c.names) {
		found, err := c.existingConsumer(ctx, want)
		if err != nil {
			return all, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// ensureStream makes a stream that is not there and compares one that is, also one that another client made
// in between.
func (c *Client) ensureStream(ctx context.Context, want jetstream.StreamConfig) ([]Difference, error) {
	var found []Difference
	err := c.try(ctx, "setting up stream "+want.Name, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			if s, err = c.js.CreateStream(ctx, want); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				s, err = c.js.Stream(ctx, want.Name)
			}
		}
		if err != nil {
			return err
		}
		found = streamDifferences(s.CachedInfo().Config, want)
		return nil
	})
	return found, err
}

func (c *Client) ensureBucket(ctx context.Context, want jetstream.KeyValueConfig) ([]Difference, error) {
	var found []Difference
	err := c.try(ctx, "setting up bucket "+want.Bucket, func(ctx context.Context) error {
		kv, err := c.js.KeyValue(ctx, want.Bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			if kv, err = c.js.CreateKeyValue(ctx, want); errors.Is(err, jetstream.ErrBucketExists) {
				kv, err = c.js.KeyValue(ctx, want.Bucket)
			}
		}
		if err != nil {
			return err
		}
		status, err := kv.Status(ctx)
		if err != nil {
			return err
		}
		found = bucketDifferences(status, want)
		return nil
	})
	return found, err
}

func (c *Client) ensureConsumer(ctx context.Context, want jetstream.ConsumerConfig) ([]Difference, error) {
	var found []Difference
	err := c.try(ctx, "setting up consumer "+want.Durable, func(ctx context.Context) error {
		stream := c.names.JobsStream()
		cons, err := c.js.Consumer(ctx, stream, want.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			if cons, err = c.js.CreateConsumer(ctx, stream, want); errors.Is(err, jetstream.ErrConsumerExists) {
				cons, err = c.js.Consumer(ctx, stream, want.Durable)
			}
		}
		if err != nil {
			return err
		}
		found = consumerDifferences(cons.CachedInfo().Config, want)
		return nil
	})
	return found, err
}

func (c *Client) existingConsumer(ctx context.Context, want jetstream.ConsumerConfig) ([]Difference, error) {
	var found []Difference
	err := c.try(ctx, "looking up consumer "+want.Durable, func(ctx context.Context) error {
		cons, err := c.js.Consumer(ctx, c.names.JobsStream(), want.Durable)
		if err != nil {
			return err
		}
		found = consumerDifferences(cons.CachedInfo().Config, want)
		return nil
	})
	return found, err
}

// bucket returns the handle of a key-value bucket.
func (c *Client) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	return cached(ctx, c, c.buckets, "opening bucket "+name, name, c.js.KeyValue)
}

// stream returns the handle of a stream.
func (c *Client) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	return cached(ctx, c, c.streams, "opening stream "+name, name, c.js.Stream)
}

// cached returns a handle that is in the cache or opens it. Several callers may open the same one at once; any
// of them is good.
func cached[T any](ctx context.Context, c *Client, cache map[string]T, doing, name string, open func(context.Context, string) (T, error)) (T, error) {
	c.mu.Lock()
	h, ok := cache[name]
	c.mu.Unlock()
	if ok {
		return h, nil
	}
	err := c.try(ctx, doing, func(ctx context.Context) (err error) {
		h, err = open(ctx, name)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cache[name] = h
	return h, nil
}
