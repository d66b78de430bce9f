package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestCache: what was downloaded is listed, kept while it is served or new, and else removed; then it can be downloaded again.
func TestCache(t *testing.T) {
	modelBucket(t)
	const model = "s3://models/toys/sd15"
	env := map[string]string{"STIPPLE_MODEL_CACHE": t.TempDir()}
	must := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := runWarm(t, env, args...)
		if code != 0 {
			t.Fatalf("worker %q: exit code %d: %s", args, code, stderr)
		}
		return stdout
	}
	if said := must("cache"); said != "0 versions, 0 B, in the cache\n" {
		t.Errorf("of an empty cache: %s", said)
	}
	must("warm", "--download", "--models", model)
	var line cachedVersion
	if err := json.Unmarshal([]byte(must("cache", "--json")), &line); err != nil || line.Type != "cached" || line.Bytes == 0 || line.Partial || len(line.Names) != 1 || line.Names[0] != "latest" {
		t.Fatalf("%+v, %v", line, err)
	}
	long := time.Now().Add(-60 * 24 * time.Hour)
	if err := os.Chtimes(line.Dir, long, long); err != nil {
		t.Fatal(err)
	}
	if said := must("cache"); !strings.HasPrefix(said, "s3-models-") || !strings.Contains(said, "latest") || !strings.Contains(said, "\n1 version, ") {
		t.Errorf("cache: %s", said)
	}
	for args, want := range map[string]string{
		"--models " + model: "0 versions, 0 B, removed", "--unused 2000h": "0 versions, 0 B, removed", "--dry-run": "would be removed",
	} {
		if said := must(append([]string{"cache", "prune"}, strings.Fields(args)...)...); !strings.Contains(said, want) {
			t.Errorf("prune %s: %s", args, said)
		}
		if _, err := os.Stat(line.Dir); err != nil {
			t.Fatalf("prune %s: %v", args, err)
		}
	}
	if said := must("cache", "prune", "--json"); !strings.HasPrefix(said, `{"type":"removed"`) {
		t.Errorf("prune: %s", said)
	}
	if _, err := os.Stat(line.Dir); err == nil {
		t.Errorf("%s is still there", line.Dir)
	}
	must("warm", "--download", "--models", model)
	if said := must("cache", "prune"); !strings.Contains(said, "0 versions") {
		t.Errorf("of a version that was just downloaded: %s", said)
	}
}

func TestCacheRefuses(t *testing.T) {
	for says, args := range map[string][]string{
		"CACHE_UNUSED (--unused)": {"--unused", "-1h"}, "ftp://": {"--models", "ftp://host/model"}, "HF_ENDPOINT": {"--hf-endpoint", "nowhere"},
	} {
		code, _, stderr := runWarm(t, map[string]string{"STIPPLE_MODEL_CACHE": t.TempDir()}, append([]string{"cache", "prune"}, args...)...)
		if code != exitConfig || !strings.Contains(stderr, says) {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
}
