package flagenv

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func newSet(t *testing.T) (*pflag.FlagSet, *string, *time.Duration, *int) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	url := fs.String("nats-url", "nats://127.0.0.1:4222", "the broker")
	wait := fs.Duration("ack-wait", 30*time.Second, "the lease")
	key := fs.Int("secret-number", 0, "a secret")
	Secret(fs, "secret-number")
	return fs, url, wait, key
}

func TestApply(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     []string
		env      map[string]string
		wantURL  string
		wantWait time.Duration
	}{
		{"defaults", nil, nil, "nats://127.0.0.1:4222", 30 * time.Second},
		{"environment", nil, map[string]string{"NATS_URL": "nats://b:1", "ACK_WAIT": "2s"}, "nats://b:1", 2 * time.Second},
		{"flag wins", []string{"--nats-url", "nats://f:1"}, map[string]string{"NATS_URL": "nats://b:1"}, "nats://f:1", 30 * time.Second},
		{"empty is unset", nil, map[string]string{"ACK_WAIT": ""}, "nats://127.0.0.1:4222", 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs, url, wait, _ := newSet(t)
			if err := fs.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			if err := Apply(fs, func(k string) string { return c.env[k] }); err != nil {
				t.Fatal(err)
			}
			if *url != c.wantURL || *wait != c.wantWait {
				t.Errorf("got %s %s, want %s %s", *url, *wait, c.wantURL, c.wantWait)
			}
		})
	}
}

func TestApplyNamesEveryBadVariable(t *testing.T) {
	fs, _, _, _ := newSet(t)
	err := Apply(fs, func(k string) string { return map[string]string{"ACK_WAIT": "soon", "SECRET_NUMBER": "hunter2"}[k] })
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"ACK_WAIT", "SECRET_NUMBER"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the secret is in the message: %q", err)
	}
}

func TestDescribeAndBind(t *testing.T) {
	fs, url, _, _ := newSet(t)
	Bind(fs, "nats-url", "BROKER")
	broker, secret := fs.Lookup("nats-url"), fs.Lookup("secret-number")
	if v := Variable(broker); v != "" {
		t.Errorf("a flag that was not described reads %s", v)
	}
	Describe(fs)
	if v, usage := Variable(broker), Usage(broker, broker.Usage); v != "BROKER" || usage != "the broker" {
		t.Errorf("got %q, %q", v, usage)
	}
	if IsSecret(broker) || !IsSecret(secret) {
		t.Error("the wrong flag is secret")
	}
	if usage := fs.FlagUsages(); !strings.Contains(usage, "[$BROKER]") || !strings.Contains(usage, "[$ACK_WAIT]") {
		t.Errorf("usage lacks the variables:\n%s", usage)
	}
	if err := Apply(fs, func(k string) string { return map[string]string{"BROKER": "nats://x:1"}[k] }); err != nil || *url != "nats://x:1" {
		t.Errorf("got %s, %v", *url, err)
	}
}
