package gallery

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// approximately compares positions, which are sums of fractions.
var approximately = cmpopts.EquateApprox(0, 1e-9)

// span is a span from..to, in milliseconds after the epoch.
func span(id, parent, name string, from, to float64) Span {
	at := func(ms float64) time.Time { return epoch.Add(time.Duration(ms * float64(time.Millisecond))) }
	kind := map[string]string{"text-to-image": "CONSUMER", "publish jobs": "PRODUCER", "S3.PutObject": "CLIENT"}[name]
	return Span{ID: id, Parent: parent, Name: name, Kind: kind, Start: at(from), End: at(to)}
}

// jobSpans is a whole job: published within 2 ms, waiting 18 ms, drawn in 80 ms.
func jobSpans() []Span {
	return []Span{ // in the order in which an exporter sends them: as they ended
		span("1", "", "publish jobs", 0, 2),
		span("4", "3", "tokenize", 20, 21),
		span("5", "3", "text_encode", 21, 25),
		span("6", "3", "denoise", 25, 75),
		span("7", "3", "vae_decode", 75, 88),
		span("3", "2", "inference", 20, 90),
		span("9", "8", "S3.PutObject", 95, 99),
		span("8", "2", "upload", 90, 100),
		span("2", "1", "text-to-image", 20, 100),
	}
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

func TestWaterfallOfAJob(t *testing.T) {
	got := NewWaterfall(jobSpans())
	// 82 ms of work and 18 ms of waiting, which stays below idleShare: one scale, a percent a millisecond.
	want := Waterfall{
		Total: milliseconds(100),
		Ticks: []Tick{{20, "0"}, {40, "20 ms"}, {60, "40 ms"}, {80, "60 ms"}, {100, "80 ms"}},
		Rows: []Row{
			{Name: "publish jobs", Stage: StagePublish, Width: 2, Start: milliseconds(-20), Duration: milliseconds(2)},
			{Name: "in the queue", Stage: StageQueue, Depth: 1, Left: 2, Width: 18, Start: milliseconds(-18), Duration: milliseconds(18)},
			{Name: "text-to-image", Stage: StageJob, Depth: 1, Left: 20, Width: 80, Duration: milliseconds(80)},
			{Name: "inference", Stage: StageInference, Depth: 2, Left: 20, Width: 70, Duration: milliseconds(70)},
			{Name: "tokenize", Stage: StageText, Depth: 3, Left: 20, Width: 1, Duration: milliseconds(1)},
			{Name: "text_encode", Stage: StageText, Depth: 3, Left: 21, Width: 4, Start: milliseconds(1), Duration: milliseconds(4)},
			{Name: "denoise", Stage: StageDenoise, Depth: 3, Left: 25, Width: 50, Start: milliseconds(5), Duration: milliseconds(50)},
			{Name: "vae_decode", Stage: StageDecode, Depth: 3, Left: 75, Width: 13, Start: milliseconds(55), Duration: milliseconds(13)},
			{Name: "upload", Stage: StageUpload, Depth: 2, Left: 90, Width: 10, Start: milliseconds(70), Duration: milliseconds(10)},
			{Name: "S3.PutObject", Stage: StageUpload, Depth: 3, Left: 95, Width: 4, Start: milliseconds(75), Duration: milliseconds(4)},
		},
	}
	if diff := cmp.Diff(want, got, approximately, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("NewWaterfall (-want +got):\n%s", diff)
	}
}

// bar is what the tables below look at.
type bar struct {
	Name        string
	Depth       int
	Left, Width float64
	Shortened   bool
}

func bars(w Waterfall) []bar {
	var out []bar
	for _, r := range w.Rows {
		out = append(out, bar{r.Name, r.Depth, r.Left, r.Width, r.Shortened})
	}
	return out
}

func TestWaterfallLayout(t *testing.T) {
	queued := span("2", "", "text-to-image", 100, 130)
	queued.Attributes = map[string]any{"job.queue_time": 0.1}
	for _, tc := range []struct {
		name  string
		spans []Span
		want  []bar
	}{
		{"nothing", nil, nil},
		{"no time", []Span{span("1", "", "enqueue", 5, 5)}, nil},
		{"one", []Span{span("1", "", "enqueue", 5, 9)}, []bar{{"enqueue", 0, 0, 100, false}}},
		{"a long wait takes a quarter", []Span{
			span("1", "", "publish jobs", 0, 10), span("2", "1", "text-to-image", 1000, 1065),
		}, []bar{
			{"publish jobs", 0, 0, 10, false}, {"in the queue", 1, 10, 25, true}, {"text-to-image", 1, 35, 65, false},
		}},
		{"the wait of a job whose publishing is another trace", []Span{queued}, []bar{
			{"in the queue", 0, 0, 25, true}, {"text-to-image", 0, 25, 75, false},
		}},
		{"the second attempt waits since the first ended", []Span{
			span("1", "", "publish jobs", 0, 10), span("2", "1", "text-to-image", 10, 40), span("3", "1", "text-to-image", 50, 100),
		}, []bar{
			{"publish jobs", 0, 0, 10, false}, {"text-to-image", 1, 10, 30, false},
			{"in the queue", 1, 40, 10, false}, {"text-to-image", 1, 50, 50, false},
		}},
		{"received before the publish ended", []Span{
			span("1", "", "publish jobs", 0, 10), span("2", "1", "text-to-image", 8, 20),
		}, []bar{{"publish jobs", 0, 0, 50, false}, {"text-to-image", 1, 40, 60, false}}},
		{"a span that ends before it starts", []Span{
			span("1", "", "upload", 0, 10), span("2", "1", "S3.PutObject", 6, 5),
		}, []bar{{"upload", 0, 0, 100, false}, {"S3.PutObject", 1, 60, 0, false}}},
		{"a parent that is not here", []Span{span("2", "1", "upload", 0, 10)}, []bar{{"upload", 0, 0, 100, false}}},
		{"sent twice", []Span{span("1", "", "upload", 0, 10), span("1", "", "upload", 0, 10)}, []bar{{"upload", 0, 0, 100, false}}},
		{"each other's parents, and one its own", []Span{
			span("1", "2", "a", 0, 10), span("2", "1", "b", 2, 10), span("3", "3", "c", 4, 10),
		}, []bar{{"c", 0, 40, 60, false}, {"a", 0, 0, 100, false}, {"b", 1, 20, 80, false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := bars(NewWaterfall(tc.spans))
			if diff := cmp.Diff(tc.want, got, approximately); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWaterfallTicksSkipTheWait(t *testing.T) {
	w := NewWaterfall([]Span{
		span("1", "", "publish jobs", 0, 10),
		span("2", "1", "text-to-image", 10, 40), span("3", "1", "text-to-image", 940, 1000),
	})
	// Of 1 s there are 90 ms of work after zero, so ticks are 20 ms apart; those of the wait are left out.
	want := []Tick{{7.5, "0"}, {22.5, "20 ms"}, {62.5, "940 ms"}, {77.5, "960 ms"}, {92.5, "980 ms"}}
	if diff := cmp.Diff(want, w.Ticks, approximately); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
}

func TestWaterfallTellsOfFailure(t *testing.T) {
	s := span("1", "", "upload", 0, 10)
	s.Failed, s.Message = true, "storage: no such bucket"
	s.Attributes = map[string]any{"error.type": "storage_config", "upload.size": int64(812), "guidance_scale": 7.5}
	row := NewWaterfall([]Span{s}).Rows[0]
	if !row.Failed || row.Message != s.Message {
		t.Errorf("failed %v with %q, want true with %q", row.Failed, row.Message, s.Message)
	}
	want := []Attribute{{"error.type", "storage_config"}, {"guidance_scale", "7.5"}, {"upload.size", "812"}}
	if diff := cmp.Diff(want, row.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// FuzzWaterfall holds that whatever a sink was sent, every bar lies on the axis and every span is drawn once.
func FuzzWaterfall(f *testing.F) {
	f.Add([]byte{1, 0, 0, 10, 2, 1, 5, 3})
	f.Add([]byte{1, 1, 9, 250, 2, 3, 200, 0, 3, 2, 0, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		var spans []Span
		ids := map[string]bool{}
		for ; len(data) >= 4; data = data[4:] {
			id, parent := string(rune('a'+data[0]%16)), string(rune('a'+data[1]%16))
			from := float64(int8(data[2]))
			s := span(id, parent, []string{"text-to-image", "publish jobs", "denoise"}[data[0]%3], from, from+float64(int8(data[3])))
			spans, ids[id] = append(spans, s), true
		}
		w := NewWaterfall(spans)
		drawn := map[bool]int{}
		for _, r := range w.Rows {
			drawn[r.Name == waitName]++
			if r.Left < 0 || r.Width < 0 || r.Left+r.Width > 100+1e-6 || r.Duration < 0 {
				t.Errorf("row %+v is not on the axis", r)
			}
		}
		if w.Total > 0 && drawn[false] != len(ids) {
			t.Errorf("%d rows for %d spans", drawn[false], len(ids))
		}
		for _, tick := range w.Ticks {
			if tick.At < 0 || tick.At > 100+1e-6 {
				t.Errorf("tick %+v is not on the axis", tick)
			}
		}
	})
}
