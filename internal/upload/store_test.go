package upload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/local/s3d"
)

const testKey = "cats/00000001-0123456789abcdef.png"

// quietAWS takes the machine's own AWS settings away from the test.
func quietAWS(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "AWS_MAX_ATTEMPTS", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "HTTP_PROXY", "http_proxy",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// startS3 runs a real store with a bucket and returns it with a configuration that reaches it.
func startS3(t *testing.T) (*s3d.Server, Config) {
	t.Helper()
	return startS3With(t, s3d.Options{})
}

func startS3With(t *testing.T, o s3d.Options) (*s3d.Server, Config) {
	t.Helper()
	o.Buckets = []string{"pictures"}
	server, err := s3d.Start(o)
	if err != nil {
		t.Fatalf("s3d: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("s3d: %v", err)
		}
	})
	return server, Config{
		Bucket: "pictures", Endpoint: server.Endpoint(),
		AccessKeyID: server.AccessKey(), SecretAccessKey: server.SecretKey(), MaxBackoff: time.Millisecond,
	}
}

// open opens a store that is closed when the test ends.
func open(t *testing.T, c Config, tracer trace.Tracer) *Store {
	t.Helper()
	quietAWS(t)
	s, err := Open(t.Context(), c, tracer)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// cat is an ordinary object.
func cat() Object {
	return Object{Body: []byte("a picture"), ContentType: "image/png", Metadata: catMetadata()}
}

// bigCat is one with n bytes.
func bigCat(n int) Object {
	o := cat()
	o.Body = make([]byte, n)
	o.Metadata.SHA256 = hexSHA256(o.Body)
	return o
}

// mustPut puts and checks that the object was created.
func mustPut(t *testing.T, s *Store, key string, o Object) {
	t.Helper()
	got, err := s.Put(t.Context(), key, o)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	if !got.Created || got.Existing != nil {
		t.Fatalf("Put: %+v, want a new object", got)
	}
}

// stored ignores what the server chooses.
func stored() cmp.Option { return cmpopts.IgnoreFields(Object{}, "ETag", "Modified") }

func TestPutThenHeadGetAndList(t *testing.T) {
	server, c := startS3(t)
	s := open(t, c, nil)
	mustPut(t, s, testKey, cat())
	mustPut(t, s, "cats/00000002-0123456789abcdef.png", cat())
	mustPut(t, s, "dogs/00000001-0123456789abcdef.png", cat())

	if file, err := os.ReadFile(filepath.Join(server.Dir(), "pictures", testKey)); err != nil || string(file) != "a picture" {
		t.Errorf("the file holds %q, %v", file, err)
	}
	want := Object{Key: testKey, Size: 9, ContentType: "image/png", Metadata: catMetadata()}
	head, err := s.Head(t.Context(), testKey)
	if diff := cmp.Diff(want, head, stored()); err != nil || diff != "" || head.ETag == "" || time.Since(head.Modified) > time.Hour {
		t.Errorf("Head: %v, %+v (-want +got):\n%s", err, head, diff)
	}
	want.Body = []byte("a picture")
	got, err := s.Get(t.Context(), testKey)
	if diff := cmp.Diff(want, got, stored()); err != nil || diff != "" {
		t.Errorf("Get: %v (-want +got):\n%s", err, diff)
	}
	var keys []string
	for o, err := range s.List(t.Context(), "cats/") {
		if err != nil || o.Size != 9 {
			t.Fatalf("List: %+v, %v", o, err)
		}
		keys = append(keys, o.Key)
	}
	if diff := cmp.Diff([]string{testKey, "cats/00000002-0123456789abcdef.png"}, keys); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	for range s.List(t.Context(), "") {
		break // ending early is allowed
	}
}

func TestAbsentObjects(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	if _, err := s.Head(t.Context(), testKey); !errors.Is(err, ErrNotFound) {
		t.Errorf("Head: %v, want ErrNotFound", err)
	}
	if _, err := s.Get(t.Context(), testKey); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "s3://pictures/"+testKey) {
		t.Errorf("Get: %v, want ErrNotFound and the key", err)
	}
	if err := s.Delete(t.Context(), testKey); err != nil {
		t.Errorf("Delete: %v", err)
	}
	mustPut(t, s, testKey, cat())
	if err := s.Delete(t.Context(), testKey); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := s.Head(t.Context(), testKey); !errors.Is(err, ErrNotFound) {
		t.Errorf("Head after Delete: %v, want ErrNotFound", err)
	}
}

func TestASecondPutFindsTheFirst(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	mustPut(t, s, testKey, cat())
	second := Object{Body: []byte("another attempt"), ContentType: "image/png", Metadata: Metadata{Spec16: "0123456789abcdef", Attempt: 9}}
	got, err := s.Put(t.Context(), testKey, second)
	if err != nil || got.Created || got.Existing == nil {
		t.Fatalf("Put: %+v, %v, want the existing object", got, err)
	}
	if diff := cmp.Diff(Object{Key: testKey, Size: 9, ContentType: "image/png", Metadata: catMetadata()}, *got.Existing, stored()); diff != "" {
		t.Errorf("existing (-want +got):\n%s", diff)
	}
	if o, err := s.Get(t.Context(), testKey); err != nil || string(o.Body) != "a picture" {
		t.Errorf("the object holds %q, %v: the first must stay", o.Body, err)
	}
}

func TestForeignObjectHasNoSpec(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	mustPut(t, s, testKey, Object{Body: []byte("holiday")})
	got, err := s.Put(t.Context(), testKey, cat())
	if err != nil || got.Existing == nil || got.Existing.Metadata != (Metadata{}) {
		t.Errorf("Put: %+v, %v, want an existing object without metadata", got, err)
	}
}

func TestManyWritersOneWinner(t *testing.T) {
	_, c := startS3(t)
	stores := []*Store{open(t, c, nil), open(t, c, nil)} // two processes
	var created atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			o := cat()
			o.Metadata.Attempt = i + 1
			got, err := stores[i%2].Put(t.Context(), testKey, o)
			switch {
			case err != nil:
				t.Errorf("Put: %v", err)
			case got.Created:
				created.Add(1)
			case got.Existing == nil || got.Existing.Metadata.Attempt == 0:
				t.Errorf("Put: %+v, want the winner's metadata", got)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 {
		t.Errorf("%d writers created the object, want 1", created.Load())
	}
}

func TestConfigurationFromTheEnvironment(t *testing.T) {
	server, _ := startS3(t)
	for _, endpoint := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		t.Run(endpoint, func(t *testing.T) {
			quietAWS(t)
			t.Setenv(endpoint, server.Endpoint())
			t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey())
			t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey())
			s, err := Open(t.Context(), Config{Bucket: "pictures"}, nil)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			defer s.Close()
			if err := s.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

func TestCheckLeavesNothingBehind(t *testing.T) {
	server, c := startS3(t)
	c.Prefix = "acme/"
	s := open(t, c, nil)
	if can, known := s.Capabilities(); can != (Capabilities{}) || known {
		t.Errorf("before the first Check: %+v, known %v", can, known)
	}
	for range 2 {
		if err := s.Check(t.Context()); err != nil {
			t.Fatalf("Check: %v", err)
		}
	}
	if can, known := s.Capabilities(); can != (Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true}) || !known || can.Warnings() != nil {
		t.Errorf("after Check: %+v, known %v, %q", can, known, can.Warnings())
	}
	for o := range s.List(t.Context(), "") {
		t.Errorf("Check left %s", o.Key)
	}
	if err := server.Suspend(); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := s.Check(t.Context()); !errors.As(err, &e) || e.Type != TypeStorage || !strings.Contains(e.Error(), "connection refused") {
		t.Errorf("Check of a store that is away: %v", err)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check of a store that came back: %v", err)
	}
}

func TestCancelledCallsAreCancelled(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, testKey, cat()); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want context.Canceled", err)
	}
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Check: %v, want context.Canceled", err)
	}
}
