package infer

import (
	"strings"
	"testing"
)

// TestSides: what a device was not prepared for is refused before the door.
func TestSides(t *testing.T) {
	info := Info{SizeMultiple: 8, Width: 64, Height: 64, MinSide: 32, MaxSide: 128}
	for _, tt := range []struct {
		width, height int
		says          string
	}{{32, 128, ""}, {64, 24, "height is 24: this worker is prepared for 32 to 128"}, {136, 64, "width is 136"}} {
		err := Validate(Request{Steps: 1, Width: tt.width, Height: tt.height}, info, Limits{MaxPixels: 1 << 20})
		refused := err != nil && tt.says != "" && strings.Contains(err.Error(), tt.says)
		if !refused && (tt.says != "" || (err != nil && strings.Contains(err.Error(), "prepared"))) {
			t.Errorf("%d × %d: %v", tt.width, tt.height, err)
		}
	}
}
