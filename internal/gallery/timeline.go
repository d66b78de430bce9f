package gallery

import (
	"slices"
	"time"
)

// Timeline is the work of many jobs on a common axis: how they overlapped.
type Timeline struct {
	Bars  []Bar
	Ticks []Tick
	Total time.Duration
}

// Bar is one job's row of a timeline, in the order of the pictures.
type Bar struct {
	Label string // the picture's prompt
	Parts []Part // depth first: later ones are drawn over earlier ones
}

// Part is a stage of a job on a timeline.
type Part struct {
	Stage       Stage
	Left, Width float64 // percent of the axis
	Duration    time.Duration
}

// timelineStages are the stages that a timeline shows.
func timelineStages() []Stage {
	return []Stage{StageQueue, StageJob, StageText, StageDenoise, StageDecode, StageUpload}
}

// NewTimeline lays the spans of the pictures' jobs side by side, true to scale. Zero is the start of the first span.
func NewTimeline(pictures []Picture) Timeline {
	var t Timeline
	trees := make([][]node, len(pictures))
	var span stretch
	for i, p := range pictures {
		trees[i] = tree(p.Spans)
		for _, n := range trees[i] {
			if span.from.IsZero() || n.Start.Before(span.from) {
				span.from = n.Start
			}
			span.to = later(span.to, n.End)
		}
	}
	if !span.to.After(span.from) {
		return t
	}
	span.x1 = 100
	ax := axis{span}
	t.Total, t.Ticks = span.to.Sub(span.from), ax.ticks(span.from, 8)
	for i, p := range pictures {
		b := Bar{Label: p.Prompt}
		part := func(stage Stage, from, to time.Time) {
			left := ax.at(from)
			b.Parts = append(b.Parts, Part{stage, left, ax.at(to) - left, to.Sub(from)})
		}
		for _, n := range trees[i] {
			if !n.waited.IsZero() {
				part(StageQueue, n.waited, n.Start)
			}
			// What stands inside a stage of the same kind, as S3.PutObject in upload, is drawn by that.
			if stage := stageOf(n.Span); slices.Contains(timelineStages(), stage) && n.Name != "S3.PutObject" {
				part(stage, n.Start, later(n.Start, n.End))
			}
		}
		t.Bars = append(t.Bars, b)
	}
	return t
}
