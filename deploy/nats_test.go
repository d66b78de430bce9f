package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestNATSConf has the broker's own code read nats.conf.
func TestNATSConf(t *testing.T) {
	o, err := server.ProcessConfigFile("nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !o.JetStream || !o.SyncAlways {
		t.Errorf("JetStream %v, sync_interval always %v: want both, or a power cut loses acknowledged jobs", o.JetStream, o.SyncAlways)
	}
	if o.StoreDir != "/data" {
		t.Errorf("store_dir is %s; compose.yaml keeps /data", o.StoreDir)
	}
}

// TestComposeUsers: with the users of compose.yaml each program does its work, and without one nobody gets in.
func TestComposeUsers(t *testing.T) {
	services := compose(t).Services
	b := startBroker(t, "nats/accounts.conf", services["nats"].Environment)
	layout := queue.Layout{Models: []string{"tiny-emoji"}}
	for _, service := range []string{"setup", "worker", "enqueue", "page"} { // in the order of depends_on
		env := services[service].Environment
		if auto := env["QUEUE_AUTO_CREATE"]; (auto == "false") != (service != "setup") {
			t.Errorf("%s: QUEUE_AUTO_CREATE is %q: setup makes everything, the others may not", service, auto)
		}
		c := b.connect(queue.Config{
			URL: strings.Replace(env["NATS_URL"], "nats:4222", b.addr, 1), InboxPrefix: env["NATS_INBOX_PREFIX"], NoAutoCreate: service != "setup", Name: service,
		})
		must(c.Ensure(t.Context(), layout))(t, service+" looking at the queue")
	}
	nc, err := nats.Connect("nats://" + b.addr)
	if err == nil {
		nc.Close()
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a user: got %v", err)
	}
}
