package s3d_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/s3d"
)

func TestMain(m *testing.M) {
	var ignore []goleak.Option
	for _, name := range s3d.Lingering() {
		ignore = append(ignore, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, ignore...)
}

func start(t *testing.T, o s3d.Options) *s3d.Server {
	t.Helper()
	s, err := s3d.Start(o)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

func client(t *testing.T, s *s3d.Server, secret string) *s3.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint:     aws.String(s.Endpoint()),
		Region:           s.Region(),
		Credentials:      credentials.NewStaticCredentialsProvider(s.AccessKey(), secret, ""),
		HTTPClient:       &http.Client{Transport: transport},
		UsePathStyle:     true,
		RetryMaxAttempts: 1,
	})
}

// put writes an object that must not be there yet.
func put(t *testing.T, c *s3.Client, bucket, key, body string) error {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(body),
		IfNoneMatch: aws.String("*"), Metadata: map[string]string{"seed": "7"},
	})
	return err
}

// code is the S3 error code of err, or "".
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func TestObjectsAreFilesWithMetadata(t *testing.T) {
	for _, sidecar := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "bucket.d")
		s := start(t, s3d.Options{Dir: dir, Buckets: []string{"pictures"}, Sidecar: sidecar})
		c := client(t, s, s.SecretKey())
		if err := put(t, c, "pictures", "batch/00000001-ab.png", "one"); err != nil {
			t.Fatalf("sidecar %v: put: %v", sidecar, err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "pictures", "batch", "00000001-ab.png")); err != nil || string(got) != "one" {
			t.Errorf("sidecar %v: the file holds %q, %v", sidecar, got, err)
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("pictures"), Key: aws.String("batch/00000001-ab.png")})
		if err != nil {
			t.Fatalf("sidecar %v: head: %v", sidecar, err)
		}
		if diff := cmp.Diff(map[string]string{"seed": "7"}, head.Metadata); diff != "" {
			t.Errorf("sidecar %v: metadata (-want +got):\n%s", sidecar, diff)
		}
		entries, err := os.ReadDir(filepath.Dir(dir))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(entries) == 2, sidecar; got != want {
			t.Errorf("sidecar %v: beside the directory lie %v", sidecar, entries)
		}
		if err := s.Stop(); err != nil {
			t.Fatalf("Stop: %v", err)
		}
	}
}

func TestConditionalPutHasOneWinner(t *testing.T) {
	s := start(t, s3d.Options{Buckets: []string{"pictures"}})
	c := client(t, s, s.SecretKey())
	var created, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			switch err := put(t, c, "pictures", "same", strings.Repeat("x", 1000+i)); {
			case err == nil:
				created.Add(1)
			case code(err) == "PreconditionFailed":
				refused.Add(1)
			default:
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d puts created the object and %d were refused, want 1 and 15", created.Load(), refused.Load())
	}
}

func TestSignaturesAreChecked(t *testing.T) {
	s := start(t, s3d.Options{Buckets: []string{"pictures"}})
	if got := code(put(t, client(t, s, "wrong"), "pictures", "k", "v")); got != "SignatureDoesNotMatch" {
		t.Errorf("a put with a wrong secret: %q, want SignatureDoesNotMatch", got)
	}
	c := client(t, s, s.SecretKey())
	if err := put(t, c, "pictures", "k", "v"); err != nil {
		t.Fatalf("put: %v", err)
	}
	signed, err := s3.NewPresignClient(c).PresignGetObject(t.Context(),
		&s3.GetObjectInput{Bucket: aws.String("pictures"), Key: aws.String("k")}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatalf("presign: %v", err)
	}
	plain, _, _ := strings.Cut(signed.URL, "?")
	forged := strings.Replace(signed.URL, "X-Amz-Expires=60", "X-Amz-Expires=61", 1)
	for url, want := range map[string]int{signed.URL: http.StatusOK, plain: http.StatusForbidden, forged: http.StatusForbidden} {
		if got := get(t, url); got != want {
			t.Errorf("GET %s: status %d, want %d", url, got, want)
		}
	}
}

// get is the status of a GET on a connection of its own.
func get(t *testing.T, url string) int {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatalf("GET: %v", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatalf("GET: %v", err)
	}
	return resp.StatusCode
}

func TestSuspendAndResumeKeepPortAndObjects(t *testing.T) {
	s := start(t, s3d.Options{Buckets: []string{"pictures"}})
	c := client(t, s, s.SecretKey())
	endpoint := s.Endpoint()
	if err := put(t, c, "pictures", "k", "v"); err != nil {
		t.Fatalf("put: %v", err)
	}
	for range 2 {
		if err := s.Suspend(); err != nil {
			t.Fatalf("Suspend: %v", err)
		}
	}
	if err := put(t, c, "pictures", "k", "v"); err == nil || code(err) != "" {
		t.Errorf("a suspended server answered: %v", err)
	}
	for range 2 {
		if err := s.Resume(); err != nil {
			t.Fatalf("Resume: %v", err)
		}
	}
	if s.Endpoint() != endpoint {
		t.Errorf("Endpoint after Resume = %s, want %s", s.Endpoint(), endpoint)
	}
	if got := code(put(t, c, "pictures", "k", "v")); got != "PreconditionFailed" {
		t.Errorf("the object is gone after Resume: %q", got)
	}
}

func TestOneServerAProcess(t *testing.T) {
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	first := start(t, s3d.Options{})
	if _, err := s3d.Start(s3d.Options{}); err == nil || !strings.Contains(err.Error(), "another one runs") {
		t.Errorf("a second server: %v", err)
	}
	for range 2 {
		if err := first.Stop(); err != nil {
			t.Fatalf("Stop: %v", err)
		}
	}
	if err := first.Resume(); err == nil {
		t.Error("Resume of a stopped server succeeded")
	}
	if _, err := os.Stat(first.Dir()); !os.IsNotExist(err) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
	if wd, err := os.Getwd(); err != nil || wd != before {
		t.Errorf("working directory %s, %v; want %s", wd, err, before)
	}
	start(t, s3d.Options{})
}

func TestStartErrorsSayWhy(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := busy.Close(); err != nil {
			t.Error(err)
		}
	}()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		o    s3d.Options
		want string
	}{
		{"port in use", s3d.Options{Addr: busy.Addr().String()}, "address already in use"},
		{"directory is a file", s3d.Options{Dir: file}, file},
		{"bucket name", s3d.Options{Buckets: []string{"No_Such"}}, `"No_Such"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := s3d.Start(tt.o)
			if err == nil {
				t.Fatalf("Start succeeded; Stop: %v", s.Stop())
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

// A gateway stopped at once used to keep its listener: see answers.
func TestStopRightAfterStart(t *testing.T) {
	for range 10 {
		s := start(t, s3d.Options{})
		if err := s.Stop(); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if c, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint(), "http://")); err == nil {
			t.Fatalf("a stopped server accepts connections: %v", c.Close())
		}
	}
}

func TestNothingIsPrinted(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = write, write
	s, startErr := s3d.Start(s3d.Options{Sidecar: true, Buckets: []string{"pictures"}})
	var stopErr error
	if startErr == nil {
		stopErr = s.Stop()
	}
	os.Stdout, os.Stderr = stdout, stderr
	if err := errors.Join(startErr, stopErr, write.Close()); err != nil {
		t.Fatal(err)
	}
	printed, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(printed)) > 0 {
		t.Errorf("the server printed %q", printed)
	}
}
