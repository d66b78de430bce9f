package gallery

import (
	"bytes"
	"html/template"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// grid is a page of two tables of 2×2 cells: one picture by a link, one embedded, one presigned; the rest is missing, for
// reasons that try to be markup.
func grid() GridPage {
	const hostile = `"><script>alert('a')</script><b onclick=x>&amp;`
	return GridPage{
		Title: "a red apple", Lede: "seed × prompt × scheduler, drawn by tiny-emoji, batch b",
		X: Dimension{"seed", []string{"1", "2"}}, Y: Dimension{"prompt", []string{hostile, ""}}, Z: Dimension{"scheduler", []string{"euler", hostile}},
		Common: []Fact{{"num_inference_steps", "20"}, {hostile, hostile}}, Command: "enqueue grid --batch b --x seed=1..2 " + hostile,
		Took: 12 * time.Second, Drawn: 3, Missing: 5, Size: 123456, ImageSources: "'self' file:",
		Sheets: func(z int) []string {
			return [][]string{{"grid-01-euler.png"}, {"grid-02.png", "https://s3.example.com/b/grid-03.png?X-Amz-Signature=1&x=2"}}[z]
		},
		Cell: func(i int) GridCell {
			c := GridCell{Alt: hostile, Missing: "failed", Reason: hostile, Facts: []Fact{{"job", "b/7"}, {hostile, hostile}}}
			switch i {
			case 0:
				c = GridCell{Alt: "a red apple", Source: "00000000-0123456789abcdef.png", File: "00000000-0123456789abcdef.png", Width: 128, Height: 96, Facts: []Fact{{"seed", "1"}}}
			case 1:
				c = GridCell{Alt: hostile, Source: template.URL("data:image/jpeg;base64,AAAA")}
			case 6:
				c = GridCell{Alt: hostile, Source: "https://s3.example.com/b/6.png?X-Amz-Signature=1&x=2", File: "https://s3.example.com/b/6.png?X-Amz-Signature=1&x=2"}
			}
			return c
		},
	}
}

// renderGrid returns the page without its style.
func renderGrid(t *testing.T, p GridPage) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b); err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(b.String(), "<style>")
	style, after, found := strings.Cut(rest, "</style>")
	if !found || style != pageStyle+gridStyle {
		t.Fatal("the page does not hold its styles as they are")
	}
	return before + after
}

func TestGridPageGolden(t *testing.T) {
	got := renderGrid(t, grid())
	golden := filepath.Join("testdata", "grid.html")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the page (-want +got); run with -update if it is meant:\n%s", diff)
	}
}

// TestGridPageLoadsItsPicturesAlone: nothing but pictures is loaded, every link within the page leads somewhere, and no
// text has become markup.
func TestGridPageLoadsItsPicturesAlone(t *testing.T) {
	page := renderGrid(t, grid())
	if tags := regexp.MustCompile(`(?i)<(script|link|iframe|object|embed|base|form|b)\b`).FindAllString(page, -1); tags != nil {
		t.Errorf("the page holds %q", tags)
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("html/template has refused a value")
	}
	var loaded []string
	for _, m := range regexp.MustCompile(`\bsrc="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		loaded = append(loaded, m[1])
	}
	want := []string{"00000000-0123456789abcdef.png", "data:image/jpeg;base64,AAAA", "https://s3.example.com/b/6.png?X-Amz-Signature=1&amp;x=2"}
	if diff := cmp.Diff(want, loaded); diff != "" {
		t.Errorf("pictures (-want +got):\n%s", diff)
	}
	links := regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1)
	for _, m := range links {
		if strings.Count(page, `id="`+m[1]+`"`) != 1 {
			t.Errorf("the page leads to #%s, which is not in it once", m[1])
		}
	}
	if len(links) < 8*3 {
		t.Errorf("%d links within the page, want each cell to open and close", len(links))
	}
	if n := strings.Count(page, "<figure"); n != 8 {
		t.Errorf("%d cells, want 8", n)
	}
	policy := `content="default-src &#39;none&#39;; img-src data: &#39;self&#39; file:; style-src &#39;unsafe-inline&#39;"`
	if !strings.Contains(strings.ReplaceAll(page, "'", "&#39;"), policy) {
		t.Error("the policy does not name the pictures' sources alone")
	}
}

// TestGridPageOfOneDimension has no empty labels.
func TestGridPageOfOneDimension(t *testing.T) {
	p := GridPage{Title: "t", X: Dimension{"seed", []string{"1", "2", "3"}}, Cell: func(int) GridCell { return GridCell{Missing: "no picture"} }}
	page := renderGrid(t, p)
	for tag, want := range map[string]int{"<th": 4, "<thead": 1, "<figure": 3, "<h2": 0, `class="corner"`: 0, `scope="row"`: 0} {
		if got := strings.Count(page, tag); got != want {
			t.Errorf("%d times %s, want %d", got, tag, want)
		}
	}
	if page := renderGrid(t, GridPage{Title: "t", Cell: p.Cell}); strings.Count(page, "<figure") != 1 || strings.Contains(page, "<thead") {
		t.Errorf("a page of one cell:\n%s", page)
	}
}
