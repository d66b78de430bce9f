package ops

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/stipple-ai/stipple/internal/ledger"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// Statuses of a job that has no result.
const (
	StatusWaiting = "waiting" // in the queue
	StatusRunning = "running" // given to a worker
	StatusUnsent  = "unsent"  // the command that sends its batch has not come to it
	StatusGone    = "gone"    // it was in the queue, and neither its result nor its picture is there any more
)

// Explanation is all that is known of a picture or job. Its JSON is that of `enqueue explain --json`.
type Explanation struct {
	Type   string             `json:"type"`         // explanation
	ID     string             `json:"id,omitempty"` // <batch>/<index>; "" of a file that nobody knows
	Status string             `json:"status"`
	Why    string             `json:"why,omitempty"` // it has no picture
	Error  *queue.ResultError `json:"error,omitempty"`
	File   string             `json:"file,omitempty"`
	Image  *queue.Image       `json:"image,omitempty"`

	TraceID         string            `json:"trace_id,omitempty"`
	Model           string            `json:"model,omitempty"`
	ModelDigest     string            `json:"model_digest,omitempty"`
	Seed            *queue.Seed       `json:"seed,omitempty"`
	Attempt         int               `json:"attempt,omitempty"`
	Worker          string            `json:"worker,omitempty"`
	PromptTruncated bool              `json:"prompt_truncated,omitempty"`
	Job             json.RawMessage   `json:"job,omitempty"`      // what the picture depends on, as the job has it
	Settings        map[string]string `json:"settings,omitempty"` // what the model's defaults made of it, as the file has it

	Queue  *QueuePlace `json:"queue,omitempty"`
	Ledger *LedgerLine `json:"ledger,omitempty"`
	Batch  *BatchTime  `json:"batch,omitempty"`
	Notes  []string    `json:"notes"` // what could not be learned, and why

	Decoded   *queue.Job    `json:"-"` // Job
	TimesFrom string        `json:"-"` // FromResult, FromObject, or "" where no times are known
	Accounted ledger.Ledger `json:"-"` // what Ledger says, once Account was called
	times     ledger.Times
}

// QueuePlace is where a job stands that is in the queue.
type QueuePlace struct {
	State       string             `json:"state"` // waiting or running
	Priority    string             `json:"priority"`
	Published   time.Time          `json:"published"`
	Ahead       int64              `json:"ahead"`    // jobs that come first, of those that wait; about
	Consumer    bool               `json:"consumer"` // some worker has served the model
	PausedUntil time.Time          `json:"paused_until,omitzero"`
	Starts      int                `json:"starts"` // that have ended, badly
	LastError   *queue.ResultError `json:"last_error,omitempty"`
	Worker      string             `json:"worker,omitempty"` // that was heard to draw it
	Step        int                `json:"step,omitempty"`
	Steps       int                `json:"steps,omitempty"`
}

// LedgerLine is a ledger in JSON.
type LedgerLine struct {
	Source   string       `json:"source"` // result; or object, which knows of neither upload nor what came after
	Queue    queue.Millis `json:"queue_ms"`
	Parts    []LedgerPart `json:"parts"`
	Rest     queue.Millis `json:"rest_ms"`
	Total    queue.Millis `json:"total_ms"`
	Own      queue.Millis `json:"own_ms"`
	RowsMean queue.Mean   `json:"rows_mean,omitzero"`
	Balanced bool         `json:"balanced"` // the parts sum to the total within 2 %
}

// LedgerPart is a part of a ledger.
type LedgerPart struct {
	Name  string       `json:"name"`
	Time  queue.Millis `json:"ms"`
	Own   queue.Millis `json:"own_ms"`
	Share queue.Mean   `json:"share"` // of the total
}

// BatchTime is the time of the whole batch.
type BatchTime struct {
	Jobs  int64        `json:"jobs"` // that have a result
	Wall  queue.Millis `json:"wall_ms"`
	Share queue.Mean   `json:"own_share"` // of that time, the picture's own

	Time ledger.Batch `json:"-"`
}

// Sources of a ledger.
const (
	FromResult = "result"
	FromObject = "object"
)

// TakeFile takes what a file tells by itself.
func (e *Explanation) TakeFile(m upload.FileMeta) {
	e.TraceID, e.ModelDigest = m.TraceID, m.ModelDigest
	if settings := m.Settings(); len(settings) > 0 {
		e.Settings = settings
		e.Model = settings["Model"]
	}
	if m.Job == nil {
		return
	}
	// Any identity: the file does not say which job it is of.
	job, err := queue.Decode(m.Job, queue.Identity{Batch: "file"})
	if err != nil {
		e.Notes = append(e.Notes, "the job in the file is none: "+err.Error())
		return
	}
	e.TakeJob(job)
}

// AddFile takes what an object's file tells beyond the records.
func (e *Explanation) AddFile(m upload.FileMeta) {
	before := *e
	e.TakeFile(m)
	if before.TraceID != "" {
		e.TraceID = before.TraceID
	}
	if before.ModelDigest != "" {
		e.ModelDigest = before.ModelDigest
	}
	if before.Model != "" {
		e.Model = before.Model
	}
}

// TakeJob takes what a job says of its picture.
func (e *Explanation) TakeJob(job queue.Job) {
	spec, err := job.CanonicalSpec()
	if err != nil {
		e.Notes = append(e.Notes, "the job cannot be shown: "+err.Error())
		return
	}
	seed := queue.Seed(job.SeedOrDefault())
	e.Job, e.Decoded, e.Seed, e.Model = spec, &job, &seed, job.Model
}

// TakeResult takes what a result records.
func (e *Explanation) TakeResult(r queue.Result) {
	e.Status, e.Error = r.Status, r.Error
	e.Attempt, e.Worker, e.PromptTruncated = r.Attempt, r.Worker, r.PromptTruncated
	for to, from := range map[*string]string{&e.TraceID: r.TraceID, &e.Model: r.Model, &e.ModelDigest: r.ModelDigest} {
		if from != "" {
			*to = from
		}
	}
	switch r.Status {
	case queue.Expired:
		e.Why = "its deadline had passed when a worker came to it"
	case queue.Cancelled:
		e.Why = "it was cancelled before it was done"
	}
	if r.Image != nil {
		e.Image = r.Image
	}
	if r.Seed != nil {
		e.Seed = r.Seed
	}
	if t := r.Timings; t != nil && t.Total > 0 {
		e.TimesFrom, e.times = FromResult, ledger.Times{
			Queue: time.Duration(t.Queue), Wait: time.Duration(t.Wait), TextEncode: time.Duration(t.TextEncode), Denoise: time.Duration(t.Denoise),
			Decode: time.Duration(t.Decode), ImageEncode: time.Duration(t.ImageEncode), Upload: time.Duration(t.Upload), Total: time.Duration(t.Total),
			RowsMean: float64(r.RowsMean),
		}
	}
}

// TakeObject takes what the metadata of the stored object tells, where no result did.
func (e *Explanation) TakeObject(bucket string, o upload.Object) {
	m := o.Metadata
	if e.Image == nil {
		e.Image = &queue.Image{
			Bucket: bucket, Key: o.Key, ContentType: o.ContentType, Width: m.Width, Height: m.Height,
			Size: o.Size, SHA256: m.SHA256, PixelsSHA256: m.PixelsSHA256,
		}
	}
	if m.Spec16 == "" {
		e.Notes = append(e.Notes, "the object has no metadata of ours")
		return
	}
	if e.Worker == "" {
		e.Attempt, e.Worker, e.PromptTruncated = m.Attempt, m.Worker, m.PromptTruncated
	}
	for to, from := range map[*string]string{&e.TraceID: m.TraceID, &e.Model: m.Model, &e.ModelDigest: m.ModelDigest} {
		if *to == "" {
			*to = from
		}
	}
	if e.Seed == nil {
		seed := queue.Seed(m.Seed)
		e.Seed = &seed
	}
	if t := m.Timings; e.TimesFrom == "" && t != (upload.Timings{}) {
		e.TimesFrom, e.times = FromObject, ledger.Times{Queue: t.Queue, Wait: t.Wait, TextEncode: t.TextEncode, Denoise: t.Denoise, Decode: t.Decode, ImageEncode: t.ImageEncode, RowsMean: m.RowsMean}
	}
}

// Account makes the ledger of the times that were found.
func (e *Explanation) Account() {
	if e.TimesFrom == "" {
		return
	}
	e.times.Rows = e.Rows()
	l := ledger.New(e.times)
	e.Accounted = l
	e.Ledger = &LedgerLine{
		Source: e.TimesFrom, Queue: queue.Millis(l.Queue), Rest: queue.Millis(l.Rest), Total: queue.Millis(l.Total),
		Own: queue.Millis(l.Own), RowsMean: queue.Mean(l.RowsMean), Balanced: l.Balanced(),
	}
	for _, p := range l.Parts {
		e.Ledger.Parts = append(e.Ledger.Parts, LedgerPart{p.Name, queue.Millis(p.Time), queue.Millis(p.Own), queue.Mean(l.Share(p.Time))})
	}
}

// Rows is how many rows of a UNet call the picture fills: a guided one has two. Where guidance is not known it is one,
// which may make its own share too small and never too large.
func (e *Explanation) Rows() int {
	guidance := 0.0
	if e.Decoded != nil && e.Decoded.GuidanceScale != nil {
		guidance = *e.Decoded.GuidanceScale
	} else if scale, err := strconv.ParseFloat(e.Settings["CFG scale"], 64); err == nil {
		guidance = scale
	}
	if guidance > 1 {
		return 2
	}
	return 1
}
