//go:build unix

package upload

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// startSink runs the sink in a process of its own.
func startSink(b *testing.B) (endpoint string) {
	b.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0]) // it ends by itself, after the benchmark
	cmd.Env = append(os.Environ(), sinkVariable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			b.Errorf("sink: %v", err)
		}
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr)
}

// cpuTime is what this process has used, user and system.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPut compares Store.Put with the SDK's PutObject and with a bare request of net/http that says the same and has
// the same signature. cpu-µs/op is this process's CPU time; the store has a process of its own.
func BenchmarkPut(b *testing.B) {
	object := cat()
	object.Body = noise(100, 100, 1).Pix // 30 kB
	object.Metadata.SHA256 = hexSHA256(object.Body)
	endpoint := startSink(b)
	store := func() *Store {
		s, err := Open(b.Context(), Config{Bucket: "pictures", Endpoint: endpoint, AccessKeyID: "a", SecretAccessKey: "s"}, nil)
		if err != nil {
			b.Fatal(err)
		}
		s.found.Store(&Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
		return s
	}
	s, bySDK := store(), store()
	defer s.Close()
	defer bySDK.Close()
	bySDK.putter = nil
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	bare := &barePut{client: &http.Client{Transport: transport}, signer: v4.NewSigner(), url: endpoint + "/pictures/" + testKey}
	for _, way := range []struct {
		name string
		put  func(ctx context.Context) error
	}{
		{"stipple", func(ctx context.Context) error {
			_, err := s.Put(ctx, testKey, object)
			return err
		}},
		{"sdk", func(ctx context.Context) error {
			_, err := bySDK.Put(ctx, testKey, object)
			return err
		}},
		{"net_http", func(ctx context.Context) error { return bare.put(ctx, object) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			begin := cpuTime(b)
			for b.Loop() {
				if err := way.put(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-begin).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
		})
	}
}

// barePut sends an object with nothing around it.
type barePut struct {
	client *http.Client
	signer *v4.Signer
	url    string
}

func (p *barePut) put(ctx context.Context, o Object) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, p.url, bytes.NewReader(o.Body))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(o.Body)
	hash := hex.EncodeToString(sum[:])
	for name, value := range o.Metadata.Encode() {
		req.Header.Set("X-Amz-Meta-"+name, value)
	}
	req.Header.Set("Content-Type", o.ContentType)
	req.Header.Set("If-None-Match", "*")
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if err := p.signer.SignHTTP(ctx, aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, req, hash, "s3", DefaultRegion, time.Now()); err != nil {
		return err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}
