package deploy_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instructions returns the instructions of a Dockerfile as words, continuation lines joined, comments dropped.
func instructions(t *testing.T, file string) [][]string {
	t.Helper()
	var all [][]string
	var joined string
	for line := range strings.Lines(string(read(t, file))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		joined += strings.TrimSuffix(line, `\`) + " "
		if !strings.HasSuffix(line, `\`) {
			all = append(all, strings.Fields(joined))
			joined = ""
		}
	}
	if joined != "" {
		t.Fatalf("%s ends in a continuation", file)
	}
	return all
}

// imageEnv returns what a stage of Dockerfile sets in its environment.
func imageEnv(t *testing.T, stage string) map[string]string {
	t.Helper()
	env, in := map[string]string{}, false
	for _, words := range instructions(t, "Dockerfile") {
		switch words[0] {
		case "FROM":
			in = words[len(words)-1] == stage
		case "ENV":
			for _, pair := range words[1:] {
				if name, value, _ := strings.Cut(pair, "="); in {
					env[name] = value
				}
			}
		}
	}
	if len(env) == 0 {
		t.Fatalf("stage %s sets nothing", stage)
	}
	return env
}

func TestWorkerImages(t *testing.T) {
	for stage, provider := range map[string]string{"worker": "", "worker-cuda": "cuda"} {
		env := imageEnv(t, stage)
		if env["ORT_DISABLE_TELEMETRY"] != "1" || env["PROVIDER"] != provider {
			t.Errorf("%s: ORT_DISABLE_TELEMETRY %q, PROVIDER %q", stage, env["ORT_DISABLE_TELEMETRY"], env["PROVIDER"])
		}
		if _, err := os.Stat(filepath.Join("../models", filepath.Base(env["MODELS"]), "model_index.json")); err != nil {
			t.Errorf("%s: MODELS is %q: %v", stage, env["MODELS"], err)
		}
	}
}

// TestRootfs: the script that fills images FROM scratch takes what programs need, from where they have it, and says what it cannot do. ldd and Debian's database are stand-ins.
func TestRootfs(t *testing.T) {
	machine, out := t.TempDir(), filepath.Join(t.TempDir(), "rootfs")
	lib := filepath.Join(machine, "lib")
	for _, file := range []string{"bin/worker", "bin/libbeside.so", "lib/libc.so.6", "lib/ld-linux.so.2"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(machine, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(machine, file), file)
	}
	stand := t.TempDir()
	for name, body := range map[string]string{
		"ldd": `case $1 in
*static) echo 'not a dynamic executable' >&2; exit 1 ;;
*nothing) echo "ldd: $1: No such file or directory" >&2; exit 1 ;;
*lacking) printf '\tlibgone.so => not found\n' ;;
*) printf '\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => ` + lib + `/libc.so.6 (0x2)\n\tlibbeside.so => ` + machine + `/bin/libbeside.so (0x3)\n\t` + lib + `/ld-linux.so.2 (0x4)\n' ;;
esac`,
		"dpkg-query": `case $* in
"--search "*) echo "base-files:amd64: $2" ;;
"--status "*) echo "Package: $2" ;;
esac`,
	} {
		if err := os.WriteFile(filepath.Join(stand, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// What of the machine's own it copies besides: certificates and a licence, which not every machine has at Debian's place.
	script := filepath.Join(stand, "rootfs.sh")
	write(t, filepath.Join(machine, "ca.crt"), "certificates")
	write(t, filepath.Join(machine, "copyright"), "licence")
	text := strings.NewReplacer("cp -L /etc/ssl/certs/ca-certificates.crt", "cp -L "+machine+"/ca.crt", `"/usr/share/doc/$name/copyright"`, machine+"/copyright").Replace(string(read(t, "image/rootfs.sh")))
	write(t, script, text)
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{script}, args...)...)
		cmd.Env = []string{"PATH=" + stand + ":/usr/bin:/bin"}
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	if said, err := run(out, machine+"/bin/worker", machine+"/static"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	var got []string
	if err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, strings.TrimPrefix(path, out))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/ssl/certs/ca.crt", lib + "/ld-linux.so.2", lib + "/libc.so.6", "/usr/share/doc/base-files/copyright", "/var/lib/dpkg/status.d/base-files"}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the image has (-want +got):\n%s", diff)
	}
	if said, err := run(out, machine+"/lacking"); err == nil || !strings.Contains(said, "libgone.so") {
		t.Errorf("a library that is not there: %v, %s", err, said)
	}
	if said, err := run(out, machine+"/nothing"); err == nil || !strings.Contains(said, "/nothing") {
		t.Errorf("a program that is not there: %v, %s", err, said)
	}
	if said, err := run(out); err == nil || !strings.Contains(said, "name the folder") {
		t.Errorf("no program: %v, %s", err, said)
	}
}
