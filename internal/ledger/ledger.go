// Package ledger accounts for the time of a picture: how long each stage took, how much of that was the picture's own
// and how much it shared with others, and whether the parts are the whole. It knows durations, and neither queue nor
// store.
package ledger

import (
	"math"
	"time"
)

// Times are what a record tells of a job's time in a worker. A stage that is not known is 0.
type Times struct {
	Queue                                                         time.Duration // before a worker received the job; no part of Total
	Wait, TextEncode, Denoise, Decode, ImageEncode, Upload, Total time.Duration

	RowsMean float64 // mean rows of the UNet calls that the picture's rows rode in; 0 if unknown
	Rows     int     // rows of the picture in a call: 2 for a guided one, where they fit; 0 is 1
}

// Names of the parts, which are those of a result's timings without the _ms.
const (
	Queue       = "queue"
	Wait        = "wait"
	TextEncode  = "text_encode"
	Denoise     = "denoise"
	Decode      = "decode"
	ImageEncode = "image_encode"
	Upload      = "upload"
	Rest        = "rest"
	Total       = "total"
)

// Part is a stage of a job.
type Part struct {
	Name string
	Time time.Duration
	Own  time.Duration // of Time: what would have been spent for this picture alone
}

// Ledger is a job's time, part by part.
type Ledger struct {
	Queue    time.Duration // in the stream, before Total begins
	Parts    []Part        // in the order of a job's way; they and Rest sum to Total
	Rest     time.Duration // of Total: what no part accounts for; negative where the parts are more than the whole
	Total    time.Duration // from receipt to the publishing of the result; of a record without it, the sum of the parts
	Own      time.Duration // of all parts
	RowsMean float64
}

// tolerance is how much of the total the parts may miss, or be too much, by the contract of a result.
const tolerance = 0.02

// New makes the ledger. Waiting is nobody's own time. Of the denoising the picture's own is the share of its rows in the
// calls that they rode in, Rows/RowsMean; all of it where that is not known or above 1, since a picture never has more
// than all of a call. (That is the mean's share; the mean of shares is not recorded.) Everything else is done for one
// picture at a time.
func New(t Times) Ledger {
	l := Ledger{Queue: t.Queue, Total: t.Total, RowsMean: t.RowsMean}
	denoising := t.Denoise
	if share := float64(max(t.Rows, 1)) / t.RowsMean; t.RowsMean > 0 && share < 1 {
		denoising = time.Duration(math.Round(share * float64(t.Denoise)))
	}
	l.Parts = []Part{
		{Wait, t.Wait, 0},
		{TextEncode, t.TextEncode, t.TextEncode},
		{Denoise, t.Denoise, denoising},
		{Decode, t.Decode, t.Decode},
		{ImageEncode, t.ImageEncode, t.ImageEncode},
		{Upload, t.Upload, t.Upload},
	}
	var sum time.Duration
	for _, p := range l.Parts {
		sum += p.Time
		l.Own += p.Own
	}
	if l.Total == 0 {
		l.Total = sum
	}
	l.Rest = l.Total - sum
	return l
}

// Share is d's share of the total, 0 of an empty one.
func (l Ledger) Share(d time.Duration) float64 { return share(d, l.Total) }

// Balanced reports whether the parts sum to the total within 2 %.
func (l Ledger) Balanced() bool { return math.Abs(l.Share(l.Rest)) <= tolerance }

func share(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Batch is the time that the jobs of a batch took together: from the first receipt of one by a worker to the last record.
// The zero value is empty.
type Batch struct {
	Jobs       int64 // that have a record
	begun, end time.Time
}

// Add counts a job by the time at which its record was stored and by its Total, 0 where that is unknown.
func (b *Batch) Add(stored time.Time, total time.Duration) {
	begun := stored.Add(-total)
	if b.Jobs == 0 || begun.Before(b.begun) {
		b.begun = begun
	}
	if b.Jobs == 0 || stored.After(b.end) {
		b.end = stored
	}
	b.Jobs++
}

// Wall is the batch's time so far.
func (b *Batch) Wall() time.Duration { return b.end.Sub(b.begun) }

// Share is the share of the batch's time that was a picture's own. Workers draw several pictures at a time, so the shares
// of a batch may sum to more than 1, and one share may be as large as 1.
func (b *Batch) Share(l Ledger) float64 { return min(share(l.Own, b.Wall()), 1) }
