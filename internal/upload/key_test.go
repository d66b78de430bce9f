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
