package queue

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// verdicts are the findings that are not as they should be: "name: mend".
func verdicts(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		if f.Err != nil {
			out = append(out, f.Name+": "+f.Mend)
		}
	}
	return out
}

// as is the broker's URL for a user.
func as(s *natsd.Server, user string) string {
	return strings.Replace(s.URL(), "//", "//"+user+"@", 1)
}

// restricted starts a broker with an administrator, and a worker that may not do what deny says.
func restricted(t *testing.T, publish, subscribe []string) (*natsd.Server, Config) {
	t.Helper()
	s := startBroker(t, natsd.Options{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "a"}, {Username: "worker", Password: "w", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: publish}, Subscribe: &server.SubjectPermission{Deny: subscribe},
		}}}
	}})
	admin, err := Connect(t.Context(), Config{URL: as(s, "admin:a")})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.shut()
	if _, err := admin.Setup(t.Context(), Layout{Models: []string{"m"}}); err != nil {
		t.Fatal(err)
	}
	return s, Config{URL: as(s, "worker:w")}
}

func TestExamineAHealthyQueue(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	s, c := newQueue(t, layout)
	publishMany(t, c, "normal", "m", 3)
	visible(t, c, layout)
	before := stateOf(t, c)
	findings := Examine(t.Context(), Config{URL: s.URL()}, layout.Models)
	if bad := verdicts(findings); bad != nil {
		t.Errorf("%s", strings.Join(bad, "\n"))
	}
	var names []string
	for _, f := range findings {
		names = append(names, f.Name)
	}
	want := []string{
		"connection", "stream JOBS", "stream RESULTS", "stream DEAD",
		"bucket batches", "read batches", "bucket attempts", "read attempts", "write attempts", "bucket models", "read models", "write models",
		"consumer w-high-m", "fetch from w-high-m", "settle jobs of w-high-m", "consumer w-normal-m", "fetch from w-normal-m", "settle jobs of w-normal-m",
		"consumer w-low-m", "fetch from w-low-m", "settle jobs of w-low-m",
		"publish results", "publish dead letters", "publish progress", "publish status",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if !strings.Contains(findings[0].Detail, "nats-server 2.") || findings[1].Detail != "3 messages, 1 replicas" {
		t.Errorf("findings %+v", findings[:2])
	}
	if diff := cmp.Diff(before, stateOf(t, c)); diff != "" {
		t.Errorf("the examination changed something (-before +after):\n%s", diff)
	}
}

// stateOf is what the broker holds: last sequences of all streams, and where the consumers stand.
func stateOf(t *testing.T, c *Client) []string {
	t.Helper()
	var out []string
	for info := range c.js.ListStreams(t.Context()).Info() {
		out = append(out, fmt.Sprint(info.Config.Name, info.State.Msgs, info.State.LastSeq, info.State.Consumers))
		s, err := c.js.Stream(t.Context(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for consumer := range s.ListConsumers(t.Context()).Info() {
			out = append(out, fmt.Sprint(consumer.Name, consumer.Delivered.Consumer, consumer.AckFloor.Consumer, consumer.NumPending, consumer.NumAckPending, consumer.NumWaiting))
		}
	}
	return out
}

func TestExamineAnEmptyBroker(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	for _, manual := range []bool{false, true} {
		findings := Examine(t.Context(), Config{URL: s.URL(), NoAutoCreate: manual, Prefix: "acme"}, []string{"m"})
		if len(findings) != 14 {
			t.Errorf("%d findings: %+v", len(findings), findings)
		}
		for _, f := range findings {
			switch f.Name {
			case "connection", "publish progress", "publish status":
				if f.Err != nil {
					t.Errorf("%+v", f)
				}
			default:
				if f.Err == nil || f.Warning == manual || !strings.Contains(f.Mend, "enqueue setup --models m --queue-prefix acme") {
					t.Errorf("%+v", f)
				}
			}
		}
	}
	c := connect(t, s, Config{})
	if left := stateOf(t, c); len(left) != 0 {
		t.Errorf("the examination made %v", left)
	}
}

// TestExamineRights: each right that is missing is one finding that names it, with the mend.
func TestExamineRights(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		publish []string // denied
		want    []string
	}{
		{[]string{"results.>"}, []string{"publish results: allow the user to publish to results.doctor.0"}},
		{[]string{"dead.>"}, []string{"publish dead letters: allow the user to publish to dead.doctor.0"}},
		{[]string{"progress.>"}, []string{"publish progress: allow the user to publish to progress.doctor.0"}},
		{[]string{"status.>"}, []string{"publish status: allow the user to publish to status.doctor"}},
		{[]string{"$KV.attempts.>"}, []string{"write attempts: allow the user to publish to $KV.attempts.doctor"}},
		{[]string{"$JS.API.DIRECT.GET.KV_batches.>"}, []string{"read batches: allow the user to publish to $JS.API.DIRECT.GET.KV_batches.$KV.batches.doctor"}},
		{[]string{"$JS.API.STREAM.INFO.KV_models"}, []string{"bucket models: allow the user to publish to $JS.API.STREAM.INFO.KV_models"}},
		{[]string{"$JS.API.CONSUMER.MSG.NEXT.JOBS.w-low-m"}, []string{"fetch from w-low-m: allow the user to publish to $JS.API.CONSUMER.MSG.NEXT.JOBS.w-low-m"}},
		{[]string{"$JS.ACK.JOBS.w-high-m.>"}, []string{"settle jobs of w-high-m: allow the user to publish to $JS.ACK.JOBS.w-high-m.1.0.0.0.0"}},
		{[]string{"$JS.API.CONSUMER.INFO.JOBS.w-normal-m"}, []string{"consumer w-normal-m: allow the user to publish to $JS.API.CONSUMER.INFO.JOBS.w-normal-m"}},
		{[]string{"$JS.API.STREAM.INFO.DEAD"}, []string{"stream DEAD: allow the user to publish to $JS.API.STREAM.INFO.DEAD"}},
	} {
		t.Run(tt.publish[0], func(t *testing.T) {
			t.Parallel()
			_, cfg := restricted(t, tt.publish, nil)
			if diff := cmp.Diff(tt.want, verdicts(Examine(t.Context(), cfg, []string{"m"}))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExamineStreamsThatNeedNotBeSeen(t *testing.T) {
	t.Parallel()
	_, cfg := restricted(t, []string{"$JS.API.STREAM.INFO.JOBS", "$JS.API.STREAM.INFO.RESULTS", "$JS.API.STREAM.INFO.DEAD"}, nil)
	cfg.NoAutoCreate = true
	if bad := verdicts(Examine(t.Context(), cfg, []string{"m"})); bad != nil {
		t.Errorf("%v", bad)
	}
}

func TestExamineInbox(t *testing.T) {
	t.Parallel()
	_, cfg := restricted(t, nil, []string{"_INBOX.>"})
	want := []string{"stream JOBS: the user may not receive replies: allow it to subscribe to _INBOX.>, or set NATS_INBOX_PREFIX to what it may"}
	if diff := cmp.Diff(want, verdicts(Examine(t.Context(), cfg, []string{"m"}))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	cfg.InboxPrefix = "_INBOX_worker"
	if bad := verdicts(Examine(t.Context(), cfg, []string{"m"})); bad != nil {
		t.Errorf("with another prefix: %v", bad)
	}
}

// TestExamineDifferences: what is there and not as it should be is a warning.
func TestExamineDifferences(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{Models: []string{"m"}})
	cons := Layout{}.consumer(c.names, "low", "m")
	cons.AckWait = 7e9
	if _, err := c.js.UpdateConsumer(t.Context(), "JOBS", cons); err != nil {
		t.Fatal(err)
	}
	for _, f := range Examine(t.Context(), Config{URL: s.URL()}, []string{"m"}) {
		if bad := f.Name == "consumer w-low-m"; bad != (f.Err != nil) || bad && (!f.Warning || !strings.Contains(f.Err.Error(), "ack_wait is 7s, not 30s")) {
			t.Errorf("%+v", f)
		}
	}
}

func TestExamineConnection(t *testing.T) {
	t.Parallel()
	plain := startBroker(t, natsd.Options{})
	users, _ := restricted(t, nil, nil)
	bare := startBroker(t, natsd.Options{Configure: func(o *server.Options) {
		o.Accounts = []*server.Account{server.NewAccount("A")}
		o.Users = []*server.User{{Username: "u", Password: "p", Account: o.Accounts[0]}}
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cfg  Config
		says string
	}{
		"nobody there":        {Config{URL: "nats://" + closed}, "connection: nobody answers there: start the broker"},
		"wrong password":      {Config{URL: as(users, "worker:wrong")}, "connection: the broker does not take the user"},
		"no password":         {Config{URL: users.URL()}, "connection: the broker does not take the user"},
		"TLS to none":         {Config{URL: strings.Replace(plain.URL(), "nats", "tls", 1)}, "connection: the broker has no TLS: write nats://"},
		"no such host":        {Config{URL: "nats://no-such-host.invalid"}, "connection: no such host: correct NATS_URL"},
		"not a URL":           {Config{URL: "http://h"}, "settings: correct the setting"},
		"no file":             {Config{Creds: "/does/not/exist"}, "settings: correct the setting"},
		"bad prefix":          {Config{Prefix: "a b"}, "settings: correct the setting"},
		"account without JS":  {Config{URL: as(bare, "u:p")}, "JetStream: start nats-server with -js, or enable JetStream for the user's account"},
		"a model without one": {Config{URL: plain.URL()}, "models: correct MODELS"},
	} {
		t.Run(name, func(t *testing.T) {
			models := []string{"m"}
			if name == "a model without one" {
				models = []string{"a b"}
			}
			got := verdicts(Examine(t.Context(), tt.cfg, models))
			if len(got) != 1 || !strings.HasPrefix(got[0], tt.says) {
				t.Errorf("findings %q, want %q", got, tt.says)
			}
			for _, f := range Examine(t.Context(), tt.cfg, models) {
				if strings.Contains(f.Detail+fmt.Sprint(f.Err), "wrong") {
					t.Errorf("a password in %+v", f)
				}
			}
		})
	}
}

func TestRefusedOnly(t *testing.T) {
	if refusedOnly(nil) == nil || refusedOnly(errors.New("x")) == nil || refusedOnly(&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}) != nil {
		t.Error("only the refusal of the condition is a success")
	}
}
