package ort

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerify: a folder is what its stipple.json's digest says, by the rule that docs/models.md gives.
func TestVerify(t *testing.T) {
	dir := copyModel(t)
	plain, err := Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := readFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, name := range f.files() {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name != ownFile {
			fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(data), name)
		}
	}
	sum := sha256.Sum256([]byte(lines.String()))
	own := func(digest string) {
		if err := os.WriteFile(filepath.Join(dir, ownFile), []byte(`{"digest": "`+digest+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own(hex.EncodeToString(sum[:]))
	signed, err := Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if p := load(t, dir); p.Digest() != signed || signed == plain {
		t.Errorf("loaded with digest %s, verified with %s, before stipple.json was there with %s", p.Digest(), signed, plain)
	}
	for digest, says := range map[string]string{strings.Repeat("0", 64): "they were damaged", "abc": "must be 64 digits"} {
		own(digest)
		if _, err := Verify(t.Context(), dir); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), ownFile) {
			t.Errorf("digest %s: %v", digest, err)
		}
		if _, err := shared.Load(t.Context(), dir); err == nil {
			t.Errorf("digest %s: it loads", digest)
		}
	}
	if _, err := Verify(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "model_index.json is missing") {
		t.Errorf("of nothing: %v", err)
	}
}

// TestDigestOfTokens: added tokens change what a prompt is read as, so they are part of the model.
func TestDigestOfTokens(t *testing.T) {
	dir := copyModel(t)
	before, err := Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tokenizer/added_tokens.json"), "{}")
	if after, err := Verify(t.Context(), dir); err != nil || after == before {
		t.Errorf("digest %s before added_tokens.json was there, now %s, %v", before, after, err)
	}
}
