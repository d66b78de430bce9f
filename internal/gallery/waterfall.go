package gallery

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Waterfall is the spans of one trace as bars on a common axis.
type Waterfall struct {
	Rows  []Row
	Ticks []Tick
	Total time.Duration // from the start of the first span to the end of the last
}

// Described says whether any row has attributes.
func (w Waterfall) Described() bool {
	return slices.ContainsFunc(w.Rows, func(r Row) bool { return len(r.Attributes) > 0 })
}

// Row is one bar of a waterfall.
type Row struct {
	Name        string
	Stage       Stage
	Depth       int     // 0 for a root
	Left, Width float64 // percent of the axis
	Start       time.Duration
	Duration    time.Duration
	Shortened   bool // the bar is drawn shorter than the axis' scale
	Failed      bool
	Message     string // why it failed
	Attributes  []Attribute
}

// Attribute is a key of a span and its value as text.
type Attribute struct{ Key, Value string }

// Stage is what kind of work a span stands for; the page gives each a colour.
type Stage string

// Stages, in the order in which a job goes through them.
const (
	StagePublish   Stage = "publish"
	StageQueue     Stage = "queue"
	StageJob       Stage = "job"
	StageInference Stage = "inference"
	StageText      Stage = "text"
	StageDenoise   Stage = "denoise"
	StageDecode    Stage = "decode"
	StageUpload    Stage = "upload"
	StageOther     Stage = "other"
)

// stageOf tells a span's stage from its name, or from its kind where the name carries a subject.
func stageOf(s Span) Stage {
	switch s.Name {
	case "text-to-image":
		return StageJob
	case "inference":
		return StageInference
	case "tokenize", "text_encode":
		return StageText
	case "denoise":
		return StageDenoise
	case "vae_decode":
		return StageDecode
	case "upload", "S3.PutObject":
		return StageUpload
	}
	if s.Kind == "PRODUCER" {
		return StagePublish
	}
	return StageOther
}

// waitName is the name of the row that stands for a wait in the queue, for which there is no span.
const waitName = "in the queue"

// NewWaterfall lays out the spans of one trace, depth first, siblings by their start, with a row for each wait in
// the queue before the attempt that ended it. Zero is where the first attempt began (its CONSUMER span), or the
// first span where there is none.
func NewWaterfall(spans []Span) Waterfall {
	nodes := tree(spans)
	ax := newAxis(nodes)
	if ax == nil {
		return Waterfall{}
	}
	zero := ax[0].from
	if i := slices.IndexFunc(nodes, func(n node) bool { return n.Kind == "CONSUMER" }); i >= 0 {
		zero = nodes[i].Start
	}
	row := func(from, to time.Time, r Row) Row {
		r.Left, r.Start = ax.at(from), from.Sub(zero)
		r.Width, r.Duration = ax.at(to)-r.Left, max(0, to.Sub(from))
		r.Shortened = ax.shortened(from, to)
		return r
	}
	w := Waterfall{Total: ax[len(ax)-1].to.Sub(ax[0].from), Ticks: ax.ticks(zero, 5)}
	for _, n := range nodes {
		if !n.waited.IsZero() {
			w.Rows = append(w.Rows, row(n.waited, n.Start, Row{Name: waitName, Stage: StageQueue, Depth: n.depth}))
		}
		w.Rows = append(w.Rows, row(n.Start, later(n.Start, n.End), Row{
			Name: n.Name, Stage: stageOf(n.Span), Depth: n.depth,
			Failed: n.Failed, Message: n.Message, Attributes: attributes(n.Attributes),
		}))
	}
	return w
}

// attributes returns a span's attributes as text, sorted by key.
func attributes(m map[string]any) []Attribute {
	out := make([]Attribute, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		text := fmt.Sprint(m[k])
		if f, ok := m[k].(float64); ok {
			text = fmt.Sprintf("%.4g", f)
		}
		out = append(out, Attribute{k, text})
	}
	return out
}
