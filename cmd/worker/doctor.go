package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/doctor"
	"github.com/stipple-ai/stipple/internal/flagenv"
)

const doctorManual = `Doctor looks at everything that a worker with these settings needs, and says how to mend what is wrong:

  settings   what worker refuses to start with
  queue      the connection, streams, consumers and buckets, each right to read, fetch, settle and publish, the registry
  store      write, conditional write, read, presigned links, delete
  models     ONNX Runtime and its provider, and each model, which is loaded
  telemetry  an empty request for each signal to its collector, and what came back

  worker doctor
  worker doctor --json | jq '.checks[] | select(.status == "failed")'

It leaves nothing behind: it deletes the objects that it puts under .probe/ in the bucket, and sends the queue what that refuses
to store. Run it with the environment of a worker, for example in its container.

With --json it prints one object:
  {"ok":…,"checks":[{"area","name","status":"ok"|"warning"|"failed"|"skipped","detail","mend"}]}

Exit codes: 0 nothing failed, with or without warnings, 1 something did, 2 a flag that is none.`

// errUnwell is a report with failures, which the report itself tells of.
var errUnwell = errors.New("something a worker needs is not as it should be")

// doctorCommand is `worker doctor`. It takes the settings of a worker. forget makes the next signal end the process, as it must while a model is loaded.
func doctorCommand(forget func(), getenv func(string) string) *cobra.Command {
	var s *settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Look at queue, store, models and telemetry, and say what is wrong and how to mend it",
		Long:  doctorManual,
		Args:  func(cmd *cobra.Command, args []string) error { return config(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			defer context.AfterFunc(cmd.Context(), forget)()
			wrong := flagenv.Apply(cmd.Flags(), getenv)
			_, unlogged := s.logger(io.Discard)
			cfg, err := s.finish()
			c := doctor.Config{Queue: cfg.Queue, Store: cfg.Store, Runtime: cfg.Runtime, ModelReplace: cfg.ModelReplace, FellBack: s.fellBack, Getenv: getenv, Settings: separate(errors.Join(wrong, unlogged, err))}
			for _, m := range cfg.Models {
				c.Models = append(c.Models, look(cmd.Context(), &s.sources, m))
			}
			report := doctor.Run(cmd.Context(), c)
			if asJSON {
				err = report.WriteJSON(cmd.OutOrStdout())
			} else {
				err = report.WriteTable(cmd.OutOrStdout())
			}
			if err == nil && !report.OK {
				err = errUnwell
			}
			return err
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	flagenv.Bind(cmd.Flags(), "json", "DOCTOR_JSON")
	s = define(cmd.Flags())
	flagenv.Describe(cmd.Flags())
	return cmd
}

// separate takes joined errors apart, each a line of its own.
func separate(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || !strings.Contains(err.Error(), "\n") {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, separate(e)...)
	}
	return all
}
