package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadInput holds that what cannot work is found before anything starts, with a message that names the setting.
func TestBadInput(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want string
		code int
	}{
		"unknown flag":            {[]string{"demo", "--prompts", "3"}, nil, "dev demo -h", exitConfig},
		"unknown command":         {[]string{"dmeo"}, nil, `"dmeo"`, exitConfig},
		"variable":                {nil, map[string]string{"LANES": "two"}, "LANES", exitConfig},
		"lanes":                   {[]string{"--lanes", "-1"}, nil, "--lanes", exitConfig},
		"log level":               {[]string{"demo", "--log-level", "loud"}, nil, "--log-level", exitConfig},
		"model name":              {[]string{"demo", "--models", "a b=x"}, nil, "name=path", exitConfig},
		"folder of something":     {[]string{"demo", "--out", "models"}, nil, "--out", exitConfig},
		"out is a file":           {[]string{"demo", "--out", file}, nil, "--out", exitConfig},
		"data is a file":          {[]string{"--data", file}, nil, "--data", exitConfig},
		"no address":              {[]string{"--data", t.TempDir(), "--nats-addr", "4222"}, map[string]string{"ONNXRUNTIME_LIB": library(t)}, "--nats-addr", exitConfig},
		"prompt that is no UTF-8": {[]string{"demo", "--out", t.TempDir(), "\xff"}, nil, "prompt", exitConfig},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			code := run(t.Context(), process{args: tc.args, getenv: func(v string) string { return tc.env[v] }, stdout: &stderr, stderr: &stderr})
			if code != tc.code || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit code %d, want %d, with a message that holds %q:\n%s", code, tc.code, tc.want, &stderr)
			}
		})
	}
}

// TestDemoWithoutItsParts holds what a newcomer is told who has no library or no model.
func TestDemoWithoutItsParts(t *testing.T) {
	lib := library(t)
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"library": {[]string{"--onnxruntime-lib", "/nowhere/libonnxruntime.so", "--models", "models/tiny-emoji"}, "make ort"},
		"model":   {[]string{"--onnxruntime-lib", lib, "--models", "models/nothing"}, "models/nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			tmp := inRepository(t)
			var stderr bytes.Buffer
			args := append([]string{"demo", "--out", filepath.Join(t.TempDir(), "demo")}, tc.args...)
			code := run(t.Context(), process{args: args, getenv: func(string) string { return "" }, stdout: &stderr, stderr: &stderr})
			if code != exitConfig || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit code %d, want %d, with a message that holds %q:\n%s", code, exitConfig, tc.want, &stderr)
			}
			if left := list(t, tmp); len(left) > 0 {
				t.Errorf("left in the temporary folder: %q", left)
			}
		})
	}
}

func TestNoModelHere(t *testing.T) {
	t.Chdir(t.TempDir())
	var stderr bytes.Buffer
	code := run(t.Context(), process{args: []string{"demo"}, getenv: func(string) string { return "" }, stdout: &stderr, stderr: &stderr})
	if code != exitConfig || !strings.Contains(stderr.String(), "MODELS (--models)") {
		t.Errorf("exit code %d, want %d, with a message that says how to give a model:\n%s", code, exitConfig, &stderr)
	}
}

func TestHelpNamesEveryVariable(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"demo", "--help"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), process{args: args, getenv: func(string) string { return "" }, stdout: &stdout, stderr: &stderr}); code != 0 || stderr.Len() > 0 {
			t.Errorf("%v: exit code %d:\n%s", args, code, &stderr)
		}
		flags := 0
		for line := range strings.Lines(stdout.String()) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "-") && !strings.Contains(line, "--help") && !strings.Contains(line, "--version") {
				flags++
				if !strings.Contains(line, "[$") {
					t.Errorf("%v: no variable for %s", args, line)
				}
			}
		}
		if flags < 5 {
			t.Errorf("%v lists %d flags:\n%s", args, flags, &stdout)
		}
	}
}
