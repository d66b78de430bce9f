package web_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast computes the contrast of the page's colours in both themes: WCAG 2.2 AA asks for 4.5 between text and
// what it stands on (1.4.3), and for 3 between an edge, a bar or the ring of the focus and what is around it (1.4.11).
func TestContrast(t *testing.T) {
	light, dark := themes(t)
	for theme, colours := range map[string]map[string]string{"light": light, "dark": dark} {
		for _, c := range []struct {
			on    string // names of colours, in the style sheet without --
			text  string // 4.5
			parts string // 3
		}{
			{"paper", "ink faint brand good warn bad", "edge brand good warn bad"},
			{"card", "ink faint brand warn bad", "edge brand wait text denoise decode encode upload"},
			{"sunk", "ink faint brand", "brand"},
			{"tint", "ink faint brand", "brand"},
			{"warn-paper", "ink faint warn", "warn bad"},
			{"bad-paper", "ink bad", "brand"},
			{"line", "", "brand bad good"}, // bars in their tracks
			{"brand", "on-brand", ""},
			{"bad", "on-bad", ""},
			{"warn", "warn-paper", ""},
		} {
			for least, names := range map[float64]string{4.5: c.text, 3: c.parts} {
				for name := range strings.FieldsSeq(names) {
					if got := contrast(t, colours[name], colours[c.on]); got < least {
						t.Errorf("%s: --%s on --%s has a contrast of %.2f, less than %v", theme, name, c.on, got, least)
					}
				}
			}
		}
	}
}

// themes are the colours of the style sheet: those of the light theme, and what the dark one makes of them.
func themes(t *testing.T) (light, dark map[string]string) {
	t.Helper()
	css, err := os.ReadFile("assets/app.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`:root \{([^}]*)\}`).FindAllSubmatch(css, -1)
	if len(blocks) != 2 {
		t.Fatalf("app.css has %d blocks for :root, not one for each theme", len(blocks))
	}
	colour := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)
	light, dark = map[string]string{}, map[string]string{}
	for i, block := range blocks {
		for _, m := range colour.FindAllSubmatch(block[1], -1) {
			dark[string(m[1])] = string(m[2])
			if i == 0 {
				light[string(m[1])] = string(m[2])
			}
		}
	}
	return light, dark
}

// contrast is (L1+0.05)/(L2+0.05) of the relative luminances, the lighter one first, as WCAG 2.2 defines it.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, errX := luminance(a)
	y, errY := luminance(b)
	if errX != nil || errY != nil {
		t.Fatalf("contrast of %q and %q: a colour is missing", a, b)
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is the relative luminance of #rrggbb in sRGB.
func luminance(colour string) (float64, error) {
	rgb, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 24)
	if err != nil {
		return 0, fmt.Errorf("reading the colour %q: %w", colour, err)
	}
	var sum float64
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		c := float64(rgb>>(8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum, nil
}
