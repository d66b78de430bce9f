package upload

import (
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	tests := []struct {
		prefix, batch string
		index         int64
		spec, format  string
		want          string
	}{
		{"", "b", 0, "0123456789abcdef", PNG, "b/00000000-0123456789abcdef.png"},
		{"acme/", "cats-1", 42, "0123456789abcdef", JPEG, "acme/cats-1/00000042-0123456789abcdef.jpg"},
		{"a/b/", "x_Y", 99999999, "ffffffffffffffff", WebP, "a/b/x_Y/99999999-ffffffffffffffff.webp"},
		{"", "big", 123456789012, "ffffffffffffffff", PNG, "big/123456789012-ffffffffffffffff.png"},
	}
	for _, tt := range tests {
		if got := Key(tt.prefix, tt.batch, tt.index, tt.spec, Ext(tt.format)); got != tt.want {
			t.Errorf("Key = %q, want %q", got, tt.want)
		}
	}
}

func TestCheckpointKey(t *testing.T) {
	if got, want := CheckpointKey("acme/", "cats", 42, "0123456789abcdef"), "acme/.checkpoints/cats/42-0123456789abcdef"; got != want {
		t.Errorf("CheckpointKey = %q, want %q", got, want)
	}
}

func TestValidatePrefix(t *testing.T) {
	for _, good := range []string{"", "acme/", "a/b/c/", "bilder/größe/", ".hidden/"} {
		if err := ValidatePrefix(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"acme": `as in "acme/"`, "/": `part ""`, "/a/": `part ""`, "a//b/": `part ""`, "a/../b/": `part ".."`, "./": `part "."`,
		"a\n/": "control", "\xff/": "UTF-8", strings.Repeat("a", 512) + "/": "longer than 512",
	} {
		if err := ValidatePrefix(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error about %s", bad, err, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	const spec = "0123456789abcdef"
	for _, tt := range []struct {
		prefix, key       string
		image, checkpoint bool
	}{
		{"", "b/00000007-" + spec + ".png", true, false},
		{"acme/", "acme/b/00000007-" + spec + ".jpg", true, false},
		{"", "b/123456789012-" + spec + ".webp", true, false},
		{"", ".checkpoints/b/7-" + spec, false, true},
		{"acme/", "acme/.checkpoints/b/7-" + spec, false, true},
		{"acme/", ".checkpoints/b/7-" + spec, false, false},
		{"", "acme/b/00000007-" + spec + ".png", false, false}, // another tenant's
		{"", ".checkpoints/b/00000007-" + spec, false, false},
		{"", ".checkpoints/b/7-" + spec + ".png", false, false},
		{"", "b/7-" + spec + ".png", false, false},
		{"", "b/-0000007-" + spec + ".png", false, false},
		{"", "b/00000007-" + spec, false, false},
		{"", "b/00000007-" + spec + ".", false, false},
		{"", "b/00000007-0123456789ABCDEF.png", false, false},
		{"", "b/00000007-0123.png", false, false},
		{"", "/00000007-" + spec + ".png", false, false},
		{"", ".probe/ABC", false, false},
		{"", "", false, false},
	} {
		if k, ok := ParseKey(tt.prefix, tt.key); ok != tt.image {
			t.Errorf("ParseKey(%q, %q) = %+v, %v, want %v", tt.prefix, tt.key, k, ok, tt.image)
		}
		if k, ok := ParseCheckpointKey(tt.prefix, tt.key); ok != tt.checkpoint {
			t.Errorf("ParseCheckpointKey(%q, %q) = %+v, %v, want %v", tt.prefix, tt.key, k, ok, tt.checkpoint)
		}
	}
}

// FuzzParseKey: what is read gives the same key again, and no key is read as both.
func FuzzParseKey(f *testing.F) {
	f.Add("", "b/00000007-0123456789abcdef.png")
	f.Add("acme/", "acme/.checkpoints/b/7-0123456789abcdef")
	f.Add("", "b/18446744073709551616-0123456789abcdef.png")
	f.Fuzz(func(t *testing.T, prefix, key string) {
		image, isImage := ParseKey(prefix, key)
		state, isState := ParseCheckpointKey(prefix, key)
		switch {
		case isImage && isState:
			t.Errorf("%q is an image's key and a checkpoint's", key)
		case isImage && Key(prefix, image.Batch, image.Index, image.Spec16, image.Ext) != key:
			t.Errorf("%q is read as %+v", key, image)
		case isState && CheckpointKey(prefix, state.Batch, state.Index, state.Spec16) != key:
			t.Errorf("%q is read as %+v", key, state)
		}
	})
}
