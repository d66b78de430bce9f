package queue

import (
	"errors"
	"fmt"
	"strconv"
)

// Decode reads the body of the message that id names. It takes exactly what the contract says: field names by
// case, no field twice, none that version 1 does not have, null as left out. What the body says of its identity
// must agree with id.
//
// The error is an *InvalidError that names the field, or ErrNewerVersion: a job of a newer version may hold
// anything else, so its version is looked at before its fields are judged.
func Decode(data []byte, id Identity) (Job, error) {
	if len(data) > maxBody {
		return Job{}, &InvalidError{"body", fmt.Sprintf("must be at most %d bytes, is %d", maxBody, len(data))}
	}
	fields, err := members("body", data)
	if err != nil {
		return Job{}, err
	}
	if err := newerVersion(fields); err != nil {
		return Job{}, err
	}
	if err := unique("", fields); err != nil {
		return Job{}, err
	}
	var b body
	for _, f := range fields {
		if err := b.read(f); err != nil {
			return Job{}, err
		}
	}
	return b.resolve(id)
}

// newerVersion returns ErrNewerVersion if a version field says so, and nothing for what is not a version at
// all: that is judged with the other fields.
func newerVersion(fields []member) error {
	for _, f := range fields {
		if f.name != "version" || !isInteger(f.value) {
			continue
		}
		v, err := strconv.ParseInt(string(f.value), 10, 64)
		if v > Version || errors.Is(err, strconv.ErrRange) && f.value[0] != '-' {
			return fmt.Errorf("job version %s: %w", shorten(f.value), ErrNewerVersion)
		}
	}
	return nil
}

// unique refuses a field that stands more than once in the object that prefix names.
func unique(prefix string, fields []member) error {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.name] {
			return &InvalidError{fieldName(prefix + f.name), "stands more than once"}
		}
		seen[f.name] = true
	}
	return nil
}

// body is a job as it is written: what the message's subject and headers say may be there too, or not.
type body struct {
	version *int
	id      *string
	batch   *string
	index   *int64
	retry   *int
	model   *string
	job     Job // the fields that need no resolving
}

// read reads one member of the body.
func (b *body) read(f member) error {
	switch f.name {
	case "version":
		return optional(f, &b.version, readInt)
	case "id":
		return optional(f, &b.id, readString)
	case "batch_id":
		return optional(f, &b.batch, readString)
	case "index":
		return optional(f, &b.index, readInt64)
	case "retry":
		return optional(f, &b.retry, readInt)
	case "model":
		return optional(f, &b.model, readString)
	case "prompt":
		return optional(f, &b.job.Prompt, readString)
	case "negative_prompt":
		return optional(f, &b.job.NegativePrompt, readString)
	case "num_inference_steps":
		return optional(f, &b.job.NumInferenceSteps, readInt)
	case "guidance_scale":
		return optional(f, &b.job.GuidanceScale, readNumber)
	case "seed":
		return optional(f, &b.job.Seed, readSeed)
	case "width":
		return optional(f, &b.job.Width, readInt)
	case "height":
		return optional(f, &b.job.Height, readInt)
	case "scheduler":
		return optional(f, &b.job.Scheduler, readString)
	case "format":
		return optional(f, &b.job.Format, readString)
	case "quality":
		return optional(f, &b.job.Quality, readInt)
	case "deadline":
		return optional(f, &b.job.Deadline, readTime)
	case "trace_context":
		return optional(f, &b.job.TraceContext, readTraceContext)
	}
	return unknownField(f.name)
}

// resolve returns the job that the body describes in the message that id names.
func (b *body) resolve(id Identity) (Job, error) {
	if v := Or(b.version, Version); v != Version {
		return Job{}, &InvalidError{"version", fmt.Sprintf("must be %d, is %d", Version, v)}
	}
	for _, err := range []error{
		agree("batch_id", b.batch, id.Batch, "subject"),
		agree("index", b.index, id.Index, "Nats-Msg-Id"),
		agree("retry", b.retry, id.Retry, "Nats-Msg-Id"),
	} {
		if err != nil {
			return Job{}, err
		}
	}
	j := b.job
	j.Version, j.BatchID, j.Index, j.Retry = Version, id.Batch, id.Index, id.Retry
	j.Model = Or(b.model, "")
	if j.ID = Or(b.id, ""); j.ID == "" {
		j.ID = id.String()
	}
	if err := j.validate(); err != nil {
		return Job{}, err
	}
	return j, nil
}

// agree checks a part of the identity that the body repeats.
func agree[T comparable](field string, body *T, message T, where string) error {
	if body == nil || *body == message {
		return nil
	}
	return &InvalidError{field, fmt.Sprintf("must agree with the message's %s, which says %s, is %s",
		where, show(fmt.Sprint(message)), show(fmt.Sprint(*body)))}
}

func unknownField(name string) error {
	return &InvalidError{fieldName(name), fmt.Sprintf("is not a field of a job of version %d", Version)}
}
