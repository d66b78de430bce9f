package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stipple-ai/stipple/internal/batch"
)

// rows are the rows of the prompts given as arguments, or of the file. The input is read twice, once to check
// it and once to send it, so a pipe, which cannot be rewound, is copied to a temporary file first. Done closes
// what was opened.
func (a *app) rows(ctx context.Context, prompts []string, file, format string) (rows batch.Rows, done func() error, err error) {
	nothing := func() error { return nil }
	switch {
	case len(prompts) > 0 && file != "":
		return nil, nil, input(errors.New("prompts and --file: give one of the two"))
	case len(prompts) > 0 && format != "":
		return nil, nil, input(errors.New("--input-format is for --file: prompts as arguments are taken as they are"))
	case len(prompts) > 0:
		return batch.Args(prompts...), nothing, nil
	case file == "":
		return nil, nil, input(errors.New("nothing to enqueue: give prompts, or rows with --file (`enqueue -h` shows how)"))
	}
	f, err := inputFormat(file, format)
	if err != nil {
		return nil, nil, input(err)
	}
	if file == "-" {
		return a.standardInput(ctx, f)
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return pipe(ctx, f, file)
	}
	return batch.Source(f, file, func() (io.ReadCloser, error) {
		in, err := os.Open(file)
		if err != nil {
			return nil, input(fmt.Errorf("--file: %w", err))
		}
		return in, nil
	}), nothing, nil
}

// stoppable are rows that end with errInterrupted when ctx ends.
func stoppable(ctx context.Context, rows batch.Rows) batch.Rows {
	return func(yield func(batch.Row, error) bool) {
		for row, err := range rows {
			if ctx.Err() != nil {
				row, err = batch.Row{}, errInterrupted
			}
			if !yield(row, err) || ctx.Err() != nil {
				return
			}
		}
	}
}

// inputFormat is the format that is named, else that of the file's extension. What is not known by its
// extension is text, but for formats that would make nonsense of it.
func inputFormat(file, named string) (batch.Format, error) {
	known := batch.Formats()
	if named != "" {
		if f := batch.Format(named); slices.Contains(known, f) {
			return f, nil
		}
		return "", fmt.Errorf("--input-format is %q: must be one of %v", named, known)
	}
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".csv":
		return batch.CSVFormat, nil
	case ".jsonl", ".ndjson":
		return batch.JSONLFormat, nil
	case ".yaml", ".yml":
		return batch.YAMLFormat, nil
	case ".json", ".tsv", ".xlsx", ".parquet":
		return "", fmt.Errorf("--file %s: %s files are not read; write text, CSV, JSON lines or YAML, or say --input-format text if it is text", file, ext)
	}
	return batch.TextFormat, nil
}

// standardInput are the rows of standard input.
func (a *app) standardInput(ctx context.Context, format batch.Format) (rows batch.Rows, done func() error, err error) {
	const name = "standard input"
	if file, isFile := a.stdin.(*os.File); isFile {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			start, err := file.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, nil, fmt.Errorf("reading %s: %w", name, err)
			}
			return rowsFrom(format, name, file, start), func() error { return nil }, nil
		}
	}
	return spooled(ctx, format, name, func(to io.Writer) error {
		_, err := io.Copy(to, a.stdin)
		return err
	})
}

// pipe are the rows of a file that gives them once, such as one that a shell makes for <(generate).
func pipe(ctx context.Context, format batch.Format, name string) (rows batch.Rows, done func() error, err error) {
	return spooled(ctx, format, name, func(to io.Writer) error {
		in, err := os.Open(name) // which waits for whoever writes to it
		if err != nil {
			return input(fmt.Errorf("--file: %w", err))
		}
		defer in.Close()
		_, err = io.Copy(to, in)
		return err
	})
}

// spooled are rows that are copied to a temporary file.
func spooled(ctx context.Context, format batch.Format, name string, write func(to io.Writer) error) (rows batch.Rows, done func() error, err error) {
	file, err := spool(ctx, write)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return rowsFrom(format, name, file, 0), file.Close, nil
}

// rowsFrom are the rows of a file from start to its end.
func rowsFrom(format batch.Format, name string, file *os.File, start int64) batch.Rows {
	return batch.Source(format, name, func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(file, start, math.MaxInt64-start)), nil
	})
}

// spool returns a temporary file that was written, and that has no name any more, and so is gone with the process.
func spool(ctx context.Context, write func(to io.Writer) error) (*os.File, error) {
	file, err := os.CreateTemp("", "stipple-enqueue-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	written := make(chan error, 1)
	go func() { written <- write(file) }() // ends with the input; a signal does not wait for that, and the process ends then
	select {
	case err = <-written:
	case <-ctx.Done():
		return nil, errInterrupted
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
