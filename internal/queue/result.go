package queue

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The values of a result's status.
const (
	Succeeded = "succeeded" // the image is in the store
	Failed    = "failed"    // Error says why; a dead letter holds the job
	Cancelled = "cancelled" // by hand, before or while it ran
	Expired   = "expired"   // its deadline had passed when it would have entered the engine
)

// Result is the record of what became of a job: one a job, in the RESULTS stream. Fields that a status does not
// know are left out.
type Result struct {
	Version         int          `json:"version"`
	ID              string       `json:"id"`
	BatchID         string       `json:"batch_id"`
	Index           int64        `json:"index"`
	Retry           int          `json:"retry"`
	Status          string       `json:"status"`
	TraceID         string       `json:"trace_id,omitempty"` // 32 hexadecimal digits, lower case
	Image           *Image       `json:"image,omitempty"`
	Seed            *Seed        `json:"seed,omitempty"` // unknown of a job that could not be read
	Model           string       `json:"model,omitempty"`
	ModelDigest     string       `json:"model_digest,omitempty"`
	Attempt         int          `json:"attempt,omitempty"` // counted starts, this one included
	Worker          string       `json:"worker,omitempty"`
	PromptTruncated bool         `json:"prompt_truncated"` // the prompt was longer than the model's token limit
	Timings         *Timings     `json:"timings,omitempty"`
	RowsMean        Mean         `json:"rows_mean,omitzero"` // mean rows of the UNet calls that the job took part in
	Error           *ResultError `json:"error,omitempty"`
}

// Image is the object that holds the picture.
type Image struct {
	Bucket      string `json:"bucket"`
	Key         string `json:"key"`
	ContentType string `json:"content_type"`
	Width       int    `json:"width"` // pixels
	Height      int    `json:"height"`

	// What the object says of itself; left out where the worker found it and may not read it.
	Size         int64  `json:"size,omitempty"`          // bytes
	SHA256       string `json:"sha256,omitempty"`        // of the object
	PixelsSHA256 string `json:"pixels_sha256,omitempty"` // of the decoded RGB
}

// Timings are the parts of a job's time in a worker. Total runs from receipt to the publishing of the result,
// and its parts sum to it within 2 %; Queue, the time in the stream before, is no part of it.
type Timings struct {
	Queue       Millis `json:"queue_ms"`
	Wait        Millis `json:"wait_ms"` // at the engine's door and between its calls
	TextEncode  Millis `json:"text_encode_ms"`
	Denoise     Millis `json:"denoise_ms"`
	Decode      Millis `json:"decode_ms"`
	ImageEncode Millis `json:"image_encode_ms"`
	Upload      Millis `json:"upload_ms"`
	Total       Millis `json:"total_ms"`
}

// ResultError says why a job did not succeed; Type is one of the closed list of error types.
type ResultError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// Millis is a duration that JSON holds as milliseconds, with three decimals at most.
type Millis time.Duration

// MarshalJSON writes milliseconds, rounded to microseconds.
func (m Millis) MarshalJSON() ([]byte, error) {
	us := time.Duration(m).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads milliseconds, rounded to microseconds.
func (m *Millis) UnmarshalJSON(data []byte) error {
	var ms float64
	if err := json.Unmarshal(data, &ms); err != nil {
		return err
	}
	const most = float64(math.MaxInt64/int64(time.Millisecond)) / 2
	if math.Abs(ms) > most {
		return fmt.Errorf("%s ms is no duration", shorten(data))
	}
	*m = Millis(math.Round(ms*1000)) * Millis(time.Microsecond)
	return nil
}

// Mean is a mean that JSON holds with three decimals at most.
type Mean float64

// MarshalJSON writes the mean, rounded to three decimals.
func (m Mean) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(m)) || math.IsInf(float64(m), 0) {
		return nil, fmt.Errorf("%v is no mean", float64(m))
	}
	return strconv.AppendFloat(nil, math.Round(float64(m)*1000)/1000, 'f', -1, 64), nil
}

// IsZero reports whether the mean is written as 0, so that encoding/json leaves it out.
func (m Mean) IsZero() bool { return math.Round(float64(m)*1000) == 0 }

// Identity returns the job that the result is of.
func (r Result) Identity() Identity { return Identity{r.BatchID, r.Index, r.Retry} }

// Encode returns the result's JSON. It writes Version whatever r.Version says, <batch_id>/<index> where the id
// is empty, and fails for a result that breaks the contract.
func (r Result) Encode() ([]byte, error) {
	r.Version = Version
	if r.ID == "" {
		r.ID = r.Identity().String()
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("encoding the result of job %s: %w", r.Identity(), err)
	}
	data, err := marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding the result of job %s: %w", r.Identity(), err)
	}
	return data, nil
}

func (r Result) validate() error {
	if err := r.Identity().validate(); err != nil {
		return err
	}
	if r.TraceID != "" && (len(r.TraceID) != 32 || strings.Trim(r.TraceID, "0123456789abcdef") != "") {
		return fmt.Errorf("trace_id %s is not 32 hexadecimal digits", quote(r.TraceID))
	}
	switch r.Status {
	case Succeeded:
		if r.Image == nil || r.Seed == nil || r.Error != nil {
			return fmt.Errorf("status %s needs image and seed and takes no error", r.Status)
		}
	case Failed:
		if r.Image != nil || r.Error == nil {
			return fmt.Errorf("status %s needs an error and takes no image", r.Status)
		}
		if _, known := ClassOf(r.Error.Type); !known {
			return fmt.Errorf("error.type %s is not on the list", quote(r.Error.Type))
		}
	case Cancelled, Expired:
		if r.Image != nil {
			return fmt.Errorf("status %s takes no image", r.Status)
		}
	default:
		return fmt.Errorf("status %s is not one of %s, %s, %s, %s", quote(r.Status), Succeeded, Failed, Cancelled, Expired)
	}
	return nil
}

// DecodeResult reads a result. Fields it does not know are ignored, and so is a newer version: a reader takes
// what it understands.
func DecodeResult(data []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(data, &r); err != nil {
		return Result{}, fmt.Errorf("decoding a result: %w", err)
	}
	if err := r.Identity().validate(); err != nil {
		return Result{}, fmt.Errorf("decoding a result: %w", err)
	}
	return r, nil
}
