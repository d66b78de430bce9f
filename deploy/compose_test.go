// Package deploy tests the deployment files as far as that goes without a container engine or a cluster: that everything they name exists, that the programs know the settings they
// are given, and do their work with them on a broker with the configuration there. That the files are what Compose, BuildKit and Kubernetes read is held in check/, a module of its own.
package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type composeFile struct {
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image       string
	Build       *build
	Command     []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
}

type build struct{ Context, Dockerfile, Target string }

func compose(t *testing.T) composeFile {
	t.Helper()
	var c composeFile
	if err := yaml.Unmarshal(read(t, "compose.yaml"), &c); err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	for _, name := range []string{"nats", "minio", "setup", "worker", "page", "enqueue"} {
		if _, ok := c.Services[name]; !ok {
			t.Errorf("compose.yaml has no service %s", name)
		}
	}
	return c
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestComposeReferences(t *testing.T) {
	c := compose(t)
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(from, ".") {
				if _, err := os.Stat(from); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, ok := c.Volumes[from]; !ok {
				t.Errorf("%s: volume %s is not declared", name, from)
			}
		}
		if s.Build == nil {
			continue
		}
		file := filepath.Join(s.Build.Context, s.Build.Dockerfile)
		if stage := "AS " + s.Build.Target + "\n"; s.Build.Target != "" && !strings.Contains(string(read(t, file)), stage) {
			t.Errorf("%s: %s has no stage %s", name, file, s.Build.Target)
		}
	}
}

// TestComposeAgrees holds what two places in the file have to say alike.
func TestComposeAgrees(t *testing.T) {
	s := compose(t).Services
	for _, name := range []string{"worker", "enqueue", "page"} {
		env := s[name].Environment
		if env["AWS_ACCESS_KEY_ID"] != s["minio"].Environment["MINIO_ROOT_USER"] ||
			env["AWS_SECRET_ACCESS_KEY"] != s["minio"].Environment["MINIO_ROOT_PASSWORD"] {
			t.Errorf("%s and minio disagree on the key", name)
		}
	}
	bucket := s["worker"].Environment["S3_BUCKET"]
	if !strings.Contains(string(read(t, "minio.Dockerfile")), "mkdir -p /out/data/"+bucket+" ") {
		t.Errorf("minio.Dockerfile does not make the bucket %s", bucket)
	}
	// The brokers that tests run in their own process, that stories run, and that the image has are of one version, which the overlays name.
	version := natsServer(t, "../go.mod")
	if stories := natsServer(t, "../e2e/servers/go.mod"); stories != version {
		t.Errorf("go.mod has nats-server %s, e2e/servers %s", version, stories)
	}
	eachOverlay(t, func(t *testing.T, all []manifest) {
		for _, m := range all {
			for _, c := range m.containers() {
				if c.Name == "nats" && !strings.HasSuffix(c.Image, "nats:"+version) {
					t.Errorf("the overlay has %s, go.mod nats-server %s", c.Image, version)
				}
			}
		}
	})
	if !slices.Contains(s["nats"].Volumes, "./nats:/etc/nats:ro") || !slices.Contains(s["nats"].Command, "/etc/nats/accounts.conf") {
		t.Error("the broker does not read accounts.conf")
	}
}

// natsServer returns the version of nats-server that a module requires.
func natsServer(t *testing.T, gomod string) string {
	t.Helper()
	version := regexp.MustCompile(`nats-server/v2 v(\S+)`).FindSubmatch(read(t, gomod))
	if version == nil {
		t.Fatalf("%s requires no nats-server", gomod)
	}
	return string(version[1])
}

// TestMonitoring: what compose.yaml's Prometheus and Grafana read is there, and leads to what runs there.
func TestMonitoring(t *testing.T) {
	c := compose(t)
	for file, wants := range map[string][]string{
		"prometheus/prometheus.yaml":                    {"names: [worker]", "port: 9090", "/etc/prometheus/alerts.yaml"},
		"grafana/provisioning/datasources/stipple.yaml": {"url: http://prometheus:9090", "name: trace_id", "http://127.0.0.1:16686/"},
		"grafana/provisioning/dashboards/stipple.yaml":  {"path: /etc/stipple"},
	} {
		for _, want := range wants {
			if !strings.Contains(string(read(t, file)), want) {
				t.Errorf("%s does not say %s", file, want)
			}
		}
	}
	for service, wants := range map[string][]string{
		"prometheus": {"./prometheus/prometheus.yaml:/etc/prometheus/prometheus.yaml:ro", "./grafana/alerts.yaml:/etc/prometheus/alerts.yaml:ro"},
		"grafana":    {"./grafana/provisioning:/etc/grafana/provisioning:ro", "./grafana/dashboard.json:/etc/stipple/dashboard.json:ro"},
	} {
		for _, want := range wants {
			if !slices.Contains(c.Services[service].Volumes, want) {
				t.Errorf("%s does not mount %s", service, want)
			}
		}
	}
	if c.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] != "/etc/stipple/dashboard.json" || !slices.Contains(c.Services["jaeger"].Ports, "127.0.0.1:16686:16686") {
		t.Error("the dashboard is not the first thing one sees, or its dots lead nowhere")
	}
}
