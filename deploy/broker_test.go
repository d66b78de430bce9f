package deploy_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/s3d"
	"github.com/stipple-ai/stipple/internal/queue"
)

func TestMain(m *testing.M) {
	var ignore []goleak.Option
	for _, name := range s3d.Lingering() {
		ignore = append(ignore, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, append(ignore, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(programs.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))...)
}

// broker is a nats-server with a configuration of this folder, and what its users did.
type broker struct {
	t       *testing.T
	addr    string
	options *server.Options
	trace   *trace
}

// startBroker runs a broker as a configuration file says, but for port and folder, which are the test's own, and a disk that is not synced
// for each write.
func startBroker(t *testing.T, file string, env map[string]string) *broker {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.HTTPPort, o.HTTPHost = "127.0.0.1", server.RANDOM_PORT, 0, ""
	o.JetStream, o.StoreDir, o.SyncAlways = true, t.TempDir(), false
	o.NoSigs, o.NoLog = true, false
	ns, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, options: o, trace: &trace{done: map[string]map[string]bool{}}}
	ns.SetLoggerV2(b.trace, false, true, false)
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker takes no connections")
	}
	b.addr = ns.Addr().String()
	return b
}

// url is what a user connects to.
func (b *broker) url(user string) string {
	for _, u := range b.options.Users {
		if u.Username == user {
			return (&url.URL{Scheme: "nats", User: url.UserPassword(user, u.Password), Host: b.addr}).String()
		}
	}
	b.t.Fatalf("there is no user %s", user)
	return ""
}

// config is what a user's program is told, with QUEUE_AUTO_CREATE off.
func (b *broker) config(user, prefix string) queue.Config {
	return queue.Config{URL: b.url(user), InboxPrefix: "_INBOX_" + user, Prefix: prefix, NoAutoCreate: user != "admin", Name: user}
}

// connect connects as a program does. What the broker refuses the client fails the test.
func (b *broker) connect(cfg queue.Config) *queue.Client {
	b.t.Helper()
	cfg.Logger = slog.New(refusals{b.t, cfg.Name})
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	c, err := queue.Connect(ctx, cfg)
	if err != nil {
		b.t.Fatalf("%s: %v", cfg.Name, err)
	}
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			b.t.Errorf("%s: %v", cfg.Name, err)
		}
	})
	return c
}

// refusals fails a test for what a client logs as an error: operations that the broker refused.
type refusals struct {
	t    *testing.T
	user string
}

func (refusals) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (r refusals) WithAttrs([]slog.Attr) slog.Handler         { return r }
func (r refusals) WithGroup(string) slog.Handler              { return r }
func (r refusals) Handle(_ context.Context, record slog.Record) error {
	var attrs []string
	record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a.String())
		return true
	})
	r.t.Errorf("%s: %s: %s", r.user, record.Message, strings.Join(attrs, " "))
	return nil
}

// trace is the broker's log: it notes what users published and subscribed to.
type trace struct {
	mu   sync.Mutex
	done map[string]map[string]bool // "PUB jobs.normal.m.b" and "SUB …", by user
}

var traced = regexp.MustCompile(`/user:([\w-]+)" - <<- \[(H?PUB|SUB) (\S+)`)

func (t *trace) Tracef(format string, args ...any) {
	m := traced.FindStringSubmatch(fmt.Sprintf(format, args...))
	if m == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done[m[1]] == nil {
		t.done[m[1]] = map[string]bool{}
	}
	t.done[m[1]][strings.TrimPrefix(m[2], "H")+" "+m[3]] = true
}

func (*trace) Noticef(string, ...any) {}
func (*trace) Warnf(string, ...any)   {}
func (*trace) Errorf(string, ...any)  {}
func (*trace) Debugf(string, ...any)  {}
func (*trace) Fatalf(string, ...any)  {}

// of returns what a user did.
func (t *trace) of(user string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.done[user]))
}

// matches reports whether a pattern of permissions covers a subject, wildcards of which are taken as they stand.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s) || token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a", false}, {"a", "a.b", false}, {"a.*", "a.b", true}, {"a.*", "a.*", true}, {"a.*", "a", false},
		{"a.>", "a.b.c", true}, {"a.>", "a", false}, {"*.b", "a.c", false},
	} {
		if got := matches(c.pattern, c.subject); got != c.want {
			t.Errorf("%s covers %s: %v", c.pattern, c.subject, got)
		}
	}
}

// passwords are for the variables that a configuration names.
func passwords(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`password: \$(\w+)`).FindAllStringSubmatch(string(data), -1) {
		env[m[1]] = "test-" + m[1]
	}
	if len(env) < 3 {
		t.Fatalf("%s names the passwords %v", file, env)
	}
	return env
}
