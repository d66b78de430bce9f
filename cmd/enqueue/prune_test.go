package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/upload"
)

// TestPrune deletes old checkpoints, and nothing else.
func TestPrune(t *testing.T) {
	w := newWorld(t).withStore()
	w.env["S3_BUCKET"], w.env["QUEUE_PREFIX"] = bucket, "acme"
	spec := "0123456789abcdef"
	old, young := time.Now().Add(-25*time.Hour), time.Now().Add(-23*time.Hour)
	put := func(key string, modified time.Time) {
		t.Helper()
		path := filepath.Join(w.store.Dir(), bucket, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("state"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	kept := []string{upload.CheckpointKey("acme/", "b", 20_000, spec), "acme/.checkpoints/b/notes.txt", upload.CheckpointKey("", "b", 1, spec), upload.Key("acme/", "b", 0, spec, "png")}
	put(kept[0], young)
	for _, key := range kept[1:] {
		put(key, old)
	}
	for i := range 30 {
		put(upload.CheckpointKey("acme/", "b", int64(i), spec), old)
	}
	w.run("prune", "--dry-run").want(t, exitOK, "would delete 30 of 31 checkpoints below s3://images/acme/.checkpoints/ (150 bytes)")
	r := w.run("prune", "--json")
	r.want(t, exitOK)
	want := []map[string]any{{"type": "pruned", "bucket": bucket, "prefix": "acme/.checkpoints/", "checkpoints": 31.0, "deleted": 30.0, "bytes": 150.0, "dry_run": false}}
	if diff := cmp.Diff(want, lines(t, r.stdout)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(kept)), slices.Sorted(maps.Keys(w.objects()))); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	w.run("prune", "--checkpoint-ttl", "22h").want(t, exitOK, "deleted 1 of 1 checkpoint below")
	w.run("prune").want(t, exitOK, "deleted 0 of 0 checkpoints below")

	w.run("prune", "--checkpoint-ttl", "1s").want(t, exitInput, "CHECKPOINT_TTL (--checkpoint-ttl) is 1s: must be at least 1m")
	w.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
	w.run("prune").want(t, exitFailed, "the secret does not belong to the access key")
	w.env["S3_BUCKET"] = ""
	w.run("prune").want(t, exitInput, "S3_BUCKET is empty")
}

// objects are the keys and sizes of what lies in the store's bucket.
func (w *world) objects() map[string]int64 {
	w.t.Helper()
	root := filepath.Join(w.store.Dir(), bucket)
	all := map[string]int64{}
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		key, err := filepath.Rel(root, path)
		all[filepath.ToSlash(key)] = info.Size()
		return err
	})
	if err != nil {
		w.t.Fatal(fmt.Errorf("reading the store's folder: %w", err))
	}
	return all
}
