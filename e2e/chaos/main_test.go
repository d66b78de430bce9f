package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadFlags(t *testing.T) {
	library := filepath.Join(t.TempDir(), "library.so")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--rain"}, "--rain"},
		{[]string{"now"}, `"now"`},
		{[]string{"--jobs", "0"}, "--jobs"},
		{[]string{"--faults", "-1"}, "--faults"},
		{[]string{"--kinds", "freeze,rain"}, "rain"},
		{[]string{"--ack-wait", "10ms"}, "--ack-wait"},
		{[]string{"--onnxruntime-lib", ""}, "ONNXRUNTIME_LIB"},
	} {
		args := append([]string{"--onnxruntime-lib", library, "--dir", t.TempDir()}, tt.args...)
		var stdout, stderr bytes.Buffer
		code := command(context.Background(), args, func(string) string { return "" }, &stdout, &stderr)
		if code != exitConfig || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: exit code %d, %q, want %d and a word of %q", tt.args, code, stderr.String(), exitConfig, tt.want)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := command(context.Background(), []string{"-h"}, os.Getenv, &stdout, &stderr); code != exitGood || !strings.Contains(stdout.String(), string(freeze)) {
		t.Errorf("-h: exit code %d\n%s", code, stdout.String())
	}
}

// TestFinish: the folder of a good run goes, that of a bad one stays, and is told with what was bad.
func TestFinish(t *testing.T) {
	for _, tt := range []struct {
		name       string
		keep       bool
		f          figures
		err        error
		code       int
		kept       bool
		says, lack string
	}{
		{name: "good", code: exitGood},
		{name: "good and kept", keep: true, code: exitGood, kept: true},
		{name: "lost", f: figures{lost: 1, problems: []string{"lost: job 3"}}, code: exitBad, kept: true, says: "lost: job 3"},
		{name: "many", f: figures{problems: strings.Fields(strings.Repeat("x ", 21) + "last")}, code: exitBad, kept: true, says: "and 2 more", lack: "last"},
		{name: "broken", err: errors.New("no broker"), code: exitBad, kept: true},
	} {
		dir := filepath.Join(t.TempDir(), "run")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		code := options{dir: dir, keep: tt.keep}.finish(tt.f, tt.err, &stderr)
		_, err := os.Stat(dir)
		if code != tt.code || (err == nil) != tt.kept || strings.Contains(stderr.String(), dir) != tt.kept {
			t.Errorf("%s: exit code %d, want %d; folder kept: %v, want %v\n%s", tt.name, code, tt.code, err == nil, tt.kept, stderr.String())
		}
		if !strings.Contains(stderr.String(), tt.says) || tt.lack != "" && strings.Contains(stderr.String(), tt.lack) {
			t.Errorf("%s: says %q, want %q and not %q", tt.name, stderr.String(), tt.says, tt.lack)
		}
	}
}
