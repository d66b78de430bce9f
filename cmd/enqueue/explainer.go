package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// explainer gathers what is known of one picture or job: from its file, the manifest beside it, the queue and the
// store, each where it is needed and there.
type explainer struct {
	subject subject
	broker  *brokerFlags
	stores  ops.Stores
	timeout time.Duration // for what can be told without
	logger  *slog.Logger

	picture *pictureFile  // nil until a file or object was read
	result  *queue.Result // nil for none
	known   bool          // something is known of the subject
	e       ops.Explanation
}

// newExplainer takes flags that were checked.
func newExplainer(s subject, broker *brokerFlags, store storeFlags, timeout time.Duration, logger *slog.Logger) *explainer {
	x := &explainer{subject: s, broker: broker, stores: ops.Stores{Config: store.config}, timeout: timeout, logger: logger}
	if s.bucket != "" {
		x.stores.Config.Bucket = s.bucket
	}
	x.e = ops.Explanation{Type: "explanation", File: s.file, Notes: []string{}}
	return x
}

func (x *explainer) close() { x.stores.Close() }

// explain gathers, and fails where nothing is known.
func (x *explainer) explain(ctx context.Context) (ops.Explanation, error) {
	if x.subject.file != "" {
		if err := x.readFile(); err != nil {
			return x.e, input(err)
		}
	}
	if err := x.askQueue(ctx); err != nil {
		return x.e, err
	}
	x.askStore(ctx)
	if err := ctx.Err(); err != nil {
		return x.e, context.Cause(ctx)
	}
	if !x.known {
		return x.e, input(fmt.Errorf("nothing is known of %s: %s", x.name(), strings.Join(x.e.Notes, "; ")))
	}
	x.compare()
	x.e.Account()
	if b := x.e.Batch; b != nil && x.e.Ledger != nil {
		b.Share = queue.Mean(b.Time.Share(x.e.Accounted))
	}
	return x.e, nil
}

// name is the subject for a message.
func (x *explainer) name() string {
	switch s := x.subject; {
	case s.file != "":
		return s.file
	case s.key != "":
		return s.key
	default:
		return fmt.Sprintf("%s/%d", s.job.batch, s.job.index)
	}
}

// notef keeps what could not be learned.
func (x *explainer) notef(format string, args ...any) {
	x.e.Notes = append(x.e.Notes, fmt.Sprintf(format, args...))
}

// take takes a result for that of the subject.
func (x *explainer) take(r queue.Result) {
	x.result, x.known = &r, true
	x.subject.job = target{r.BatchID, r.Index}
	x.e.TakeResult(r)
}

// readFile reads a local picture, and the manifest beside it.
func (x *explainer) readFile() error {
	p, err := readPicture(x.subject.file)
	if err != nil {
		return err
	}
	x.picture, x.known = &p, true
	x.e.Status = queue.Succeeded
	x.e.TakeFile(p.meta)
	r, found, err := p.beside(x.subject.file)
	switch {
	case err != nil:
		x.notef("the manifest beside the file: %v", err)
	case found:
		x.take(r)
	default:
		// A copy of the bucket has the names of its keys.
		name := x.subject.file
		if full, err := filepath.Abs(name); err == nil {
			name = full
		}
		x.subject.job = jobOfKey(filepath.ToSlash(name))
	}
	return nil
}

// askQueue looks the job up. Of a job that was named it is the one source, and waited for; of a file or object it adds
// to what they tell.
func (x *explainer) askQueue(ctx context.Context) error {
	if x.subject.file == "" && x.subject.key == "" {
		c, closeClient, err := x.broker.connect(ctx, x.logger)
		if err != nil {
			return err
		}
		return errors.Join(x.askJob(ctx, c), closeClient())
	}
	c, closeClient, err := x.optional(ctx)
	if err == nil {
		bounded, cancel := context.WithTimeout(ctx, x.timeout)
		defer cancel()
		err = errors.Join(x.askMore(bounded, c), closeClient())
	}
	if err != nil && ctx.Err() == nil {
		x.notef("the queue was not asked: %v", err)
	}
	return nil
}

// unnamedTimeout is for a broker that nobody has named, and that may be at the default address all the same.
const unnamedTimeout = time.Second

// optional connects to the broker for what can be told without: it is not waited for long, and does not trouble the log.
func (x *explainer) optional(ctx context.Context) (*queue.Client, func() error, error) {
	timeout := x.timeout
	if !x.broker.named() {
		timeout = min(timeout, unnamedTimeout)
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return x.broker.dial(bounded, slog.New(slog.DiscardHandler))
}

// askJob asks the queue about a job, and how long its batch took.
func (x *explainer) askJob(ctx context.Context, c *queue.Client) error {
	job := x.subject.job
	asked := ops.Inquiry{Batch: job.batch, Index: job.index, Explanation: &x.e, Timeout: x.timeout, Prefix: x.stores.Config.Prefix, Store: x.stores.Get}
	if err := asked.Ask(ctx, c); err != nil {
		return callers(err)
	}
	x.result, x.known, x.subject.key = asked.Result, asked.Known, asked.Key
	return x.askBatch(ctx, c)
}

// askMore asks the queue about a file or an object.
func (x *explainer) askMore(ctx context.Context, c *queue.Client) error {
	if x.result == nil && x.subject.job.index < 0 {
		r, found, err := x.search(ctx, c)
		if err != nil {
			return err
		}
		if !found {
			x.notef("no result is of this file: it is older than seven days, of another queue, or was changed")
			return nil
		}
		x.take(r)
	}
	if x.result == nil {
		job := x.subject.job
		r, found, err := c.Lookup(ctx, job.batch, job.index)
		if err != nil {
			return err
		}
		if !found || !x.isOf(r) {
			x.notef("the queue has no result of %s/%d that is of this picture", job.batch, job.index)
			return nil
		}
		x.take(r)
	}
	return x.askBatch(ctx, c)
}

// isOf reports whether a result is of the picture that was named, and not of another job of that name.
func (x *explainer) isOf(r queue.Result) bool {
	switch {
	case r.Image == nil:
		return false
	case x.subject.key != "":
		return r.Image.Key == x.subject.key
	}
	key, ok := upload.ParseKey("", keyTail(r.Image.Key))
	return x.picture.isOf(r.Image) || ok && key.Spec16 == x.picture.spec16()
}

// search looks through all results for that of the file.
func (x *explainer) search(ctx context.Context, c *queue.Client) (r queue.Result, found bool, err error) {
	for f, err := range c.ReadResults(ctx, "*") {
		if err != nil {
			return r, false, err
		}
		if f.Image == nil {
			continue
		}
		if x.picture.isOf(f.Image) {
			return f.Result, true, nil
		}
		// One that was changed is known by job and trace.
		if m := x.picture.meta; m.Job != nil && m.TraceID != "" && f.TraceID == m.TraceID && x.isOf(f.Result) {
			r, found = f.Result, true
		}
	}
	return r, found, nil
}

// askBatch measures the batch of the job.
func (x *explainer) askBatch(ctx context.Context, c *queue.Client) error {
	b := &ops.BatchTime{}
	for r, err := range c.ReadResults(ctx, x.subject.job.batch) {
		if err != nil {
			return err
		}
		total := time.Duration(0)
		if r.Timings != nil {
			total = time.Duration(r.Timings.Total)
		}
		b.Time.Add(r.Stored, total)
	}
	if b.Time.Jobs > 0 {
		b.Jobs, b.Wall = b.Time.Jobs, queue.Millis(b.Time.Wall())
		x.e.Batch = b
	}
	return nil
}

// askStore looks at the object: for the metadata, and for what its file tells where no other file was named.
func (x *explainer) askStore(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	bucket, key := x.stores.Config.Bucket, x.subject.key
	if x.e.Image != nil {
		bucket, key = x.e.Image.Bucket, x.e.Image.Key
	}
	if key == "" || x.picture != nil && x.e.TimesFrom == ops.FromResult { // the object knows nothing else
		return
	}
	store, err := x.stores.Get(bounded, bucket)
	if err != nil {
		x.notef("the store was not asked: %v", err)
		return
	}
	var o upload.Object
	if x.picture != nil {
		o, err = store.Head(bounded, key)
	} else {
		o, err = store.Get(bounded, key)
	}
	switch {
	case errors.Is(err, upload.ErrNotFound):
		x.notef("there is no object s3://%s/%s", store.Bucket(), key)
		return
	case err != nil:
		x.notef("the store did not tell of the object: %v", err)
		return
	}
	x.known = true
	if x.e.Status == "" {
		x.e.Status = queue.Succeeded
	}
	x.e.TakeObject(store.Bucket(), o)
	if x.picture == nil {
		p, err := newPicture(o.Body)
		if err != nil {
			x.notef("the object: %v", err)
		}
		x.picture = &p
		x.e.AddFile(p.meta)
	}
}

// compare says what does not go together, and names the job.
func (x *explainer) compare() {
	if job := x.subject.job; job.index >= 0 {
		x.e.ID = fmt.Sprintf("%s/%d", job.batch, job.index)
	}
	if x.picture == nil {
		return
	}
	if image := x.e.Image; image != nil && image.SHA256 != "" && !x.picture.isOf(image) {
		x.notef("the file is not the one that was stored: it was changed, or saved again")
	}
	if x.e.Image != nil {
		if key, ok := upload.ParseKey("", keyTail(x.e.Image.Key)); ok && x.picture.spec16() != "" && key.Spec16 != x.picture.spec16() {
			x.notef("the job in the file is not the one that the object's key is of")
		}
	}
	if x.picture.meta.Job == nil && x.picture.meta.Format != "" {
		x.notef("the file does not hold its job (METADATA)")
	}
}
