package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLicences holds that all that is linked into the programs may be, and that its licence is known.
func TestLicences(t *testing.T) {
	modules, err := linked(t.Context(), "../..", []string{"./cmd/worker", "./cmd/enqueue", "./cmd/dev"})
	if err != nil {
		t.Fatal(err)
	}
	if err := allowed(modules); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{
		"std": "BSD-3-Clause", "github.com/nats-io/nats.go": "Apache-2.0", "github.com/yalue/onnxruntime_go": "MIT", "github.com/chai2010/webp": "BSD-3-Clause", "go.opentelemetry.io/otel": "Apache-2.0",
	} {
		i := slices.IndexFunc(modules, func(m module) bool { return m.Path == path })
		if i < 0 {
			t.Errorf("%s is not linked?", path)
			continue
		}
		if got := modules[i].licences(); !slices.Contains(got, want) {
			t.Errorf("%s is under %q, want %s", path, got, want)
		}
	}
	for _, program := range []string{"./cmd/worker", "./cmd/enqueue"} {
		few, err := linked(t.Context(), "../..", []string{program})
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(few, func(m module) bool { return slices.Contains(m.licences(), mpl) }); i >= 0 {
			t.Errorf("%s links %s, which is under %s", program, few[i].Path, mpl)
		}
	}
	text := notices(modules)
	for _, want := range []string{"github.com/nats-io/nats.go v", "--- internal/libwebp-1.4.0/COPYING", "Copyright (c) 2010, Google Inc."} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the notices lack %q", want)
		}
	}
}

func TestClassify(t *testing.T) {
	const bsd = "Redistribution and use in source and binary forms, with or\nwithout modification, are permitted"
	for _, c := range []struct {
		text string
		want []string
	}{
		{"Apache License\n   Version 2.0, January 2004", []string{"Apache-2.0"}},
		{bsd, []string{"BSD-2-Clause"}},
		{bsd + " * Neither the name of Google", []string{"BSD-3-Clause"}},
		{"Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software and associated documentation files (the \"Software\")", []string{"MIT"}},
		{"GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3 … GNU General Public License, version 3", []string{"AGPL-3.0"}},
		{"Mozilla Public License Version 2.0 … the GNU Affero General Public License, Version 3.0", []string{"MPL-2.0"}},
		{"All rights reserved.", nil},
	} {
		if diff := cmp.Diff(c.want, classify(c.text)); diff != "" {
			t.Errorf("%q: %s", c.text, diff)
		}
	}
}

func TestAllowedRefuses(t *testing.T) {
	for _, c := range []struct {
		m    module
		want string
	}{
		{module{Path: "a.example/none"}, "a.example/none"},
		{module{Path: "a.example/odd", texts: []text{{name: "LICENSE", body: "mine"}}}, "read LICENSE"},
		{module{Path: "a.example/gpl", texts: []text{{name: "LICENSE", licences: []string{"MIT", "GPL"}}}}, "is under GPL"},
	} {
		if err := allowed([]module{c.m}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.m.Path, err)
		}
	}
}

// TestPack packs a release of one program twice, which makes the same archive.
func TestPack(t *testing.T) {
	t.Chdir("../..")
	built := filepath.Join(t.TempDir(), "built")
	if err := os.MkdirAll(filepath.Join(built, "linux_amd64"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(built, "linux_amd64", "enqueue"), []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("enqueue", filepath.Join(built, "linux_amd64", "also")); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"libonnxruntime.so.1.28.0": "library", "onnxruntime/LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software and associated documentation files"} {
		file = filepath.Join(built, "linux_amd64", file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var sums [2]string
	for i := range sums {
		var stdout, stderr bytes.Buffer
		out := t.TempDir()
		if err := run(t.Context(), []string{"pack", "--version", "v0.1.0", "--built", built, "--out", out}, &stdout, &stderr); err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		data, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = string(data)
		if i > 0 {
			continue
		}
		modes := unpack(t, filepath.Join(out, "stipple_0.1.0_linux_amd64.tar.gz"))
		want := map[string]int64{"also": 0o777, "enqueue": 0o755, "LICENSE": 0o644, "README.md": 0o644, "CHANGELOG.md": 0o644, "THIRD_PARTY_LICENSES": 0o644, "sbom.cdx.json": 0o644,
			"libonnxruntime.so.1.28.0": 0o644, "onnxruntime/LICENSE": 0o644}
		if diff := cmp.Diff(want, modes); diff != "" {
			t.Error(diff)
		}
	}
	if sums[0] != sums[1] || !strings.HasSuffix(sums[0], "  stipple_0.1.0_linux_amd64.tar.gz\n") {
		t.Errorf("the sums differ:\n%s\n%s", sums[0], sums[1])
	}
}

// unpack returns the modes of the files in an archive, and checks that it tells nothing of whoever made it.
func unpack(t *testing.T, file string) map[string]int64 {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return modes
		}
		if err != nil {
			t.Fatal(err)
		}
		name, inFolder := strings.CutPrefix(h.Name, "stipple_0.1.0_linux_amd64/")
		if modes[name] = h.Mode; !inFolder || h.Uname != "" || h.Uid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %q %d, time %v", h.Name, h.Uname, h.Uid, h.ModTime)
		}
		if name == "sbom.cdx.json" {
			var b bill
			if err := json.NewDecoder(tr).Decode(&b); err != nil || b.Format != "CycloneDX" || len(b.Components) < 20 || b.Components[0].Purl != "pkg:pypi/onnxruntime@1.28.0" {
				t.Errorf("the bill of materials has %d components: %v", len(b.Components), err)
			}
		}
	}
}
