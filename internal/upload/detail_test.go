package upload

import (
	"bytes"
	"testing"
)

// TestDetail: what a file tells is what it was asked to, in every format.
func TestDetail(t *testing.T) {
	m := catMeta()
	for _, format := range encodable() {
		for _, tt := range []struct {
			name                 string
			text, origin, source bool
		}{
			{"full", true, true, true},
			{"minimal", false, true, true},
			{"none", false, false, false},
		} {
			var err error
			if m.Detail, err = ParseDetail(tt.name); err != nil {
				t.Fatal(err)
			}
			file, _, err := Encode(photo(8, 8), format, 90, m)
			if err != nil {
				t.Fatal(err)
			}
			for what, has := range map[string]struct {
				text string
				want bool
			}{
				"prompt": {m.Prompt, tt.text}, "trace": {m.TraceID, tt.origin}, "digest": {m.ModelDigest, tt.origin}, "source": {trainedAlgorithmicMedia, tt.source},
			} {
				if got := bytes.Contains(file, []byte(has.text)); got != has.want {
					t.Errorf("%s, %s: holds the %s: %v", format, tt.name, what, got)
				}
			}
		}
	}
	if _, err := ParseDetail("some"); err == nil {
		t.Error("METADATA=some was taken")
	}
}
