package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile is one as BuildKit reads it.
type dockerfile struct {
	name   string
	args   map[string]string // before the first FROM
	stages []instructions.Stage
}

// dockerfiles reads all there are.
func dockerfiles(t *testing.T) []dockerfile {
	t.Helper()
	files, err := filepath.Glob("../*Dockerfile")
	if err != nil || len(files) != 4 {
		t.Fatalf("found %q, %v", files, err)
	}
	var all []dockerfile
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.Parse(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, w := range tree.Warnings {
			t.Errorf("%s: %s", file, w.Short)
		}
		stages, args, err := instructions.Parse(tree.AST, nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		d := dockerfile{name: filepath.Base(file), args: map[string]string{}, stages: stages}
		for _, a := range args {
			for _, pair := range a.Args {
				if pair.Value != nil {
					d.args[pair.Key] = *pair.Value
				}
			}
		}
		all = append(all, d)
	}
	return all
}

// eachStage runs a test on every stage of every Dockerfile. final is one that is run, not only copied from.
func eachStage(t *testing.T, test func(t *testing.T, d dockerfile, s instructions.Stage, final bool)) {
	t.Helper()
	for _, d := range dockerfiles(t) {
		for _, s := range d.stages {
			final := slices.ContainsFunc(s.Commands, func(c instructions.Command) bool { _, ok := c.(*instructions.EntrypointCommand); return ok })
			t.Run(d.name+" "+s.Name, func(t *testing.T) { test(t, d, s, final) })
		}
	}
}

// TestBases: what is taken from a registry is pinned by digest, in an argument that can be set.
func TestBases(t *testing.T) {
	eachStage(t, func(t *testing.T, d dockerfile, s instructions.Stage, _ bool) {
		if s.BaseName == "scratch" || slices.ContainsFunc(d.stages, func(other instructions.Stage) bool { return other.Name == s.BaseName }) {
			return
		}
		name := strings.TrimSuffix(strings.TrimPrefix(s.BaseName, "${"), "}")
		if !pinnedByDigest.MatchString(d.args[name]) {
			t.Errorf("base %s is %q: want an argument with a tag and a digest", s.BaseName, d.args[name])
		}
	})
	digests := map[string]string{}
	for _, d := range dockerfiles(t) {
		for name, image := range d.args {
			if digests[name] != "" && digests[name] != image {
				t.Errorf("%s is %s, and %s elsewhere", name, image, digests[name])
			}
			digests[name] = image
		}
	}
}

// TestRuns: an image that is run is nobody's root, has no shell in its start, says what it is, and whether it is well.
func TestRuns(t *testing.T) {
	var found []string
	eachStage(t, func(t *testing.T, d dockerfile, s instructions.Stage, final bool) {
		if !final {
			return
		}
		found = append(found, d.name+" "+s.Name)
		var user string
		var health, entry int
		labels := map[string]string{}
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.UserCommand:
				user = c.User
			case *instructions.HealthCheckCommand:
				health++
				if h := c.Health; h.Test[0] != "NONE" && (h.Test[0] != "CMD" || !strings.HasSuffix(h.Test[1], "/probe")) {
					t.Errorf("health check %q: there is no shell", h.Test)
				}
			case *instructions.EntrypointCommand:
				entry++
				if c.PrependShell || !filepath.IsAbs(c.CmdLine[0]) {
					t.Errorf("it starts %q: want a program by its path, without a shell", c.CmdLine)
				}
			case *instructions.CmdCommand:
				if c.PrependShell {
					t.Errorf("CMD %q needs a shell", c.CmdLine)
				}
			case *instructions.RunCommand:
				t.Errorf("RUN in an image that is run: %q", c.CmdLine)
			case *instructions.LabelCommand:
				for _, pair := range c.Labels {
					labels[pair.Key] = pair.Value
				}
			}
		}
		if !regexp.MustCompile(`^[1-9][0-9]{3,}:[1-9][0-9]{3,}$`).MatchString(user) {
			t.Errorf("it runs as %q: want numbers that are not root's", user)
		}
		if health != 1 || entry != 1 {
			t.Errorf("%d health checks, %d entry points", health, entry)
		}
		if d.name == "servers.Dockerfile" {
			return // never leaves the machine
		}
		for _, label := range []string{"title", "source", "licenses"} {
			if labels["org.opencontainers.image."+label] == "" {
				t.Errorf("it has no label org.opencontainers.image.%s", label)
			}
		}
	})
	if len(found) != 7 {
		t.Errorf("images that are run: %q", found)
	}
}

// TestCopies: what is copied is there: in the repository, or in a stage above.
func TestCopies(t *testing.T) {
	eachStage(t, func(t *testing.T, d dockerfile, s instructions.Stage, _ bool) {
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.AddCommand:
				t.Errorf("ADD %q unpacks and fetches: use COPY", c.SourcePaths)
			case *instructions.CopyCommand:
				if c.From != "" {
					if !slices.ContainsFunc(d.stages, func(other instructions.Stage) bool { return other.Name == c.From }) {
						t.Errorf("COPY --from=%s: no such stage", c.From)
					}
					continue
				}
				for _, source := range c.SourcePaths {
					if _, err := os.Stat(filepath.Join("../..", source)); err != nil && d.name != "servers.Dockerfile" {
						t.Errorf("COPY: %v", err)
					}
				}
			case *instructions.WorkdirCommand:
				if !filepath.IsAbs(c.Path) {
					t.Errorf("WORKDIR %s is relative", c.Path)
				}
			}
		}
	})
}

// TestSteps: a build takes what is pinned, and leaves out of the binaries where and when it was.
func TestSteps(t *testing.T) {
	eachStage(t, func(t *testing.T, _ dockerfile, s instructions.Stage, _ bool) {
		for _, c := range s.Commands {
			run, ok := c.(*instructions.RunCommand)
			if !ok {
				continue
			}
			line := strings.Join(run.CmdLine, " ")
			for _, bad := range []string{"sudo ", "curl ", "wget ", "apt-get ", "apt ", "@latest", "chmod 777", "GOFLAGS=-mod=mod", "--trusted-host"} {
				if strings.Contains(line, bad) {
					t.Errorf("a step has %q: %s", bad, line)
				}
			}
			for _, build := range regexp.MustCompile(`go build [^;&|]*`).FindAllString(line, -1) {
				if !strings.Contains(build, "-trimpath") && !strings.Contains(build, "cyclonedx-gomod") {
					t.Errorf("%s: want -trimpath", build)
				}
			}
			if strings.Contains(line, "go build") && !strings.Contains(line, "-buildid=") {
				t.Errorf("binaries have a build id: %s", line)
			}
			if strings.Contains(line, "pip install") && (!strings.Contains(line, "--require-hashes") || !strings.Contains(line, "--no-cache-dir")) {
				t.Errorf("%s: want --require-hashes and --no-cache-dir", line)
			}
		}
		for _, c := range s.Commands {
			if env, ok := c.(*instructions.EnvCommand); ok {
				for _, pair := range env.Env {
					if secretName.MatchString(pair.Key) {
						t.Errorf("%s is baked into the image", pair.Key)
					}
				}
			}
		}
	})
}

// TestRequirements: every wheel of the CUDA image is pinned by its hash, and ONNX Runtime is the version that the worker has everywhere else.
func TestRequirements(t *testing.T) {
	data, err := os.ReadFile("../image/cuda.txt")
	if err != nil {
		t.Fatal(err)
	}
	wheels := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		wheels++
		if !regexp.MustCompile(`^[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}\n$`).MatchString(line) {
			t.Errorf("%q is not pinned", line)
		}
	}
	script, err := os.ReadFile("../../scripts/fetch-ort.sh")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^version=(\S+)$`).FindSubmatch(script)
	if wheels < 7 || version == nil || !strings.Contains(string(data), "onnxruntime-gpu=="+string(version[1])+" ") {
		t.Errorf("%d wheels; ONNX Runtime elsewhere is %s", wheels, version)
	}
	image, err := os.ReadFile("../Dockerfile")
	if err != nil || !strings.Contains(string(image), "ln -s libonnxruntime.so."+string(version[1])+" ") {
		t.Errorf("the CUDA image links another version, %v", err)
	}
}
