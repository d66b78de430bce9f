package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// Config is everything a worker is told. [Config.Normalize] fills in what is zero and says what cannot work.
type Config struct {
	Name    string // in results, status and the broker's monitoring; "" is host, process and a random part
	Version string // of the program

	Models       []ModelPath
	ModelReplace bool // MODEL_REPLACE: take over a name that the queue knows with another digest

	Runtime   ort.Options
	MaxRows   int   // most UNet rows in one call; 0: see autoRows on a CPU, 16 on a GPU
	RowShapes []int // row counts that calls are padded to; nil: MaxRows alone on a CPU, 1 2 4 8 16 on a GPU
	Lanes     int   // calls at once; 0: one for each core on a CPU, 1 on a GPU
	Slots     int   // jobs held at once; 0: Lanes × MaxRows + 2
	MaxPixels int   // width × height; 0: four times the model's own

	Queue       queue.Config
	AckWait     time.Duration // of consumers this worker creates; 0: 30 s
	MaxAttempts int           // 0: 5
	JobTimeout  time.Duration // most time a job may take, waiting for storage aside; 0: an hour
	CallTimeout time.Duration // most time one call to a model may take before the device is taken for hung; 0: ten minutes

	Store  upload.Config
	Detail upload.Detail // METADATA: how much a file tells of its picture

	NoCheckpoints   bool          // CHECKPOINT=false: a job that is handed back begins anew
	CheckpointTTL   time.Duration // age beyond which a checkpoint is ignored; 0: 24 h
	CheckpointEvery int           // steps between the checkpoints of a job that runs; 0: none until the worker leaves

	DrainTimeout time.Duration // for finishing what is held, from the signal
	FlushTimeout time.Duration // for telemetry, after that
	HTTPAddr     string        // "" serves nothing
	HTTPOptional bool          // nobody asked for HTTPAddr: where it is taken, by another worker on this machine, nothing is served

	OnLeave func()              // told once when the worker begins to leave, whatever made it; DrainTimeout counts from there
	Getenv  func(string) string // for the OTEL_* variables; nil: none are set
	Logger  *slog.Logger

	// autoRows: nobody said how many rows a CPU's calls have, so each model's default decides: the two rows of a guided picture, or one. Two in a call cost up to
	// a fifth less than one after the other where the latents are small, and the same where they are large (docs/performance.md).
	autoRows bool

	wrap          func(infer.Model) infer.Model // nil; tests have a model fail or hang
	strandedEvery time.Duration                 // between looks for stranded jobs; 0: strandedEvery. Less in tests
	askTime       time.Duration                 // of one call to the broker; 0: askTime. Less in tests
	storeTime     time.Duration                 // for one look at the store; 0: storeTime. Less in tests
}

// Normalize returns c with its defaults, or every problem it has, each naming the setting.
func (c Config) Normalize() (Config, error) {
	gpu := c.gpu()
	cores := runtime.GOMAXPROCS(0)
	if c.MaxRows == 0 {
		c.autoRows = !gpu && len(c.RowShapes) == 0
		switch {
		case len(c.RowShapes) > 0:
			c.MaxRows = slices.Max(c.RowShapes)
		case gpu:
			c.MaxRows = 16
		default:
			c.MaxRows = 2
		}
	}
	if len(c.RowShapes) == 0 {
		c.RowShapes = shapes(c.MaxRows, gpu)
	}
	c.Runtime.MaxRows = max(c.MaxRows, slices.Max(c.RowShapes))
	if c.Lanes == 0 {
		c.Lanes = 1
		if !gpu {
			c.Lanes = cores
		}
	}
	if c.Slots == 0 {
		c.Slots = c.Lanes*c.MaxRows + 2
	}
	if c.Runtime.Threads == 0 {
		c.Runtime.Threads = max(1, cores/max(1, c.Lanes))
	}
	if c.AckWait == 0 {
		c.AckWait = 30 * time.Second
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = 5
	}
	if c.JobTimeout == 0 {
		c.JobTimeout = time.Hour
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 10 * time.Minute
	}
	if c.CheckpointTTL == 0 {
		c.CheckpointTTL = 24 * time.Hour
	}
	if c.strandedEvery == 0 {
		c.strandedEvery = strandedEvery
	}
	if c.askTime == 0 {
		c.askTime = askTime
	}
	if c.storeTime == 0 {
		c.storeTime = storeTime
	}
	if c.Getenv == nil {
		c.Getenv = func(string) string { return "" }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Name == "" {
		c.Name = defaultName()
	}
	return c, c.check()
}

func (c Config) gpu() bool { return c.Runtime.Provider == "cuda" || c.Runtime.Provider == "tensorrt" }

// rows returns the most rows of a call of m, and the counts that calls are padded to.
func (c Config) rows(m *model, info infer.Info) (maxRows int, shapes []int) {
	if c.autoRows && (m.guidance() <= 1 || info.GuidanceEmbedded) {
		return 1, []int{1}
	}
	return c.MaxRows, c.RowShapes
}

// shapes are the row counts that calls are padded to: the most rows alone on a CPU, so that a picture is the same whatever shares its calls, and powers of two on a GPU.
func shapes(maxRows int, gpu bool) []int {
	if !gpu {
		return []int{maxRows}
	}
	var all []int
	for n := 1; n < maxRows; n *= 2 {
		all = append(all, n)
	}
	return append(all, maxRows)
}

func (c Config) check() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{
		{"MAX_ROWS (--max-rows)", c.MaxRows}, {"LANES (--lanes)", c.Lanes}, {"SLOTS (--slots)", c.Slots},
		{"THREADS (--threads)", c.Runtime.Threads}, {"MAX_ATTEMPTS (--max-attempts)", c.MaxAttempts},
	} {
		if n.value < 1 {
			errs = append(errs, fmt.Errorf("%s is %d: must be at least 1", n.name, n.value))
		}
	}
	if len(c.RowShapes) > 0 && (slices.Min(c.RowShapes) < 1 || slices.Max(c.RowShapes) < c.MaxRows) {
		errs = append(errs, fmt.Errorf("ROW_SHAPES (--row-shapes) is %v: every one must be at least 1, and the largest must hold MAX_ROWS (%d)", c.RowShapes, c.MaxRows))
	}
	if !slices.Contains(ort.Providers, orCPU(c.Runtime.Provider)) {
		errs = append(errs, fmt.Errorf("PROVIDER (--provider) is %q: must be one of %v", c.Runtime.Provider, ort.Providers))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"ACK_WAIT (--ack-wait)", c.AckWait, time.Second}, {"JOB_TIMEOUT (--job-timeout)", c.JobTimeout, time.Second},
		{"CALL_TIMEOUT (--call-timeout)", c.CallTimeout, time.Second},
		{"CHECKPOINT_TTL (--checkpoint-ttl)", c.CheckpointTTL, time.Minute},
		{"DRAIN_TIMEOUT (--drain-timeout)", c.DrainTimeout, 0}, {"FLUSH_TIMEOUT (--flush-timeout)", c.FlushTimeout, 0},
	} {
		if d.value < d.least {
			errs = append(errs, fmt.Errorf("%s is %v: must be at least %v", d.name, d.value, d.least))
		}
	}
	if c.CheckpointEvery < 0 {
		errs = append(errs, fmt.Errorf("CHECKPOINT_EVERY (--checkpoint-every) is %d: must not be negative", c.CheckpointEvery))
	}
	if len(c.Models) == 0 {
		errs = append(errs, errors.New("MODELS (--models): none given"))
	}
	return errors.Join(errs...)
}

func orCPU(provider string) string {
	if provider == "" {
		return "cpu"
	}
	return provider
}
