package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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

func TestDockerfiles(t *testing.T) {
	files, err := filepath.Glob("*Dockerfile")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			var stages []string
			var user string
			for _, words := range instructions(t, file) {
				switch words[0] {
				case "FROM":
					if !pinned.MatchString(words[1]) {
						t.Errorf("image %s is not pinned to a version", words[1])
					}
					if len(words) == 4 && words[2] == "AS" {
						stages = append(stages, words[3])
					}
					user = ""
				case "USER":
					user = words[1]
				case "COPY":
					checkCopy(t, words[1:], stages)
				}
			}
			if user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
				t.Errorf("the last stage runs as user %q, want one that is not root", user)
			}
		})
	}
}

// checkCopy holds that the sources of a COPY exist: in the repository, or as a stage.
func checkCopy(t *testing.T, args, stages []string) {
	t.Helper()
	if from, ok := strings.CutPrefix(args[0], "--from="); ok {
		if !slices.Contains(stages, from) {
			t.Errorf("COPY --from=%s: no such stage above", from)
		}
		return
	}
	for _, src := range args[:len(args)-1] {
		if _, err := os.Stat(filepath.Join("..", src)); err != nil {
			t.Errorf("COPY: %v", err)
		}
	}
}

// imageEnv returns what the worker's image sets in its environment.
func imageEnv(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, words := range instructions(t, "Dockerfile") {
		if words[0] == "ENV" {
			for _, pair := range words[1:] {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
		}
	}
	return env
}

func TestWorkerImage(t *testing.T) {
	env := imageEnv(t)
	if env["ORT_DISABLE_TELEMETRY"] != "1" {
		t.Error("ORT_DISABLE_TELEMETRY is not 1")
	}
	if _, err := os.Stat(filepath.Join("../models", filepath.Base(env["MODELS"]), "model_index.json")); err != nil {
		t.Errorf("MODELS is %q: %v", env["MODELS"], err)
	}
}
