package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Version is the version of jobs and results that this package writes, and the newest one it reads.
const Version = 1

// Limits of a job's fields that hold for every model.
const (
	MaxPrompt  = 16 << 10 // bytes of prompt, and of negative_prompt
	MaxSteps   = 1000     // num_inference_steps
	MaxScale   = 50       // guidance_scale
	MinSize    = 8        // pixels of width and height; workers have narrower limits
	MaxSize    = 16384
	maxLabel   = 256       // bytes of id
	maxContext = 8 << 10   // bytes of traceparent, and of tracestate
	maxBody    = 256 << 10 // bytes of a job's JSON: both prompts, each character escaped
)

// Job is one picture to draw, as it stands in the body of a message. Fields that the job leaves out are nil:
// the worker fills them from the model's defaults, and Spec16 leaves them out. A Job that Decode returned has
// its identity filled in.
type Job struct {
	Version           int           `json:"version"`
	ID                string        `json:"id,omitempty"` // a label of at most 256 bytes; <batch_id>/<index> unless set
	BatchID           string        `json:"batch_id"`
	Index             int64         `json:"index"`
	Retry             int           `json:"retry,omitempty"`
	Model             string        `json:"model"`
	Prompt            *string       `json:"prompt,omitempty"` // UTF-8, at most MaxPrompt bytes
	NegativePrompt    *string       `json:"negative_prompt,omitempty"`
	NumInferenceSteps *int          `json:"num_inference_steps,omitempty"` // 1 to MaxSteps
	GuidanceScale     *float64      `json:"guidance_scale,omitempty"`      // 0 to MaxScale; up to 1 means no guidance
	Seed              *Seed         `json:"seed,omitempty"`
	Width             *int          `json:"width,omitempty"` // pixels
	Height            *int          `json:"height,omitempty"`
	Scheduler         *string       `json:"scheduler,omitempty"` // a job name such as euler_a or a diffusers class name
	Format            *string       `json:"format,omitempty"`    // png, jpeg or webp
	Quality           *int          `json:"quality,omitempty"`   // 1 to 100, for formats that lose detail
	Deadline          *time.Time    `json:"deadline,omitempty"`  // judged once, when the job would enter the engine
	TraceContext      *TraceContext `json:"trace_context,omitempty"`
}

// TraceContext is a W3C trace context in the body, for publishers that cannot set headers. Headers win.
type TraceContext struct {
	Traceparent string `json:"traceparent,omitempty"`
	Tracestate  string `json:"tracestate,omitempty"`
}

// Identity returns what makes the job this job.
func (j Job) Identity() Identity { return Identity{j.BatchID, j.Index, j.Retry} }

// SeedOrDefault returns the job's seed. A job without one gets the first 32 bits, big-endian, of the SHA-256 of
// "<batch_id>/<index>", so that every attempt and every re-run draws the same picture.
func (j Job) SeedOrDefault() uint64 {
	if j.Seed != nil {
		return uint64(*j.Seed)
	}
	sum := sha256.Sum256([]byte(j.Identity().String()))
	return uint64(binary.BigEndian.Uint32(sum[:4]))
}

// Or returns *p, or def where p is nil: a job's field or the model's default.
func Or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// Encode returns the job's JSON, which depends on the job alone. It writes Version whatever j.Version says and
// returns an *InvalidError for a job that Decode would refuse.
func (j Job) Encode() ([]byte, error) {
	j.Version = Version
	if err := j.validate(); err != nil {
		return nil, err
	}
	if j.ID == j.Identity().String() {
		j.ID = "" // the reader's default
	}
	return marshal(j)
}

// marshal is json.Marshal that leaves <, > and & as they are: nothing here ends up in HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Seed is a seed in JSON: a number up to 2^53, which every reader keeps exact, and a decimal string above.
// Both are read whatever the size.
type Seed uint64

// maxExactNumber is the largest integer up to which float64, and so JavaScript, knows every integer.
const maxExactNumber = 1 << 53

// MarshalJSON writes a number or a decimal string.
func (s Seed) MarshalJSON() ([]byte, error) {
	n := strconv.FormatUint(uint64(s), 10)
	if s > maxExactNumber {
		return []byte(`"` + n + `"`), nil
	}
	return []byte(n), nil
}

// UnmarshalJSON reads an integer from 0 to 2^64-1, as a number without fraction and exponent or as a string.
func (s *Seed) UnmarshalJSON(data []byte) error {
	digits := data
	if len(data) >= 2 && data[0] == '"' && data[len(data)-1] == '"' {
		digits = data[1 : len(data)-1]
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != string(digits) {
		return fmt.Errorf("must be an integer from 0 to 2^64-1, as a number or a decimal string, is %s", show(string(data)))
	}
	*s = Seed(n)
	return nil
}
