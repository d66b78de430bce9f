package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/s3d"
)

// publish is a job from another program, as the user enqueue.
func publish(t *testing.T, b *broker, subject, id, body string) {
	t.Helper()
	nc, err := nats.Connect(b.url("enqueue"), nats.CustomInboxPrefix("_INBOX_enqueue"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), subject, []byte(body), jetstream.WithMsgID(id)); err != nil {
		t.Fatal(err)
	}
}

// TestPrograms runs the built programs as compose.yaml does, with its settings and its users, on a broker with accounts.conf and a store in this process: nothing that they
// ask the broker for is refused.
func TestPrograms(t *testing.T) {
	pipeline, err := filepath.Abs("../testdata/pipelines/sd15")
	if err != nil {
		t.Fatal(err)
	}
	library := os.Getenv("ONNXRUNTIME_LIB")
	if library == "" {
		t.Fatal("the worker needs ONNX Runtime: run `make unit`, or set ONNXRUNTIME_LIB to what `make ort` prints")
	}
	services := compose(t).Services
	worker, enqueue := built(t, "worker"), built(t, "enqueue")
	b := startBroker(t, "nats/accounts.conf", services["nats"].Environment)
	store, err := s3d.Start(s3d.Options{AccessKey: services["minio"].Environment["MINIO_ROOT_USER"], SecretKey: services["minio"].Environment["MINIO_ROOT_PASSWORD"], Buckets: []string{"images"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Stop(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	// command is one of a service, with the addresses of this test.
	command := func(service, binary string, args ...string) *exec.Cmd {
		env := []string{"HOME=" + dir, "PATH=/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED=true", "MODELS=" + pipeline, "ONNXRUNTIME_LIB=" + library, "HTTP_ADDR=127.0.0.1:0"}
		for name, value := range services[service].Environment {
			switch name {
			case "OTEL_EXPORTER_OTLP_ENDPOINT":
				continue
			case "AWS_ENDPOINT_URL_S3":
				value = store.Endpoint()
			}
			env = append(env, name+"="+strings.Replace(value, "nats:4222", b.addr, 1))
		}
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Dir, cmd.Env = dir, env
		return cmd
	}
	run := func(service string, args ...string) string {
		t.Helper()
		out, err := command(service, enqueue, args...).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("refused")) {
			t.Errorf("%s: enqueue %s: %v\n%s", service, strings.Join(args, " "), err, out)
		}
		return string(out)
	}

	run("setup", "setup", "--models", "sd15")
	painter := command("worker", worker)
	log, err := os.Create(filepath.Join(dir, "worker.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	painter.Stderr = log
	if err := painter.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- painter.Wait() }() // ends with the worker
	// enqueue knows no models before the worker has registered its own.
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out, err := command("enqueue", enqueue, "a red fox", "--model", "sd15", "--steps", "2", "--seeds", "1..3", "--batch", "foxes", "--wait", "--out", "pictures").CombinedOutput()
		if err == nil {
			break
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "model") || time.Since(begin) > time.Minute {
			t.Fatalf("enqueue: %v\n%s\nthe worker: %s", err, out, read(t, log.Name()))
		}
	}
	if pictures, err := filepath.Glob(filepath.Join(dir, "pictures", "*.png")); err != nil || len(pictures) != 3 {
		t.Errorf("pictures %q, %v: want three", pictures, err)
	}
	run("enqueue", "wait", "foxes")
	run("enqueue", "status")
	run("enqueue", "status", "foxes")
	run("enqueue", "a hen", "--model", "sd15", "--steps", "1000", "--seeds", "1..20", "--batch", "hens")
	run("enqueue", "cancel", "hens/3")
	run("enqueue", "cancel", "hens")

	// A job that nobody can read dies; it is looked at and deleted.
	publish(t, b, "jobs.normal.sd15.bad", "bad/0", `{"model": "sd15", "prompt": 7}`)
	for begin := time.Now(); !strings.Contains(run("enqueue", "dlq", "list", "bad"), "invalid_job"); time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("the job does not die")
		}
	}
	run("enqueue", "dlq", "show", "bad/0")
	run("enqueue", "retry", "foxes", "--missing")
	run("enqueue", "dlq", "purge", "bad", "--yes")

	run("setup", "pause", "--model", "sd15")
	run("setup", "resume")
	run("setup", "repair", "--force", "--yes")
	if out, err := command("worker", worker, "doctor").CombinedOutput(); err != nil || bytes.Contains(out, []byte("refused")) {
		t.Errorf("worker doctor: %v\n%s", err, out)
	}

	if err := painter.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	select {
	case err := <-ended:
		if said := read(t, log.Name()); err != nil || bytes.Contains(said, []byte("refused")) {
			t.Errorf("the worker: %v\n%s", err, said)
		}
	case <-ctx.Done():
		t.Fatal("the worker does not leave")
	}
}
