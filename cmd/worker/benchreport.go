package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/tune"
)

// benchReport is what `worker bench` found; as JSON it is the output of --json.
type benchReport struct {
	Model     string            `json:"model"`
	Digest    string            `json:"model_digest"`
	Width     int               `json:"width"`
	Height    int               `json:"height"`
	Steps     int               `json:"num_inference_steps"`
	Guidance  float64           `json:"guidance_scale"`
	Scheduler string            `json:"scheduler,omitempty"` // "" is the model's own
	Provider  string            `json:"provider"`
	Device    int               `json:"device"`
	Cores     int               `json:"cores"`
	Runtime   string            `json:"onnxruntime"`
	Rounds    int               `json:"rounds"`
	Settings  []benchSetting    `json:"settings"`
	Best      *benchSetting     `json:"best"`          // null where no setting works
	Set       map[string]string `json:"set,omitempty"` // the worker's variables for that
}

// benchSetting is one row of the table. Figures are medians of the rounds.
type benchSetting struct {
	MaxRows   int   `json:"max_rows"`
	RowShapes []int `json:"row_shapes"`
	Lanes     int   `json:"lanes"`
	Threads   int   `json:"threads"` // of a call on a CPU, which follow from lanes and cores

	StepMS          float64   `json:"step_ms"`   // a call of the UNet
	RowsMean        float64   `json:"rows_mean"` // that it had
	ImagesPerSecond float64   `json:"images_per_second"`
	Bare            float64   `json:"bare_images_per_second"`
	Efficiency      float64   `json:"efficiency"`
	Rounds          []float64 `json:"rounds_images_per_second"`

	Memory       int64  `json:"memory_bytes,omitempty"`
	DeviceMemory int64  `json:"device_memory_bytes,omitempty"`
	Error        string `json:"error,omitempty"` // why the setting cannot be used
}

// report lays out results.
func (b *bench) report(r infer.Request, results []tune.Result) *benchReport {
	report := &benchReport{
		Model: b.model.Name, Width: r.Width, Height: r.Height, Steps: r.Steps, Guidance: r.Guidance, Scheduler: r.Scheduler,
		Provider: b.runtime.Provider, Device: b.runtime.Device, Cores: runtime.GOMAXPROCS(0), Rounds: b.tune.Rounds, Settings: []benchSetting{},
	}
	for _, res := range results {
		report.Settings = append(report.Settings, settingOf(&res))
	}
	if best := tune.Best(results); best != nil {
		s := settingOf(best)
		report.Best = &s
		report.Set = map[string]string{"LANES": strconv.Itoa(s.Lanes), "MAX_ROWS": strconv.Itoa(s.MaxRows), "ROW_SHAPES": joinInts(s.RowShapes)}
	}
	return report
}

func settingOf(r *tune.Result) benchSetting {
	s := benchSetting{
		MaxRows: r.Rows, RowShapes: r.Shapes, Lanes: r.Lanes, Threads: r.Threads,
		StepMS: 1000 * r.Median.Call.Seconds(), RowsMean: r.Median.RowsMean, ImagesPerSecond: r.Median.ImagesPerSecond, Bare: r.Median.Bare, Efficiency: r.Efficiency,
		Rounds: []float64{}, Memory: r.Memory.Resident, DeviceMemory: r.Memory.Device,
	}
	for _, t := range r.Trials {
		s.Rounds = append(s.Rounds, t.ImagesPerSecond)
	}
	if r.Err != nil {
		s.Error = r.Err.Error()
	}
	return s
}

func joinInts(v []int) string {
	all := make([]string, len(v))
	for i, n := range v {
		all[i] = strconv.Itoa(n)
	}
	return strings.Join(all, ",")
}

// writeJSON writes one line, for programs.
func (r *benchReport) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// writeTable is for people.
func (r *benchReport) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s: %d × %d pixels, %d steps, %s, guidance %v\n", r.Model, r.Width, r.Height, r.Steps, cmp.Or(r.Scheduler, "the model's own sampler"), r.Guidance)
	where := fmt.Sprintf("%d cores", r.Cores)
	if r.gpu() {
		where = fmt.Sprintf("device %d", r.Device)
	}
	fmt.Fprintf(w, "%s, %s, ONNX Runtime %s; medians, rounds: %d\n\n", r.Provider, where, r.Runtime, r.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := []string{"", "rows", "lanes", "threads", "ms a step", "images/s", "of bare", "memory"}
	if r.gpu() {
		head = append(head, "device memory")
	}
	line := func(cells []string) { fmt.Fprintf(t, "%s\t\n", strings.Join(cells, "\t")) }
	line(head)
	for _, s := range r.Settings {
		cells := []string{"", strconv.Itoa(s.MaxRows), strconv.Itoa(s.Lanes), strconv.Itoa(s.Threads), "-", "-", "-", "-", "-"}
		if s.Error == "" {
			copy(cells[4:], []string{fmt.Sprintf("%.1f", s.StepMS), fmt.Sprintf("%.3g", s.ImagesPerSecond), fmt.Sprintf("%.2f", s.Efficiency), mebibytes(s.Memory), mebibytes(s.DeviceMemory)})
		}
		if b := r.Best; b != nil && b.MaxRows == s.MaxRows && b.Lanes == s.Lanes {
			cells[0] = "*"
		}
		line(cells[:len(head)])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, s := range r.Settings {
		if s.Error != "" {
			fmt.Fprintf(w, "rows %d, lanes %d cannot be used: %s\n", s.MaxRows, s.Lanes, s.Error)
		}
	}
	if r.Best == nil {
		return nil
	}
	fmt.Fprintf(w, "* LANES=%s MAX_ROWS=%s ROW_SHAPES=%s\n", r.Set["LANES"], r.Set["MAX_ROWS"], r.Set["ROW_SHAPES"])
	if len(r.Best.RowShapes) > 1 {
		fmt.Fprintf(w, "  ROW_SHAPES=%s instead makes every picture exactly the same whatever shares its calls; a lone job then takes as long a step as a full call.\n", r.Set["MAX_ROWS"])
	}
	return nil
}

func (r *benchReport) gpu() bool { return r.Provider != "cpu" }

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
}
