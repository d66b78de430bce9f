package deploy_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
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
