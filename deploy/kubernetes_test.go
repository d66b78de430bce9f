package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/stipple-ai/stipple/internal/queue"
)

// manifest is one of Kubernetes' objects, as far as it is looked at here. deploy/check reads the whole.
type manifest struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Data       map[string]string
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Template    template
		JobTemplate struct{ Spec struct{ Template template } } `yaml:"jobTemplate"`
		Triggers    []trigger
	}
}

type template struct {
	Spec struct{ Containers []container }
}

type container struct {
	Name, Image string
	Args        []string
	Env         []variable
}

// variable is one with a value, or with one from elsewhere.
type variable struct {
	Name, Value string
	ValueFrom   map[string]any `yaml:"valueFrom"`
}

// trigger is one of a ScaledObject.
type trigger struct {
	Type     string
	Metadata map[string]string
}

// containers are those of a workload.
func (m manifest) containers() []container {
	return append(m.Spec.Template.Spec.Containers, m.Spec.JobTemplate.Spec.Template.Spec.Containers...)
}

// manifests reads a stream of YAML documents.
func manifests(t *testing.T, data []byte) []manifest {
	t.Helper()
	var all []manifest
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var m manifest
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

// eachOverlay runs a test on what kustomize made of each overlay; deploy/check holds that it is that.
func eachOverlay(t *testing.T, test func(t *testing.T, all []manifest)) {
	t.Helper()
	files, err := filepath.Glob("check/testdata/overlays/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("found %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { test(t, manifests(t, read(t, file))) })
	}
}

// program returns what a container runs, and how.
func (c container) program() (name string, args []string) {
	switch {
	case strings.Contains(c.Image, "enqueue"):
		return "enqueue", c.Args[:1]
	case strings.Contains(c.Image, "worker"):
		return "worker", nil
	}
	return "", nil // one of others
}

// TestKubernetesSettings holds that each program knows every setting and flag it is given: a misspelt one would be silently ignored.
func TestKubernetesSettings(t *testing.T) {
	eachOverlay(t, func(t *testing.T, all []manifest) {
		known, shared := map[string]bool{}, map[string]string{}
		for _, m := range all {
			if m.Kind == "ConfigMap" && strings.HasPrefix(m.Metadata.Name, "settings-") {
				shared = m.Data
			}
			for _, c := range m.containers() {
				program, args := c.program()
				if program == "" {
					continue
				}
				own := settings(t, program, args...)
				maps.Copy(known, own)
				for _, v := range c.Env {
					uses := func(other variable) bool { return strings.Contains(other.Value, "$("+v.Name+")") }
					if !own[v.Name] && !standard.MatchString(v.Name) && !slices.ContainsFunc(c.Env, uses) {
						t.Errorf("%s: %s is no setting of %s %s", m.Metadata.Name, v.Name, program, args)
					}
				}
				for _, arg := range c.Args {
					if strings.HasPrefix(arg, "--") && !hasFlag(t, program, args, arg) {
						t.Errorf("%s: %s %s has no flag %s", m.Metadata.Name, program, args, arg)
					}
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(shared)) {
			if !known[name] && !standard.MatchString(name) {
				t.Errorf("settings: %s is no setting of any program", name)
			}
		}
		if len(known) < 20 || len(shared) < 4 {
			t.Errorf("%d settings are known, %d are shared", len(known), len(shared))
		}
	})
}

// hasFlag reports whether a program's -h has a flag.
func hasFlag(t *testing.T, program string, args []string, flag string) bool {
	t.Helper()
	name, _, _ := strings.Cut(flag, "=")
	return regexp.MustCompile(`(^|[\s,])` + regexp.QuoteMeta(name) + `\b`).MatchString(help(t, program, args...))
}

// TestKubernetesNames: streams and consumers that KEDA asks for, and the account they are in, are those that the programs make.
func TestKubernetesNames(t *testing.T) {
	names, err := queue.NewNames("")
	if err != nil {
		t.Fatal(err)
	}
	eachOverlay(t, func(t *testing.T, all []manifest) {
		for _, m := range all {
			if m.Kind != "ScaledObject" {
				continue
			}
			model := m.Metadata.Labels["app.kubernetes.io/instance"]
			var want, got []string
			for _, p := range queue.Priorities() {
				want = append(want, queue.ConsumerName(p, model))
			}
			for _, trigger := range m.Spec.Triggers {
				got = append(got, trigger.Metadata["consumer"])
				if trigger.Metadata["stream"] != names.JobsStream() || !strings.Contains(string(read(t, "nats/cluster.conf")), "\n  "+trigger.Metadata["account"]+" {\n") {
					t.Errorf("%s: %v", m.Metadata.Name, trigger.Metadata)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: consumers %q, want %q", m.Metadata.Name, got, want)
			}
		}
	})
}
