package check_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// project reads a compose file as `docker compose config` does: variables, merges, profiles and the schema.
func project(t *testing.T, file string, env ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../" + file}, cli.WithEnv(env), cli.WithProfiles([]string{"*"}), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pinnedByDigest is an image that can be no other one tomorrow.
var pinnedByDigest = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9][a-z0-9.-]*@sha256:[0-9a-f]{64}$`)

func TestCompose(t *testing.T) {
	p := project(t, "compose.yaml")
	for _, name := range []string{"nats", "minio", "setup", "worker", "page", "enqueue", "collector", "jaeger", "prometheus", "grafana"} {
		if _, ok := p.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range p.Services {
		t.Run(name, func(t *testing.T) {
			if s.Build == nil && !pinnedByDigest.MatchString(s.Image) {
				t.Errorf("image %s is not pinned by digest", s.Image)
			}
			checkGuards(t, s)
			if s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes == 0 || s.Deploy.Resources.Limits.NanoCPUs == 0 {
				t.Error("it has no limits")
			}
			if s.Logging == nil || s.Logging.Options["max-size"] == "" {
				t.Error("its log may fill the disk")
			}
			if long := s.Restart == types.RestartPolicyUnlessStopped; long == slices.Contains([]string{"setup", "enqueue"}, name) {
				t.Errorf("restart is %q", s.Restart)
			}
			for dependency, d := range s.DependsOn {
				if h := p.Services[dependency].HealthCheck; d.Condition == types.ServiceConditionHealthy && (h == nil || h.Disable || len(h.Test) == 0) {
					t.Errorf("waits for %s to be healthy, which has no check", dependency)
				}
			}
		})
	}
}

// checkGuards holds that a service can change nothing but its volumes, gains no rights, and is reached from this machine alone.
func checkGuards(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) != 0 || s.Privileged || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("read-only %v, capabilities -%q +%q, security %q", s.ReadOnly, s.CapDrop, s.CapAdd, s.SecurityOpt)
	}
	for _, port := range s.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %s is open beyond this machine, and the passwords stand in the file", port.Published)
		}
	}
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
			t.Errorf("%s: read-only %v, %v", v.Source, v.ReadOnly, err)
		}
	}
	if h := s.HealthCheck; h != nil && h.Timeout != nil && (h.Test[0] != "CMD" || time.Duration(*h.Timeout) < 2*time.Second) {
		t.Errorf("health check %q, %v: the images have no shell, and the probe takes up to two seconds", h.Test, h.Timeout)
	}
}

// TestComposeGrace: a worker has the time to leave that it takes.
func TestComposeGrace(t *testing.T) {
	w := project(t, "compose.yaml").Services["worker"]
	get := func(name string) time.Duration {
		if w.Environment[name] == nil {
			t.Fatalf("%s is not set", name)
		}
		return duration(t, name, *w.Environment[name])
	}
	takes := get("DRAIN_TIMEOUT") + get("FLUSH_TIMEOUT") + 500*time.Millisecond
	if w.StopGracePeriod == nil || time.Duration(*w.StopGracePeriod) < takes+margin {
		t.Errorf("leaving takes %v, and stop_grace_period is %v", takes, w.StopGracePeriod)
	}
}

// TestComposeUp: `up` without more starts everything but what is for people, and the page only reads.
func TestComposeUp(t *testing.T) {
	p := project(t, "compose.yaml")
	for name, s := range p.Services {
		if want := name == "enqueue"; (len(s.Profiles) > 0) != want {
			t.Errorf("%s has the profiles %q", name, s.Profiles)
		}
	}
	if slices.Contains(p.Services["page"].Command, "--write") {
		t.Error("the page may change things")
	}
}

// TestComposeStories: broker and store of make e2e-containers.
func TestComposeStories(t *testing.T) {
	p := project(t, "e2e.compose.yaml", "E2E_SERVERS=/tmp/servers", "E2E_NATS_PORT=14222")
	if len(p.Services) != 2 || p.Services["nats"].Ports[0].Published != "14222" || p.Services["minio"].Ports[0].Published != "9000" {
		t.Errorf("services %v", p.ServiceNames())
	}
	for name, s := range p.Services {
		checkGuards(t, s)
		if s.Build == nil || s.Build.Context != "/tmp/servers" || s.Build.Target != name {
			t.Errorf("%s is built as %+v", name, s.Build)
		}
	}
	options, err := cli.NewProjectOptions([]string{"../e2e.compose.yaml"}, cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := options.LoadProject(t.Context()); err == nil || !strings.Contains(err.Error(), "E2E_SERVERS") {
		t.Errorf("without E2E_SERVERS: %v", err)
	}
}
