package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/worker"
)

// TestASecondSignalEndsEveryCommand that loads models, which cannot be called off: at the first one they give the next back to the system.
func TestASecondSignalEndsEveryCommand(t *testing.T) {
	settings := map[string]string{"MODELS": "/nonexistent", "BENCH_MODEL": "/nonexistent", "S3_BUCKET": "images", "NATS_URL": "nats://127.0.0.1:1", "ONNXRUNTIME_LIB": "/nonexistent.so"}
	for _, args := range [][]string{{}, {"bench"}, {"warm"}, {"doctor"}} {
		ctx, signal := context.WithCancel(t.Context())
		signal()
		forgotten := make(chan struct{})
		run(ctx, func() { close(forgotten) }, args, func(k string) string { return settings[k] }, io.Discard, io.Discard)
		select {
		case <-forgotten:
		case <-time.After(10 * time.Second):
			t.Errorf("worker %s takes no notice of a second signal", strings.Join(args, " "))
		}
	}
}

// TestBadInput: every bad setting is one message that names it, exit code 2, before anything connects.
func TestBadInput(t *testing.T) {
	good := map[string]string{"MODELS": "/nonexistent", "S3_BUCKET": "images"}
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want []string
	}{
		{"unknown flag", []string{"--modles", "x"}, nil, []string{"--modles", "worker -h"}},
		{"argument", []string{"start"}, nil, []string{`"start"`}},
		{"nothing set", nil, map[string]string{"MODELS": "", "S3_BUCKET": ""}, []string{"MODELS", "S3_BUCKET"}},
		{"duration", nil, map[string]string{"ACK_WAIT": "soon"}, []string{"ACK_WAIT", "soon"}},
		{"number", nil, map[string]string{"LANES": "two"}, []string{"LANES"}},
		{"negative", nil, map[string]string{"SLOTS": "-1"}, []string{"SLOTS", "-1"}},
		{"row shapes", nil, map[string]string{"ROW_SHAPES": "1;2"}, []string{"ROW_SHAPES"}},
		{"small row shapes", nil, map[string]string{"ROW_SHAPES": "1,2", "MAX_ROWS": "4"}, []string{"ROW_SHAPES", "MAX_ROWS"}},
		{"provider", nil, map[string]string{"PROVIDER": "tpu"}, []string{"PROVIDER", "tpu"}},
		{"level", nil, map[string]string{"LOG_LEVEL": "loud"}, []string{"LOG_LEVEL", "loud"}},
		{"format", nil, map[string]string{"LOG_FORMAT": "xml"}, []string{"LOG_FORMAT", "xml"}},
		{"tags", nil, map[string]string{"S3_TAGS": "a"}, []string{"S3_TAGS"}},
		{"prefix", nil, map[string]string{"S3_PREFIX": "a"}, []string{"S3_PREFIX", `"a/"`}},
		{"arena", nil, map[string]string{"ARENA_LIMIT": "1MiB"}, []string{"ARENA_LIMIT", "16MiB"}},
		{"bool", nil, map[string]string{"QUEUE_AUTO_CREATE": "maybe"}, []string{"QUEUE_AUTO_CREATE"}},
		{"same token", nil, map[string]string{"MODELS": "a.b=/x,a_b=/y"}, []string{"a.b and a_b"}},
		{"checkpoint ttl", nil, map[string]string{"CHECKPOINT_TTL": "1s"}, []string{"CHECKPOINT_TTL", "at least 1m0s"}},
		{"checkpoint every", nil, map[string]string{"CHECKPOINT_EVERY": "-5"}, []string{"CHECKPOINT_EVERY", "-5"}},
		{"library", nil, map[string]string{"ONNXRUNTIME_LIB": "/nonexistent.so"}, []string{"/nonexistent.so", "make ort"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := func(k string) string {
				if v, ok := c.env[k]; ok {
					return v
				}
				return good[k]
			}
			var stdout, stderr bytes.Buffer
			code := run(context.Background(), func() {}, c.args, getenv, &stdout, &stderr)
			if code != exitConfig {
				t.Errorf("exit code %d, want %d", code, exitConfig)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q lacks %q", stderr.String(), want)
				}
			}
		})
	}
}

func TestHelpIsTheManual(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), func() {}, []string{"-h"}, func(string) string { return "" }, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	for _, want := range []string{"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_INBOX_PREFIX", "QUEUE_PREFIX", "QUEUE_AUTO_CREATE", "ACK_WAIT", "MAX_ATTEMPTS", "JOB_TIMEOUT", "CALL_TIMEOUT",
		"S3_BUCKET", "S3_PREFIX", "S3_TAGS", "S3_SSE", "S3_SSE_KMS_KEY_ID", "AWS_ENDPOINT_URL_S3", "MODELS", "ONNXRUNTIME_LIB", "PROVIDER", "DEVICE", "MAX_ROWS", "ROW_SHAPES", "LANES", "SLOTS",
		"DRAIN_TIMEOUT", "FLUSH_TIMEOUT", "CHECKPOINT", "CHECKPOINT_TTL", "CHECKPOINT_EVERY", "HTTP_ADDR", "OTEL_", "MODEL_REPLACE", "TRACE_PROPAGATION"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("-h does not name %s", want)
		}
	}
}

func TestFinish(t *testing.T) {
	var got worker.Config
	cmd := command(func(s *settings) (err error) {
		got, err = s.finish()
		return err
	}, func(k string) string {
		return map[string]string{"MODELS": "sd=/m", "S3_BUCKET": "b", "QUEUE_PREFIX": "acme", "QUEUE_AUTO_CREATE": "false", "ROW_SHAPES": "2, 4", "ARENA_LIMIT": "2GiB", "S3_TAGS": "a=b", "DRAIN_TIMEOUT": "0.5s"}[k]
	})
	cmd.SetArgs([]string{"--lanes", "3"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if got.Store.Prefix != "acme/" || !got.Queue.NoAutoCreate || got.MaxRows != 4 || got.Lanes != 3 || got.Slots != 14 || got.Runtime.ArenaLimit != 2<<30 || got.DrainTimeout != 500*time.Millisecond || !got.HTTPOptional {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"a": "b"}, got.Store.Tags); diff != "" {
		t.Error(diff)
	}
}

// TestWatchdog ends a process that does not end by itself, in the time from whatever made it leave, and no other.
func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		name         string
		leaves, ends time.Duration // from the start; 0: never
		want         time.Duration
	}{
		{"never leaves", 0, time.Hour, 0},
		{"leaves in time", time.Second, 3 * time.Second, 0},
		{"hangs", time.Second, 0, time.Second + 2500*time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, ended := time.Now(), time.Duration(0)
				leaving, leave := context.WithCancel(t.Context())
				stop := watchdog(leaving, 2*time.Second, func() { ended = time.Since(begin) })
				if c.leaves > 0 {
					time.Sleep(c.leaves)
					leave()
				}
				if c.ends > 0 {
					time.Sleep(c.ends - c.leaves)
				} else {
					time.Sleep(time.Hour)
				}
				stop()
				leave()
				synctest.Wait()
				if ended != c.want {
					t.Errorf("ended after %v, want %v", ended, c.want)
				}
			})
		})
	}
}
