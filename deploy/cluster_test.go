package deploy_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stipple-ai/stipple/internal/local/ports"
	"github.com/stipple-ai/stipple/internal/queue"
)

// keys runs kubernetes/keys.sh and returns files with the seeds of the users, and the brokers' environment.
func keys(t *testing.T) (seeds, env map[string]string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "kubernetes/keys.sh").Output()
	if err != nil {
		t.Fatalf("keys.sh: %v", err)
	}
	seeds, dir := map[string]string{}, t.TempDir()
	for _, m := range manifests(t, out) {
		switch m.Kind {
		case "Secret":
			file := filepath.Join(dir, m.Metadata.Name)
			write(t, file, m.StringData["seed.nk"])
			seeds[strings.TrimPrefix(m.Metadata.Name, "nats-")] = file
		case "ConfigMap":
			env = m.Data
		}
	}
	if len(seeds) != 3 || len(env) != 3 {
		t.Fatalf("keys.sh printed seeds %v and keys %v", seeds, env)
	}
	return seeds, env
}

// startCluster runs three brokers as kubernetes/nats does, but for their addresses and folders.
func startCluster(t *testing.T, env map[string]string) []*server.Server {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	var drawn []int
	var routes []*url.URL
	for range 3 {
		port, err := ports.Free()
		if err != nil {
			t.Fatal(err)
		}
		drawn = append(drawn, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	}
	var all []*server.Server
	for i := range drawn {
		t.Setenv("POD_NAME", "nats-"+strconv.Itoa(i))
		o, err := server.ProcessConfigFile("nats/cluster.conf")
		if err != nil {
			t.Fatal(err)
		}
		if !o.SyncAlways || len(o.Routes) != 3 || o.StoreDir != "/data" || o.PidFile != "/run/nats/nats.pid" || o.Port != 4222 || o.HTTPPort != 8222 || o.Cluster.Port != 6222 {
			t.Errorf("broker %s: %+v", o.ServerName, o)
		}
		o.Host, o.Port, o.HTTPHost, o.HTTPPort, o.PidFile = "127.0.0.1", server.RANDOM_PORT, "127.0.0.1", server.RANDOM_PORT, ""
		o.Cluster.Host, o.Cluster.Port, o.Routes = "127.0.0.1", drawn[i], routes
		o.StoreDir, o.SyncAlways, o.NoSigs, o.NoLog = t.TempDir(), false, true, true
		ns, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ns.Shutdown()
			ns.WaitForShutdown()
		})
		all = append(all, ns)
	}
	return all
}

// jsz is what KEDA's scaler reads of a broker's /jsz.
type jsz struct {
	Accounts []struct {
		Name    string `json:"name"`
		Streams []struct {
			Name      string `json:"name"`
			Consumers []struct {
				Name    string `json:"name"`
				Pending int    `json:"num_pending"`
				Held    int    `json:"num_ack_pending"`
				Cluster struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
			} `json:"consumer_detail"`
		} `json:"stream_detail"`
	} `json:"account_details"`
}

// lag asks the brokers for one consumer as KEDA does: the leader of the consumer knows.
func lag(t *testing.T, brokers []*server.Server, trigger map[string]string) (int, error) {
	t.Helper()
	for _, b := range brokers {
		var answer jsz
		address := "http://" + b.MonitorAddr().String() + "/jsz?" + url.Values{"acc": {trigger["account"]}, "consumers": {"true"}, "config": {"true"}}.Encode()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			return 0, err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		res.Body.Close()
		if err != nil {
			return 0, err
		}
		for _, a := range answer.Accounts {
			for _, s := range a.Streams {
				for _, c := range s.Consumers {
					if a.Name == trigger["account"] && s.Name == trigger["stream"] && c.Name == trigger["consumer"] && c.Cluster.Leader == b.Name() {
						return c.Pending + c.Held, nil
					}
				}
			}
		}
	}
	return 0, fmt.Errorf("no broker leads consumer %s of %s in account %s", trigger["consumer"], trigger["stream"], trigger["account"])
}

// TestCluster: three brokers with the keys of keys.sh let the programs in, keep three copies, and tell KEDA how much there is to do.
func TestCluster(t *testing.T) {
	seeds, env := keys(t)
	brokers := startCluster(t, env)
	for _, ns := range brokers {
		ns.Start()
	}
	for begin := time.Now(); !slices.ContainsFunc(brokers, (*server.Server).JetStreamIsLeader); time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("the brokers elect no leader")
		}
	}
	b := &broker{t: t, addr: brokers[0].Addr().String()}
	connect := func(user string) *queue.Client {
		return b.connect(queue.Config{URL: "nats://" + b.addr, NKey: seeds[user], InboxPrefix: "_INBOX_" + user, NoAutoCreate: user != "admin", Name: user})
	}
	var models []string
	var triggers []map[string]string
	for _, m := range manifests(t, read(t, "check/testdata/overlays/spot.yaml")) {
		if m.Kind == "ScaledObject" {
			models = append(models, m.Metadata.Labels["app.kubernetes.io/instance"])
			for _, trigger := range m.Spec.Triggers {
				triggers = append(triggers, trigger.Metadata)
			}
		}
	}
	layout := queue.Layout{Models: models, Replicas: 3}
	must(connect("admin").Setup(t.Context(), layout))(t, "setup")
	if d := must(connect("worker").Ensure(t.Context(), layout))(t, "the worker's look at the queue"); len(d) != 0 {
		t.Errorf("the worker finds %v", d)
	}
	enqueue := connect("enqueue")
	for i, priority := range queue.Priorities() {
		for n := range i + 1 {
			must(enqueue.Publish(t.Context(), queue.Message{Priority: priority, Job: queue.Job{BatchID: priority, Index: int64(n), Model: models[0]}}))(t, "publishing")
		}
	}
	for i, trigger := range triggers {
		for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			got, err := lag(t, brokers, trigger)
			if err == nil && got == i%3+1 {
				break
			}
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("%s: %d jobs, %v: want %d", trigger["consumer"], got, err, i%3+1)
			}
		}
	}
}
