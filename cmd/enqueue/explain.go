package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/queue"
)

const explainManual = `Explain tells of one picture: what it was drawn from, by which model and worker, where its time went, and where else to
look. IMAGE is a file (PNG, JPEG or WebP), KEY an object's key or s3://bucket/key, JOB is <batch>/<index>.

  enqueue explain pictures/00000007.png
  enqueue explain s3://images/monday/00000007-954ff402820dd465.png
  enqueue explain monday/7
  enqueue explain monday/7 --json | jq .ledger

A file tells its prompt, parameters, model and trace by itself, without queue and store, unless it was written with
METADATA=minimal or none. Its ledger is in the result (kept for seven days) and with the object: the manifest.jsonl
beside a downloaded file, the queue and the store are asked for it, and what could not be reached is said below.

Of a job that has no picture it tells where the job is and why: before which others it waits, which worker draws it,
what its last start failed with, or why it has ended.

The ledger's parts sum to the total within 2 %; what is missing stands as the rest. The queue comes before the total.
The solid part of a bar is the picture's own time: of the denoising its share of the rows in the calls that it rode in
(rows_mean), of waiting nothing. Upload and total are known from the result alone.

With --json it prints one line, in which what is not known is left out:
  {"type":"explanation","id","status","why","error":{"type","message"},"file","image":{…},"trace_id","model",
   "model_digest","seed","attempt","worker","prompt_truncated","job":{…},"settings":{…},"queue":{"state","priority",
   "published","ahead","consumer","paused_until","starts","last_error","worker","step","steps"},
   "ledger":{"source","queue_ms","parts":[{"name","ms","own_ms","share"}],"rest_ms","total_ms","own_ms","rows_mean",
   "balanced"},"batch":{"jobs","wall_ms","own_share"},"notes":[…]}
Status is that of the result, or waiting, running, unsent or gone.

Exit codes: 0 explained, whatever became of the job, 1 something broke, 2 bad input, or nothing is known of it,
130 interrupted.`

// explainFlags are those of "enqueue explain".
type explainFlags struct {
	broker  brokerFlags
	store   storeFlags
	timeout time.Duration
	json    bool
}

func (a *app) explainCommand() *cobra.Command {
	f := &explainFlags{}
	cmd := &cobra.Command{
		Use:   "explain [flags] IMAGE|KEY|JOB",
		Short: "Explain a picture: what it was drawn from, and where its time went",
		Long:  explainManual,
		Args:  exactly(1, "the file, the key or the job to explain"),
	}
	fs := cmd.Flags()
	fs.DurationVar(&f.timeout, "timeout", 5*time.Second, "most time to ask the queue, and the store, for what can be told without")
	fs.BoolVar(&f.json, "json", false, "print one line of JSON")
	own(fs, "timeout")
	own(fs, "json")
	f.store.define(fs)
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.explain(cmd.Context(), f, args[0]) }
	return cmd
}

func (a *app) explain(ctx context.Context, f *explainFlags, arg string) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	if f.timeout <= 0 {
		return input(fmt.Errorf("--timeout is %v: must be more than 0", f.timeout))
	}
	if err := f.store.check(f.broker.config.Prefix); err != nil {
		return input(err)
	}
	s, err := parseSubject(arg)
	if err != nil {
		return input(err)
	}
	x := newExplainer(s, &f.broker, f.store, f.timeout, logger)
	defer x.close()
	e, err := x.explain(ctx)
	if err != nil {
		return interrupted(ctx, err, "nothing was changed")
	}
	if f.json {
		return writeLine(a.stdout, e)
	}
	explanationText{&e}.write(a.stdout, a.width, time.Now())
	return nil
}

// named reports whether anyone has said where the broker is.
func (f *brokerFlags) named() bool { return f.config.URL != queue.DefaultURL }
