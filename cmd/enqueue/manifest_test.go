package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stipple-ai/stipple/internal/queue"
)

// FuzzManifest opens what may lie in a folder: it is refused, or a line added to it is found again and nothing
// that was whole before is lost.
func FuzzManifest(f *testing.F) {
	for _, s := range []string{
		"", "{}\n", "\n", `{"batch_id":"b","index":7,"status":"failed"}` + "\n", `{"batch_id":"b","index":7,"image":{"sha256":"aa"}}` + "\n{\"batch", `{"batch_id":"c"}` + "\n", "\x00\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, manifestName)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := openManifest(dir, "b")
		if err != nil {
			return
		}
		want := len(m.lines)
		r := queue.Result{BatchID: "b", Index: 1 << 40, Status: queue.Expired}
		if _, there := m.lines[r.Index]; !there {
			want++
		}
		if err := m.add(r, ""); err != nil {
			t.Fatal(err)
		}
		if err := m.close(); err != nil {
			t.Fatal(err)
		}
		again, err := openManifest(dir, "b")
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		defer again.close()
		if !again.has(r) || len(again.lines) != want {
			t.Errorf("%d jobs, want %d", len(again.lines), want)
		}
	})
}
