package web

import (
	"encoding/json"
	"time"
)

// State is what the page shows of everything at once. Lists are never null.
type State struct {
	At         time.Time   `json:"at"`
	ReadOnly   bool        `json:"read_only"`
	Version    string      `json:"version"`
	Problems   []Problem   `json:"problems"` // empty when all is well
	Queues     []Queue     `json:"queues"`
	Workers    []Worker    `json:"workers"`
	Batches    []Batch     `json:"batches"` // those first that were begun last, at most 100
	Dead       DeadCount   `json:"dead"`
	Models     []Model     `json:"models"`
	Schedulers []Scheduler `json:"schedulers"`
}

// Problem is something that a person should know of.
type Problem struct {
	What  string    `json:"what"`
	Mend  string    `json:"mend"` // what to do about it
	Since time.Time `json:"since"`
}

// Queue is the jobs of one model and priority.
type Queue struct {
	Model       string    `json:"model"`
	Priority    string    `json:"priority"` // high, normal or low
	Waiting     int64     `json:"waiting"`
	Running     int64     `json:"running"`
	Paused      bool      `json:"paused"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
}

// Worker is what a worker last told of itself.
type Worker struct {
	ID             string    `json:"id"`
	Models         []string  `json:"models"`
	Provider       string    `json:"provider"` // of ONNX Runtime; "" where the worker does not say
	Device         string    `json:"device"`
	State          string    `json:"state"` // starting, ready, holding, draining
	Rows           int       `json:"rows"`  // UNet rows in calls now
	MaxRows        int       `json:"max_rows"`
	Lanes          int       `json:"lanes"`
	Slots          int       `json:"slots"` // jobs it can hold
	Held           int       `json:"held"`  // jobs it holds
	StepsPerSecond float64   `json:"steps_per_s"`
	ImagesPerS     float64   `json:"images_per_s"` // over the last minute
	StartedAt      time.Time `json:"started_at,omitzero"`
	SeenAt         time.Time `json:"seen_at"`
	Gone           bool      `json:"gone"` // it has not been heard for seconds, and did not say that it leaves
}

// Batch is how far a batch is.
type Batch struct {
	ID         string    `json:"id"`
	Total      int64     `json:"total"`
	Succeeded  int64     `json:"succeeded"`
	Failed     int64     `json:"failed"`
	Cancelled  int64     `json:"cancelled"`
	Expired    int64     `json:"expired"`
	Invalid    int64     `json:"invalid"` // of those that failed: jobs that could not be read
	Dead       int64     `json:"dead"`    // letters that lie there for jobs of it
	Pending    int64     `json:"pending"`
	Images     int64     `json:"images"`
	ImagesPerS float64   `json:"images_per_s"` // over the last minute
	ETA        float64   `json:"eta_s"`        // at that rate; 0 where it is not known
	SentAt     time.Time `json:"sent_at,omitzero"`
	LastAt     time.Time `json:"last_at,omitzero"` // of the last result
	Done       bool      `json:"done"`             // nothing more will come
	From       string    `json:"from"`             // of the counts: results, summary or bucket
	State      string    `json:"state,omitempty"`  // of its record: enqueuing, committed or cancelled
	TraceID    string    `json:"trace_id,omitempty"`
}

// DeadCount is how many dead letters there are.
type DeadCount struct {
	Count int64 `json:"count"`
}

// Model is a model that a worker has registered.
type Model struct {
	Name     string `json:"name"`
	Family   string `json:"family"` // "" where it is not registered
	Width    int    `json:"width"`  // pixels, by default
	Height   int    `json:"height"`
	Defaults any    `json:"defaults"` // as it is registered
	Limits   any    `json:"limits"`
}

// Scheduler is the name of a scheduler that a job may ask for.
type Scheduler = string

// Image is a job that has ended: its picture, or why there is none.
type Image struct {
	Job    string    `json:"job"` // <batch>/<index>
	Batch  string    `json:"batch"`
	Index  int64     `json:"index"`
	N      int       `json:"n"` // of the job's pictures, from 0
	Key    string    `json:"key,omitempty"`
	Status string    `json:"status"` // succeeded, failed, cancelled or expired
	Width  int       `json:"width,omitempty"`
	Height int       `json:"height,omitempty"`
	Seed   any       `json:"seed,omitempty"`   // a number, or a decimal string above 2^53
	Prompt string    `json:"prompt,omitempty"` // "" where it is not known yet: the record does not hold it
	Model  string    `json:"model,omitempty"`
	Worker string    `json:"worker,omitempty"`
	At     time.Time `json:"at"`
	Error  *JobError `json:"error,omitempty"`
	Thumb  string    `json:"thumb,omitempty"` // path of the page; of a picture alone
	Src    string    `json:"src,omitempty"`
}

// JobError is why a job has no picture.
type JobError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// ImagePage is a page of a batch's images.
type ImagePage struct {
	Images []Image `json:"images"`
	Next   string  `json:"next"`  // the cursor behind it; "" at the end
	Total  int64   `json:"total"` // jobs that have ended, of the batch or of all
}

// Details are all that is known of one job.
type Details struct {
	Job     json.RawMessage `json:"job"`    // as it was sent, or what the picture depends on; null where neither is known
	Result  json.RawMessage `json:"result"` // as in RESULTS; null where there is none
	Ledger  json.RawMessage `json:"ledger"` // as enqueue explain --json prints it: status, why, queue, times, …
	TraceID string          `json:"trace_id,omitempty"`
	Command string          `json:"command,omitempty"` // that makes the picture again
	Images  []Image         `json:"images"`
}

// Letter is a dead letter.
type Letter struct {
	ID       string    `json:"id"`            // what requeue takes
	Job      string    `json:"job,omitempty"` // <batch>/<index>; "" of a message that did not say
	Batch    string    `json:"batch"`
	Index    *int64    `json:"index,omitempty"`
	Model    string    `json:"model,omitempty"`
	Reason   string    `json:"reason"` // one line for people
	Error    JobError  `json:"error"`
	Attempts int       `json:"attempts"`
	At       time.Time `json:"at"`
	Prompt   string    `json:"prompt,omitempty"`
	TraceID  string    `json:"trace_id,omitempty"`
}

// LetterPage is a page of dead letters, the oldest first.
type LetterPage struct {
	Dead  []Letter `json:"dead"`
	Next  string   `json:"next"` // the cursor behind it; "" at the end
	Count int64    `json:"count"`
}

// Submitted is what became of an order.
type Submitted struct {
	Batch string   `json:"batch"`
	Jobs  []string `json:"jobs"` // <batch>/<index>, of the first thousand
	Total int64    `json:"total"`
}
