package e2e_test

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// world is what one story plays in: a broker and a store that are its own (by a prefix, where they run already), and
// clients that look at them as any other program would.
type world struct {
	t   *testing.T
	dir string

	broker, store     *server
	natsURL, endpoint string
	prefix            string // QUEUE_PREFIX; "" with a broker of its own
	bucket            string

	nc *nats.Conn
	js jetstream.JetStream
	s3 *s3.Client
}

// newWorld starts a broker and a store with an empty bucket.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := newWorldWithout(t)
	w.broker.start()
	w.connect()
	w.store.start()
	w.makeBucket(w.bucket)
	return w
}

// newWorldWithout knows broker and store, and has started neither.
func newWorldWithout(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: folder(t), bucket: "images"}
	if given.external() {
		own := strings.ToLower(rand.Text()[:10])
		w.prefix, w.bucket = "e2e_"+own, "e2e-"+own
	}
	w.broker, w.natsURL = broker(t, w.dir)
	w.store, w.endpoint = store(t, w.dir, func(ctx context.Context, endpoint string) error {
		_, err := client(endpoint).ListBuckets(ctx, &s3.ListBucketsInput{})
		return err
	})
	w.s3 = client(w.endpoint)
	return w
}

// client is an S3 client that tries once: a story waits for what it expects by itself.
func client(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint), Region: given.region, UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: given.accessKey, SecretAccessKey: given.secretKey}, nil
		}),
	})
}

// connect gives the story a connection of its own, which comes back after the broker was away.
func (w *world) connect() {
	w.t.Helper()
	nc, err := nats.Connect(w.natsURL, nats.Name("story"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		w.t.Fatal(err)
	}
	w.nc = nc
}

func (w *world) makeBucket(name string) {
	w.t.Helper()
	if _, err := w.s3.CreateBucket(w.t.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
		w.t.Fatalf("making the bucket %s: %v", name, err)
	}
}

// tenant is another queue on the same broker, with its keys in the same bucket.
func (w *world) tenant(prefix string) *world {
	other := *w
	other.prefix = w.prefix + prefix
	return &other
}

// stream is the name of a stream or bucket, subject a subject, and keyPrefix what every key begins with.
func (w *world) stream(name string) string {
	if w.prefix == "" {
		return name
	}
	return w.prefix + "_" + name
}

func (w *world) subject(tokens ...string) string {
	s := strings.Join(tokens, ".")
	if w.prefix == "" {
		return s
	}
	return w.prefix + "." + s
}

func (w *world) keyPrefix() string {
	if w.prefix == "" {
		return ""
	}
	return w.prefix + "/"
}

// environment is the whole environment of a worker or enqueue in this world. What more says replaces what is there;
// an empty value takes a variable away.
func (w *world) environment(more ...string) []string {
	env := map[string]string{
		"HOME": w.dir, "PATH": "/usr/bin:/bin",
		"NATS_URL": w.natsURL, "QUEUE_PREFIX": w.prefix,
		"AWS_ENDPOINT_URL": w.endpoint, "AWS_REGION": given.region,
		"AWS_ACCESS_KEY_ID": given.accessKey, "AWS_SECRET_ACCESS_KEY": given.secretKey,
		"AWS_EC2_METADATA_DISABLED": "true", "S3_BUCKET": w.bucket,
	}
	for _, pair := range more {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if env[name] != "" {
			all = append(all, name+"="+env[name])
		}
	}
	return all
}
