package gallery

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens in testdata anew")

// run is a page with a picture, and with a job that failed and whose every text tries to be markup.
func run() Page {
	const hostile = `"><script>alert('a')</script><b onclick=x>&amp;`
	failed := span("2", "", "text-to-image", 100, 130)
	failed.Failed, failed.Message, failed.Attributes = true, hostile, map[string]any{hostile: hostile}
	return Page{
		Title: "2 prompts, 1 picture", Lede: "Drawn by tiny-emoji.", Took: 500 * time.Millisecond,
		Pictures: []Picture{
			{
				ID: "demo/0", Prompt: "a red apple on a blue background", NegativePrompt: "blurry", Seed: 18446744073709551615,
				Model: "tiny-emoji", Steps: 20, Guidance: 7.5, Scheduler: "euler_a", Width: 128, Height: 96,
				ContentType: "image/png", Data: []byte("the file's bytes"), Location: "s3://pictures/demo/00000000-0123456789abcdef.png",
				Took: 80 * time.Millisecond, Queued: 18 * time.Millisecond, TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", Spans: jobSpans(),
			},
			{ID: "demo/1", Prompt: hostile, NegativePrompt: hostile, Model: hostile, Scheduler: hostile, Error: hostile, Spans: []Span{failed}},
		},
	}
}

// render returns the page without its style, which would hide what changed in the rest.
func render(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b); err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(b.String(), "<style>")
	style, after, found := strings.Cut(rest, "</style>")
	if !found || style != pageStyle {
		t.Fatal("the page does not hold style.css as it is")
	}
	return before + after
}

func TestPageGolden(t *testing.T) {
	got := render(t, run())
	golden := filepath.Join("testdata", "page.html")
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

func TestPageIsSelfContained(t *testing.T) {
	page := render(t, run())
	if tags := regexp.MustCompile(`(?i)<(script|link|iframe|object|embed|base|form)\b`).FindAllString(page, -1); tags != nil {
		t.Errorf("the page holds %q", tags)
	}
	for _, m := range regexp.MustCompile(`(?i)\b(src|href|srcset|url)\s*[=(]\s*"?([^"\s>)]*)`).FindAllStringSubmatch(page+pageStyle, -1) {
		if !strings.HasPrefix(m[2], "#") && !strings.HasPrefix(m[2], "data:image/png;base64,") {
			t.Errorf("the page loads %q", m[0])
		}
	}
	for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `id="`+m[1]+`"`) {
			t.Errorf("the page leads to #%s, which is not in it", m[1])
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("html/template has refused a value")
	}
}

func TestPageOfNothing(t *testing.T) {
	page := render(t, Page{Title: "nothing yet"})
	if !strings.Contains(page, "nothing yet") || strings.Contains(page, "The run") {
		t.Errorf("a page without pictures must have its title and no timeline:\n%s", page)
	}
}

func TestSourceOfNoImage(t *testing.T) {
	if got := (Picture{ContentType: "text/html", Data: []byte("x")}).Source(); got != "" {
		t.Errorf("Source() of a web page = %q, want none", got)
	}
}

func TestSummary(t *testing.T) {
	want := []Figure{
		{"1", "picture"}, {"1", "failed"}, {"2", "images/s"}, {"500 ms", "in all"}, {"80 ms", "median in the worker"},
		{"18 ms", "median in the queue"}, {"20", "denoising steps"}, {"10", "spans"}, {"16 B", "stored"},
	}
	if diff := cmp.Diff(want, run().Summary()); diff != "" {
		t.Errorf("Summary (-want +got):\n%s", diff)
	}
}

func TestTimeline(t *testing.T) {
	second := jobSpans()
	for i := range second { // published together, drawn 100 ms later
		if second[i].Kind != "PRODUCER" {
			second[i].Start, second[i].End = second[i].Start.Add(milliseconds(100)), second[i].End.Add(milliseconds(100))
		}
	}
	got := NewTimeline([]Picture{{Prompt: "a cat", Spans: jobSpans()}, {Prompt: "a dog", Spans: second}, {Prompt: "never drawn"}})
	want := Timeline{
		Total: milliseconds(200),
		Ticks: []Tick{{0, "0"}, {25, "50 ms"}, {50, "100 ms"}, {75, "150 ms"}, {100, "200 ms"}},
		Bars: []Bar{
			{Label: "a cat", Parts: []Part{
				{StageQueue, 1, 9, milliseconds(18)}, {StageJob, 10, 40, milliseconds(80)},
				{StageText, 10, 0.5, milliseconds(1)}, {StageText, 10.5, 2, milliseconds(4)},
				{StageDenoise, 12.5, 25, milliseconds(50)}, {StageDecode, 37.5, 6.5, milliseconds(13)}, {StageUpload, 45, 5, milliseconds(10)},
			}},
			{Label: "a dog", Parts: []Part{
				{StageQueue, 1, 59, milliseconds(118)}, {StageJob, 60, 40, milliseconds(80)},
				{StageText, 60, 0.5, milliseconds(1)}, {StageText, 60.5, 2, milliseconds(4)},
				{StageDenoise, 62.5, 25, milliseconds(50)}, {StageDecode, 87.5, 6.5, milliseconds(13)}, {StageUpload, 95, 5, milliseconds(10)},
			}},
			{Label: "never drawn"},
		},
	}
	if diff := cmp.Diff(want, got, approximately); diff != "" {
		t.Errorf("NewTimeline (-want +got):\n%s", diff)
	}
}
