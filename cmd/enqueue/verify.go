package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

const verifyManual = `Verify draws a picture again and compares: it takes the job out of the file, sends it as a batch of its own, verify-…,
waits for it, and compares the pixels. IMAGE is a file (PNG, JPEG or WebP), KEY an object's key or s3://bucket/key.

  enqueue verify pictures/00000007.png
  enqueue verify s3://images/monday/00000007-954ff402820dd465.png --keep

The same job of the same model, on workers of the same provider and row shapes, has the same pixels. A model of another
digest draws another picture, so before anything is sent the digest in the file is compared with the one that workers
have registered; --force draws all the same.

What is compared is the pixels of a PNG, and of a JPEG or WebP the hash that the queue or the store has of the pixels
before they were encoded, if the file is the very one that was stored; else the pixels that both files decode to. Where
they differ, verify tells the largest difference of a channel and how many of the values differ.

The new picture is deleted unless --keep is given; its batch stays, and its result for seven days.

With --json it prints one line, in which what is not known is left out:
  {"type":"verification","same":…,"batch_id","trace_id","file","key","model","model_digest","registered_digest",
   "compared":"pixels_sha256"|"decoded","pixels_sha256","drawn_pixels_sha256","largest_difference","values","differing",
   "kept","notes":[…]}

Exit codes: 0 the same, 1 something broke, or the job could not be drawn, 2 it differs, or bad input: no picture, no job
in it, another model; 130 interrupted.`

// verifyFlags are those of "enqueue verify".
type verifyFlags struct {
	broker    brokerFlags
	store     storeFlags
	telemetry telemetryFlags
	priority  string
	timeout   time.Duration
	keep      bool
	force     bool
	json      bool
}

func (a *app) verifyCommand() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify [flags] IMAGE|KEY",
		Short: "Draw a picture again and compare",
		Long:  verifyManual,
		Args:  exactly(1, "the file or the key to verify"),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.priority, "priority", queue.Normal, "high, normal or low")
	fs.BoolVar(&f.keep, "keep", false, "leave the new picture in the bucket")
	fs.BoolVar(&f.force, "force", false, "draw even if the model's digest is not the picture's")
	fs.DurationVar(&f.timeout, "timeout", 5*time.Second, "most time to ask for the hash of a JPEG's or WebP's pixels, and to get an object")
	fs.BoolVar(&f.json, "json", false, "print one line of JSON")
	for _, name := range []string{"priority", "keep", "force", "timeout", "json"} {
		own(fs, name)
	}
	f.store.define(fs)
	f.broker.define(fs)
	f.telemetry.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.verify(cmd.Context(), f, args[0]) }
	return cmd
}

// verification is what verify found out. Its JSON is that of `enqueue verify --json`.
type verification struct {
	Type             string `json:"type"` // verification
	Same             bool   `json:"same"`
	BatchID          string `json:"batch_id"` // that drew it again
	TraceID          string `json:"trace_id,omitempty"`
	File             string `json:"file,omitempty"`
	Key              string `json:"key,omitempty"`
	Model            string `json:"model"`
	ModelDigest      string `json:"model_digest,omitempty"`      // of the picture
	RegisteredDigest string `json:"registered_digest,omitempty"` // of the model that workers serve now

	Compared     string   `json:"compared"`                // compareHash or compareDecoded
	PixelsSHA256 string   `json:"pixels_sha256,omitempty"` // of the picture
	DrawnSHA256  string   `json:"drawn_pixels_sha256,omitempty"`
	Largest      int      `json:"largest_difference"` // of a channel, 0 to 255
	Values       int64    `json:"values,omitempty"`   // channel values that were compared one by one
	Differing    int64    `json:"differing"`          // of them
	Kept         string   `json:"kept,omitempty"`     // key of the new picture
	Notes        []string `json:"notes"`

	job queue.Job
}

// verify checks what can be checked, draws the picture again and compares.
func (a *app) verify(ctx context.Context, f *verifyFlags, arg string) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	s, err := f.check(arg)
	if err != nil {
		return input(err)
	}
	x := newExplainer(s, &f.broker, f.store, f.timeout, logger)
	defer x.close()
	v := &verification{Type: "verification", BatchID: "verify-" + batch.NewID(time.Now()), File: s.file, Key: s.key}
	if err := v.read(ctx, x); err != nil {
		return interrupted(ctx, err, "nothing was sent")
	}
	t, logger, flush, err := f.telemetry.start(ctx, a.getenv, logger)
	if err != nil {
		return err
	}
	defer flush()
	c, closeClient, err := f.broker.connect(ctx, logger)
	if err != nil {
		return err
	}
	d := drawing{app: a, flags: f, t: t, client: c, stores: &x.stores, logger: logger, v: v}
	return errors.Join(d.verify(ctx, x), closeClient())
}

// check judges argument and flags.
func (f *verifyFlags) check(arg string) (subject, error) {
	var errs []error
	if !slices.Contains(queue.Priorities(), f.priority) {
		errs = append(errs, fmt.Errorf("--priority is %q: must be one of %s", f.priority, strings.Join(queue.Priorities(), ", ")))
	}
	if f.timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout is %v: must be more than 0", f.timeout))
	}
	s, err := parseSubject(arg)
	if err == nil && s.file == "" && s.key == "" {
		err = fmt.Errorf("%q is a job: name its picture, a file or a key (enqueue explain %s tells the key)", arg, arg)
	}
	return s, errors.Join(append(errs, err, f.store.check(f.broker.config.Prefix))...)
}

// read reads the picture, its job, and what is known of its pixels.
func (v *verification) read(ctx context.Context, x *explainer) error {
	var err error
	if x.subject.file != "" {
		err = input(x.readFile())
	} else {
		x.askStore(ctx)
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case x.picture == nil:
			err = errors.New(strings.Join(x.e.Notes, "; "))
		}
	}
	if err != nil {
		return err
	}
	name, meta := x.name(), x.picture.meta
	switch {
	case meta.Format == "":
		return input(fmt.Errorf("%s is no picture: %w", name, upload.ErrNoPicture))
	case meta.Job == nil:
		return input(fmt.Errorf("%s does not hold its job, so it cannot be drawn again: it was written with METADATA=minimal or none, or saved again by another program", name))
	}
	if v.job, err = queue.Decode(meta.Job, queue.Identity{Batch: v.BatchID}); err != nil {
		return input(fmt.Errorf("the job in %s: %w", name, err))
	}
	v.Model, v.ModelDigest = v.job.Model, x.e.ModelDigest
	v.Notes = []string{}
	format := queue.Or(v.job.Format, upload.PNG)
	switch {
	case meta.Format != format:
		v.Notes = append(v.Notes, fmt.Sprintf("the job is of a %s and the file a %s: it was saved again", format, meta.Format))
	case meta.Format == upload.PNG:
		pixels, err := upload.Decode(x.picture.data)
		if err != nil {
			return input(fmt.Errorf("%s: %w", name, err))
		}
		v.PixelsSHA256 = pixels.SHA256()
	default:
		if x.e.Image == nil || x.e.Image.PixelsSHA256 == "" {
			if err := x.askQueue(ctx); err != nil {
				return err
			}
		}
		if x.picture.isOf(x.e.Image) {
			v.PixelsSHA256 = x.e.Image.PixelsSHA256
		}
	}
	return nil
}

// checkModel compares the picture's model with the one that workers serve.
func (v *verification) checkModel(ctx context.Context, c *queue.Client, force bool, logger *slog.Logger) error {
	models, err := c.ListModels(ctx)
	if err != nil {
		return err
	}
	problem := fmt.Sprintf("no worker has registered the model %q of the picture", v.Model)
	if i := slices.IndexFunc(models, func(m queue.Model) bool { return m.Name == v.Model }); i >= 0 {
		v.RegisteredDigest = models[i].Digest
		switch {
		case v.ModelDigest == "":
			problem = "the file does not say which model's digest it has"
		case v.ModelDigest != v.RegisteredDigest:
			problem = fmt.Sprintf("the model %s is not the one that drew the picture: its digest is %s, the picture's %s", v.Model, v.RegisteredDigest, v.ModelDigest)
		default:
			return nil
		}
	}
	if !force {
		return input(fmt.Errorf("%s; --force draws it all the same", problem))
	}
	logger.WarnContext(ctx, "drawing all the same", slog.String("because", problem))
	v.Notes = append(v.Notes, problem)
	return nil
}
