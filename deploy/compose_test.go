// Package deploy tests the deployment files as far as that goes without a container engine: that they parse,
// that everything they name exists and is pinned, and that the programs know the settings they are given.
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
	DependsOn   dependencies `yaml:"depends_on"`
	Healthcheck *struct{ Test []string }
	StopGrace   string `yaml:"stop_grace_period"`
}

type build struct{ Context, Dockerfile string }

// dependencies maps a service to the condition waited for; the short form, a list, means started.
type dependencies map[string]string

func (d *dependencies) UnmarshalYAML(node *yaml.Node) error {
	*d = dependencies{}
	if node.Kind == yaml.SequenceNode {
		var names []string
		if err := node.Decode(&names); err != nil {
			return err
		}
		for _, name := range names {
			(*d)[name] = "service_started"
		}
		return nil
	}
	var long map[string]struct{ Condition string }
	if err := node.Decode(&long); err != nil {
		return err
	}
	for name, dep := range long {
		(*d)[name] = dep.Condition
	}
	return nil
}

func compose(t *testing.T) composeFile {
	t.Helper()
	var c composeFile
	if err := yaml.Unmarshal(read(t, "compose.yaml"), &c); err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	for _, name := range []string{"nats", "minio", "collector", "jaeger", "setup", "worker", "enqueue"} {
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

// pinned matches an image whose tag starts with a version: name:2.15.2-alpine, host/name:13-slim.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+(\.[0-9]+)*(-[a-z0-9.]+)*$`)

func TestComposeImages(t *testing.T) {
	for name, s := range compose(t).Services {
		if s.Build == nil {
			if !pinned.MatchString(s.Image) {
				t.Errorf("%s: image %q is not pinned to a version", name, s.Image)
			}
			continue
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestComposeReferences(t *testing.T) {
	c := compose(t)
	for name, s := range c.Services {
		for dep, condition := range s.DependsOn {
			other, ok := c.Services[dep]
			switch {
			case !ok:
				t.Errorf("%s depends on %s, which is no service", name, dep)
			case condition == "service_healthy" && other.Healthcheck == nil:
				t.Errorf("%s waits for %s to be healthy, which has no healthcheck", name, dep)
			}
		}
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
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open beyond this machine, and the passwords are in the file", name, port)
			}
		}
	}
}

// TestComposeAgrees holds what two places in the file have to say alike.
func TestComposeAgrees(t *testing.T) {
	s := compose(t).Services
	for _, name := range []string{"worker", "enqueue"} {
		env := s[name].Environment
		if env["AWS_ACCESS_KEY_ID"] != s["minio"].Environment["MINIO_ROOT_USER"] ||
			env["AWS_SECRET_ACCESS_KEY"] != s["minio"].Environment["MINIO_ROOT_PASSWORD"] {
			t.Errorf("%s and minio disagree on the key", name)
		}
	}
	bucket := s["worker"].Environment["S3_BUCKET"]
	if !strings.Contains(string(read(t, "minio.Dockerfile")), "mkdir -p /data/"+bucket+" ") {
		t.Errorf("minio.Dockerfile does not make the bucket %s", bucket)
	}
	gomod := read(t, "../go.mod")
	version := regexp.MustCompile(`nats-server/v2 v(\S+)`).FindSubmatch(gomod)
	if version == nil {
		t.Fatal("go.mod requires no nats-server")
	}
	if s["nats"].Image != "nats:"+string(version[1])+"-alpine" {
		t.Errorf("compose.yaml runs %s, go.mod tests against nats-server %s", s["nats"].Image, version[1])
	}
	if !slices.Contains(s["nats"].Volumes, "./nats:/etc/nats:ro") || !slices.Contains(s["nats"].Command, "/etc/nats/${BROKER_CONF:-accounts.conf}") {
		t.Error("the broker does not read accounts.conf")
	}
}
