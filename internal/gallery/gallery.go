package gallery

import (
	_ "embed" // for the pages' templates and style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"
)

// Page is a run of jobs and what became of them.
type Page struct {
	Title    string
	Lede     string        // a sentence or two below the title
	Took     time.Duration // from the first job's publishing to the last picture
	Pictures []Picture
}

// Picture is one job and its picture.
type Picture struct {
	ID             string // <batch>/<index>
	Prompt         string
	NegativePrompt string
	Seed           uint64
	Model          string
	Steps          int     // num_inference_steps
	Guidance       float64 // guidance_scale
	Scheduler      string
	Width, Height  int // pixels

	ContentType string // image/png or image/jpeg
	Data        []byte // the file as stored; empty for a job that failed
	Location    string // where it is stored
	Error       string // why the job failed

	Took    time.Duration // from the job's receipt to its result
	Queued  time.Duration // in the queue before that
	TraceID string
	Spans   []Span // of the trace
}

// Failed says whether there is no picture.
func (p Picture) Failed() bool { return len(p.Data) == 0 }

// Source is the picture as a data URL. It is "" for a file that is no image.
func (p Picture) Source() template.URL {
	switch p.ContentType {
	case "image/png", "image/jpeg", "image/webp":
		// Nothing but the letters of base64 follows, so there is nothing to escape.
		return template.URL("data:" + p.ContentType + ";base64," + base64.StdEncoding.EncodeToString(p.Data)) //nolint:gosec // as above
	}
	return ""
}

// Waterfall is that of the picture's spans.
func (p Picture) Waterfall() Waterfall { return NewWaterfall(p.Spans) }

var (
	//go:embed head.html.tmpl
	headTemplate string
	//go:embed index.html.tmpl
	pageTemplate string
	//go:embed style.css
	pageStyle string
)

// Render writes the page as one HTML file that loads nothing: pictures and style are in it, and it has no scripts.
// All text is escaped. It works in dark and light, on narrow screens, by keyboard, and in print.
func (p Page) Render(w io.Writer) error {
	return renderPage(w, "index", pageTemplate, pageStyle, p)
}

// Policy is the value of img-src in the page's Content-Security-Policy.
func (p Page) Policy() string { return "data:" }

// renderPage writes a page from a template, which finds that of all pages' heads in head.html.tmpl.
func renderPage(w io.Writer, name, text, style string, page any) error {
	t, err := template.New(name).Funcs(template.FuncMap{
		"duration": FormatDuration,
		"number":   digits,
		"inc":      func(i int) int { return i + 1 },
		"css":      func() template.CSS { return template.CSS(style) }, //nolint:gosec // our own files
		"breaks":   breaks,
		"share":    func(percent float64) string { return fmt.Sprintf("%.3f%%", percent) },
	}).Parse(headTemplate)
	if err == nil {
		t, err = t.Parse(text)
	}
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	if err := t.Execute(w, page); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// breaks is text that may be broken behind underscores.
func breaks(text string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(text), "_", "_<wbr>")) //nolint:gosec // escaped
}

// Figure is a number of the summary: a value and what it counts.
type Figure struct{ Value, Label string }

// Summary is the run in figures.
func (p Page) Summary() []Figure {
	var drawn, spans, steps int
	var size int64
	var took, queued []time.Duration
	for _, pic := range p.Pictures {
		spans += len(pic.Spans)
		if pic.Failed() {
			continue
		}
		drawn++
		size += int64(len(pic.Data))
		steps += pic.Steps
		took, queued = append(took, pic.Took), append(queued, pic.Queued)
	}
	figures := []Figure{{fmt.Sprint(drawn), plural(drawn, "picture")}}
	if failed := len(p.Pictures) - drawn; failed > 0 {
		figures = append(figures, Figure{fmt.Sprint(failed), "failed"})
	}
	if p.Took > 0 {
		figures = append(figures,
			Figure{digits(float64(drawn) / p.Took.Seconds()), "images/s"},
			Figure{FormatDuration(p.Took), "in all"})
	}
	return append(figures,
		Figure{FormatDuration(median(took)), "median in the worker"},
		Figure{FormatDuration(median(queued)), "median in the queue"},
		Figure{fmt.Sprint(steps), plural(steps, "denoising step")},
		Figure{fmt.Sprint(spans), plural(spans, "span")},
		Figure{FormatBytes(size), "stored"})
}

// Timeline is that of the page's pictures.
func (p Page) Timeline() Timeline { return NewTimeline(p.Pictures) }

// Key explains the colour of a stage.
type Key struct {
	Stage Stage
	Label string
}

// Legend explains the colours of the timeline.
func (p Page) Legend() []Key {
	labels := map[Stage]string{
		StageQueue: waitName, StageJob: "in the worker", StageText: "text encoder", StageDenoise: "denoising", StageDecode: "VAE decoder", StageUpload: "upload",
	}
	var keys []Key
	for _, s := range timelineStages() {
		keys = append(keys, Key{s, labels[s]})
	}
	return keys
}

// median is the middle of d, the higher one of two; 0 for none.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
