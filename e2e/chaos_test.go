package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// soak reports whether the stories are told at full size: make soak.
func soak() bool { return os.Getenv("STIPPLE_SOAK") != "" }

// chaosRun is one run of e2e/chaos.
type chaosRun struct {
	name, jobs, faults, seed string
	more                     []string
}

// TestChaos: nothing is lost, nothing is there twice and no picture is another, whatever is killed, frozen, cut off and
// restarted meanwhile: docs/chaos.md. The program says itself whether that held.
func TestChaos(t *testing.T) {
	runs := []chaosRun{
		{"small", "60", "12", "31048", nil}, // a seed that deals broker-kill, store-kill, freeze, net-stall, sigterm and most kills
		{"cluster", "30", "6", "1", []string{"--cluster", "--kinds", "broker-kill,kill-step,net-cut"}},
	}
	if soak() {
		runs = []chaosRun{
			{"alone", "1000", "114", "1", nil}, {"alone-2", "1000", "114", "2", nil},
			{"cluster", "1000", "114", "3", []string{"--cluster"}}, {"cluster-2", "1000", "114", "4", []string{"--cluster"}},
		}
	}
	if given.external() {
		runs = nil // it kills servers of its own, and starts them by program: `make e2e` does
	}
	program := buildChaos(t)
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.run(t, program) })
	}
}

// buildChaos builds the program.
func buildChaos(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "chaos")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./e2e/chaos")
	build.Dir = given.repository
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	return program
}

func (r chaosRun) run(t *testing.T, program string) {
	t.Helper()
	args := append([]string{
		"--jobs", r.jobs, "--faults", r.faults, "--seed", r.seed, "--bin", filepath.Dir(given.worker), "--nats-server", given.natsServer,
		"--store", given.storeKind, "--store-server", given.storeServer, "--onnxruntime-lib", given.library,
	}, r.more...)
	if !soak() {
		args = append(args, "--limit", "5m")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = given.repository
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it ends what it has started
	cmd.WaitDelay = time.Minute
	var said bytes.Buffer
	cmd.Stderr = &said
	line, err := cmd.Output()
	fmt.Printf("%s", line) // the figures are shown whether or not -v is given
	if err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
}
