package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sees lists, for each package below internal, the packages of this module that its code (not its tests) may
// import. Imports point down only; what a package needs from a sibling, its caller hands in.
var sees = map[string][]string{
	"internal/arch":           {},
	"internal/batch":          {"internal/queue"},
	"internal/buildinfo":      {},
	"internal/doctor":         {"internal/infer/ort", "internal/otel", "internal/queue", "internal/upload"},
	"internal/flagenv":        {},
	"internal/gallery":        {},
	"internal/gpu":            {},
	"internal/infer":          {"internal/infer/rng", "internal/infer/schedule"},
	"internal/infer/clip":     {},
	"internal/infer/onnx":     {},
	"internal/infer/ort":      {"internal/infer", "internal/infer/clip", "internal/infer/onnx", "internal/infer/rng", "internal/infer/schedule"},
	"internal/infer/rng":      {},
	"internal/infer/schedule": {},
	"internal/infer/tune":     {"internal/infer", "internal/infer/schedule"},
	"internal/ledger":         {},
	"internal/local/hubd":     {},
	"internal/local/natsd":    {"internal/local/ports"},
	"internal/local/otlpd":    {},
	"internal/local/ports":    {},
	"internal/local/s3d":      {"internal/local/ports"},
	"internal/manual":         {"internal/flagenv", "internal/terminal"},
	"internal/modelflags":     {"internal/flagenv", "internal/infer/ort", "internal/modelstore", "internal/upload", "internal/worker"},
	"internal/modelstore":     {},
	"internal/ops":            {"internal/batch", "internal/ledger", "internal/queue", "internal/upload"},
	"internal/ops/page":       {"internal/batch", "internal/ops", "internal/queue", "internal/upload", "internal/web"},
	"internal/otel":           {},
	"internal/queue":          {},
	"internal/terminal":       {},
	"internal/upload":         {},
	"internal/web":            {},
	"internal/webhook":        {},
	"internal/worker":         {"internal/gpu", "internal/infer", "internal/infer/ort", "internal/infer/schedule", "internal/modelstore", "internal/otel", "internal/queue", "internal/upload"},
}

// owners lists, for modules that one place alone deals with, that place. Tests may use them anywhere.
var owners = map[string][]string{
	"github.com/yalue/onnxruntime_go":     {"internal/infer/ort"},
	"github.com/nats-io/nats.go":          {"internal/queue", "internal/local/natsd", "cmd/dev", "cmd/enqueue", "e2e/bench", "e2e/chaos"},
	"github.com/synadia-io/orbit.go":      {"internal/queue"},
	"github.com/nats-io/nats-server":      {"internal/local/natsd"},
	"github.com/versity/versitygw":        {"internal/local/s3d"},
	"github.com/aws":                      {"internal/upload", "internal/local/s3d", "e2e/chaos"},
	"go.opentelemetry.io/otel/sdk":        {"internal/otel"},
	"go.opentelemetry.io/otel/exporters":  {"internal/otel"},
	"go.opentelemetry.io/contrib":         {"internal/otel"},
	"github.com/prometheus/client_golang": {"internal/otel"},
}

func TestLayers(t *testing.T) {
	unknown := map[string]bool{}
	for _, s := range sources(t) {
		dir, inner := s.dir(), strings.HasPrefix(s.dir(), "internal/")
		allowed, known := sees[dir]
		if inner && !known {
			if !unknown[dir] {
				t.Errorf("package %s has no row in sees: say what it may import", dir)
			}
			unknown[dir] = true
			continue
		}
		for _, imp := range s.own() {
			target := strings.TrimPrefix(imp, module+"/")
			embedded := strings.HasPrefix(target, "internal/local/")
			switch {
			case strings.HasPrefix(target, "cmd/"):
				t.Errorf("%s imports %s: nothing imports a command", s.path, target)
			case s.test():
				// A test may use any package, a story none: it drives built binaries and sees what they see.
				if dir == "e2e" && !embedded {
					t.Errorf("%s imports %s: stories drive built binaries", s.path, target)
				}
			case inner && !slices.Contains(allowed, target):
				t.Errorf("%s imports %s: %s may see only %q", s.path, target, dir, allowed)
			case embedded && !strings.HasPrefix(dir, "internal/local/") && dir != "cmd/dev" && dir != "e2e/bench" && dir != "e2e/chaos":
				t.Errorf("%s imports %s: embedded servers are for cmd/dev, benchmarks, chaos and tests", s.path, target)
			}
		}
	}
}

func TestOwners(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for mod, places := range owners {
			for _, imp := range s.importsUnder(mod) {
				used[mod] = true
				if !slices.Contains(places, s.dir()) {
					t.Errorf("%s imports %s: only %q may", s.path, imp, places)
				}
			}
		}
		for _, imp := range s.imports {
			if imp == "go.opentelemetry.io/otel" && s.dir() != "internal/otel" {
				t.Errorf("%s imports %s, whose globals are not used here: take a tracer or a meter from the caller", s.path, imp)
			}
		}
	}
	if !used["github.com/nats-io/nats-server"] {
		t.Error("nobody imports nats-server, so the rule tests nothing: has its import path changed?")
	}
}

// TestServerPins holds that the stories' servers are of the versions that unit tests embed.
func TestServerPins(t *testing.T) {
	pin := func(file, mod string) string {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(mod) + ` (v\S+)`).FindSubmatch(data)
		if found == nil {
			t.Fatalf("%s requires no %s", file, mod)
		}
		return string(found[1])
	}
	for _, mod := range []string{"github.com/nats-io/nats-server/v2", "github.com/versity/versitygw"} {
		unit, story := pin("go.mod", mod), pin("e2e/servers/go.mod", mod)
		if unit != story {
			t.Errorf("%s is %s in go.mod and %s in e2e/servers/go.mod: make them one", mod, unit, story)
		}
	}
}

// TestFileLength holds the house rule: one idea a file, split by 500 lines.
func TestFileLength(t *testing.T) {
	const limit = 500
	for _, s := range sources(t) {
		if s.lines > limit {
			t.Errorf("%s has %d lines, the limit is %d: split it by idea", s.path, s.lines, limit)
		}
	}
}
