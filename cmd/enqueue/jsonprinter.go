package main

import (
	"bufio"
	"encoding/json"
	"fmt"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// jsonPrinter prints a JSON object a line, each with its type: one batch, then jobs, results, and a summary.
type jsonPrinter struct {
	out  *bufio.Writer
	keys keyer
	id   string // of the batch
}

// The lines. Their fields are named as in jobs and results.
type (
	batchLine struct {
		Type     string `json:"type"` // batch
		BatchID  string `json:"batch_id"`
		Total    int64  `json:"total"`
		Priority string `json:"priority"`
		Resume   string `json:"resume"`
		TraceID  string `json:"trace_id,omitempty"`
	}
	jobLine struct {
		Type    string     `json:"type"` // job
		ID      string     `json:"id"`
		BatchID string     `json:"batch_id"`
		Index   int64      `json:"index"`
		Model   string     `json:"model"`
		Seed    queue.Seed `json:"seed"`
		TraceID string     `json:"trace_id,omitempty"` // left out if the job was in the queue before, with another
		Key     string     `json:"key"`                // of the picture in the bucket
	}
	submittedLine struct {
		Type    string `json:"type"` // enqueued
		BatchID string `json:"batch_id"`
		Total   int64  `json:"total"`
		Before  int64  `json:"before"` // that were in the queue already
	}
	resultLine struct {
		Type string `json:"type"` // result
		queue.Result
		File string `json:"file,omitempty"` // where the picture was downloaded to
	}
	summaryLine struct {
		Type    string `json:"type"` // summary
		BatchID string `json:"batch_id"`
		Total   int64  `json:"total"`
		queue.Summary
		Unknown int64   `json:"unknown"` // jobs of which nothing is known any more
		Source  source  `json:"source"`
		Seconds float64 `json:"seconds"` // of the wait
		Dir     string  `json:"dir,omitempty"`
	}
)

// print writes a line. Standard output remembers what went wrong.
func (p *jsonPrinter) print(line any) {
	data, err := json.Marshal(line)
	if err != nil {
		data = fmt.Appendf(nil, `{"type":"error","message":%q}`, err) // not reached: the lines are plain data
	}
	fmt.Fprintf(p.out, "%s\n", data)
}

func (p *jsonPrinter) flush() {
	// See print.
	_ = p.out.Flush()
}

func (p *jsonPrinter) begin(h heading) {
	p.id = h.Batch
	p.print(batchLine{"batch", h.Batch, h.Total, h.Priority, h.Resume, h.TraceID})
	p.flush()
}

func (p *jsonPrinter) jobs(jobs []batch.Published) {
	for _, j := range jobs {
		id := j.Job.Identity()
		p.print(jobLine{"job", id.String(), id.Batch, id.Index, j.Job.Model, queue.Seed(j.Job.SeedOrDefault()), j.TraceID, p.keys(j.Job)})
	}
	p.flush()
}

func (p *jsonPrinter) submitted(r batch.Receipt) {
	p.print(submittedLine{"enqueued", p.id, r.Total, r.Before})
	p.flush()
}

func (p *jsonPrinter) result(r queue.Result, file string) {
	p.print(resultLine{"result", r, file})
	p.flush()
}

func (p *jsonPrinter) end(e ending) {
	p.print(summaryLine{"summary", e.Batch, e.Total, e.Summary, e.Unknown, e.Source, e.Elapsed.Seconds(), e.Dir})
	p.flush()
}

// keyer gives the key of a job's picture.
type keyer func(j queue.Job) string

// keys computes keys under the prefix of the store.
func (f *storeFlags) keys(queuePrefix string) keyer {
	prefix := f.keyPrefix(queuePrefix)
	return func(j queue.Job) string {
		spec, err := j.Spec16()
		if err != nil {
			return "" // not reached: the job is in the queue
		}
		return upload.Key(prefix, j.BatchID, j.Index, spec, upload.Ext(queue.Or(j.Format, upload.PNG)))
	}
}
