package arch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLinks holds that no server is linked into the binaries that run in production.
func TestLinks(t *testing.T) {
	sources(t)
	for _, cmd := range []string{"./cmd/worker", "./cmd/enqueue"} {
		t.Run(filepath.Base(cmd), func(t *testing.T) {
			list := exec.CommandContext(t.Context(), "go", "list", "-deps", cmd)
			list.Dir = root
			list.Stderr = os.Stderr
			out, err := list.Output()
			if err != nil {
				t.Fatalf("%v: %v", list, err)
			}
			deps := strings.Fields(string(out))
			if !slices.Contains(deps, module+"/internal/queue") {
				t.Errorf("%s does not link internal/queue: is this the list of its packages?", cmd)
			}
			for _, dep := range deps {
				for _, server := range []string{"github.com/nats-io/nats-server", "github.com/versity/", module + "/internal/local/"} {
					if strings.HasPrefix(dep, server) {
						t.Errorf("%s links %s", cmd, dep)
					}
				}
			}
		})
	}
}
