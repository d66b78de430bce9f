package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/ports"
)

// server is a broker or a store that a story may take away: a process of its own, or a service of deploy/compose.yaml.
type server struct {
	t       *testing.T
	name    string                      // of the process or service
	launch  func() *process             // nil for a service
	answers func(context.Context) error // nil once it can be used
	process *process                    // nil while it is stopped, and for a service
	away    bool
}

// startTime is long enough for a server to start on a machine that is busy.
const startTime = 60 * time.Second

// start starts a server, or starts it again with the same data and address, and returns when it can be used.
func (s *server) start() {
	s.t.Helper()
	if s.launch != nil {
		s.process = s.launch()
	} else if s.away {
		s.compose("start", s.name)
	}
	s.away = false
	s.awaitAnswer()
}

// awaitAnswer returns when the server can be used.
func (s *server) awaitAnswer() {
	s.t.Helper()
	eventually(s.t, startTime, func() string {
		if s.process != nil && !s.process.running() {
			s.t.Fatalf("%s ended instead of starting:\n%s", s.name, tail(s.process.errs(), 20))
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
		defer cancel()
		if err := s.answers(ctx); err != nil {
			return fmt.Sprintf("%s does not answer: %v", s.name, err)
		}
		return ""
	})
}

// stop ends the server as an operator would.
func (s *server) stop() {
	s.t.Helper()
	s.away = true
	if s.launch == nil {
		s.compose("stop", s.name)
		s.t.Cleanup(s.back)
		return
	}
	s.process.signal(syscall.SIGTERM)
	s.process.exit(startTime)
}

// kill ends the server in the middle of whatever it does.
func (s *server) kill() {
	s.t.Helper()
	s.away = true
	if s.launch == nil {
		s.compose("kill", "--signal", "KILL", s.name)
		s.t.Cleanup(s.back)
		return
	}
	s.process.kill()
}

// back gives a service that a story took away back to the next one.
func (s *server) back() {
	if s.away {
		s.compose("start", s.name)
	}
}

func (s *server) compose(args ...string) {
	s.t.Helper()
	if len(given.compose) == 0 {
		s.t.Fatalf("this story takes %s away, and NATS_URL and AWS_ENDPOINT_URL do not say how: set E2E_COMPOSE to the command of its compose project", s.name)
	}
	// The story's context has ended when its servers are given back.
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, given.compose[0], append(given.compose[1:], args...)...)
	cmd.Dir = given.repository
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// broker is a nats-server with JetStream, its streams in dir.
func broker(t *testing.T, dir string) (s *server, url string) {
	t.Helper()
	if given.external() {
		return &server{t: t, name: "nats", answers: func(ctx context.Context) error { return jetStreamAnswers(ctx, given.natsURL) }}, given.natsURL
	}
	port := freePort(t)
	url = "nats://127.0.0.1:" + port
	s = &server{
		t: t, name: "nats-server",
		launch: func() *process {
			return start(t, dir, "nats-server", []string{}, given.natsServer, "--jetstream", "--store_dir", filepath.Join(dir, "jetstream"), "--addr", "127.0.0.1", "--port", port)
		},
		answers: func(ctx context.Context) error { return jetStreamAnswers(ctx, url) },
	}
	return s, url
}

func jetStreamAnswers(ctx context.Context, url string) error {
	nc, err := nats.Connect(url, nats.Timeout(time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.AccountInfo(ctx)
	return err
}

// store is an S3 server, its objects in dir. answers is told its address, for it takes an S3 client to ask.
func store(t *testing.T, dir string, answers func(ctx context.Context, endpoint string) error) (s *server, endpoint string) {
	t.Helper()
	if given.external() {
		return &server{t: t, name: "minio", answers: func(ctx context.Context) error { return answers(ctx, given.endpoint) }}, given.endpoint
	}
	address := "127.0.0.1:" + freePort(t)
	endpoint = "http://" + address
	data := filepath.Join(dir, "store")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	return &server{
		t: t, name: given.storeKind, launch: func() *process { return launchStore(t, dir, data, address) },
		answers: func(ctx context.Context) error { return answers(ctx, endpoint) },
	}, endpoint
}

func launchStore(t *testing.T, dir, data, address string) *process {
	t.Helper()
	switch given.storeKind {
	case "versitygw":
		env := []string{"ROOT_ACCESS_KEY=" + given.accessKey, "ROOT_SECRET_KEY=" + given.secretKey}
		// Metadata beside the objects, since not every file system has extended attributes.
		sidecar := filepath.Join(dir, "metadata")
		if err := os.MkdirAll(sidecar, 0o755); err != nil {
			t.Fatal(err)
		}
		return start(t, dir, "versitygw", env, given.storeServer, "--port", address, "--region", given.region, "posix", "--sidecar", sidecar, data)
	case "minio":
		env := []string{"MINIO_ROOT_USER=" + given.accessKey, "MINIO_ROOT_PASSWORD=" + given.secretKey, "MINIO_REGION=" + given.region, "HOME=" + dir}
		return start(t, dir, "minio", env, given.storeServer, "server", "--address", address, "--console-address", "127.0.0.1:0", data)
	}
	t.Fatalf("E2E_STORE is %q: the stories can start versitygw and minio", given.storeKind)
	return nil
}

// freePort draws a port that nobody listens on. It stays the same when its server is started again.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}
