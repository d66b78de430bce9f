package queue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Priorities of a job; the token after "jobs." in its subject.
const (
	High   = "high"
	Normal = "normal"
	Low    = "low"
)

// Priorities returns the priorities, most urgent first.
func Priorities() []string { return []string{High, Normal, Low} }

// Names makes the names of streams, subjects and buckets under a prefix (QUEUE_PREFIX), by which several
// queues share one broker account. The zero value has no prefix.
type Names struct {
	prefix string
}

// NewNames returns the names under prefix: "" or up to 32 of [A-Za-z0-9_-]. The first tokens of the
// unprefixed subjects are refused, because subjects below them belong to the unprefixed queue.
func NewNames(prefix string) (Names, error) {
	if len(prefix) > 32 || strings.Trim(prefix, wordChars+"-") != "" {
		return Names{}, fmt.Errorf("prefix %s: must be up to 32 of A-Z a-z 0-9 _ -", quote(prefix))
	}
	if slices.Contains([]string{"jobs", "results", "dead", "progress", "status"}, prefix) {
		return Names{}, fmt.Errorf("prefix %q: is the first token of the queue's own subjects; choose another", prefix)
	}
	return Names{prefix}, nil
}

// Prefix returns the prefix, without the separator that names put after it.
func (n Names) Prefix() string { return n.prefix }

func (n Names) stream(name string) string {
	if n.prefix == "" {
		return name
	}
	return n.prefix + "_" + name
}

func (n Names) subject(tokens ...string) string {
	s := strings.Join(tokens, ".")
	if n.prefix == "" {
		return s
	}
	return n.prefix + "." + s
}

// JobsStream is the stream of jobs that wait or run.
func (n Names) JobsStream() string { return n.stream("JOBS") }

// ResultsStream is the stream of result records, one message a subject.
func (n Names) ResultsStream() string { return n.stream("RESULTS") }

// DeadStream is the stream of dead letters.
func (n Names) DeadStream() string { return n.stream("DEAD") }

// BatchesBucket is the key-value bucket of batches: <batch>, and <batch>.<index> for a cancelled job.
func (n Names) BatchesBucket() string { return n.stream("batches") }

// AttemptsBucket is the key-value bucket of counted starts, by <batch>.<index>.
func (n Names) AttemptsBucket() string { return n.stream("attempts") }

// ModelsBucket is the key-value bucket of models that workers serve, by name.
func (n Names) ModelsBucket() string { return n.stream("models") }

// JobSubject is where a job is published: jobs.<priority>.<model>.<batch>.
func (n Names) JobSubject(priority, model, batch string) string {
	return n.subject("jobs", priority, ModelToken(model), batch)
}

// BatchFilter matches the jobs of a batch, whatever their priority and model.
func (n Names) BatchFilter(batch string) string { return n.subject("jobs", "*", "*", batch) }

// ResultSubject is where the record of a job is published.
func (n Names) ResultSubject(batch string, index int64) string {
	return n.subject("results", batch, strconv.FormatInt(index, 10))
}

// ResultFilter matches the records of a batch; batch "*" those of all.
func (n Names) ResultFilter(batch string) string { return n.subject("results", batch, "*") }

// DeadSubject is where the dead letter of a job is published.
func (n Names) DeadSubject(batch string, index int64) string {
	return n.subject("dead", batch, strconv.FormatInt(index, 10))
}

// deadSequenceSubject is where a message goes whose index cannot be read: dead.<batch>.s<stream sequence>.
// The batch came from outside and is made a clean token first.
func (n Names) deadSequenceSubject(batch string, seq uint64) string {
	return n.subject("dead", token(batch), "s"+strconv.FormatUint(seq, 10))
}

// ProgressSubject is the core subject of a running job's progress.
func (n Names) ProgressSubject(batch string, index int64) string {
	return n.subject("progress", batch, strconv.FormatInt(index, 10))
}

// ProgressFilter matches the progress of a batch; batch "*" that of all.
func (n Names) ProgressFilter(batch string) string { return n.subject("progress", batch, "*") }

// StatusSubject is the core subject of a worker's status. Characters that no token may hold become "_".
func (n Names) StatusSubject(worker string) string {
	return n.subject("status", token(worker))
}

// StatusFilter matches the status of all workers.
func (n Names) StatusFilter() string { return n.subject("status", "*") }

// parseJobSubject takes a subject of the JOBS stream apart.
func (n Names) parseJobSubject(subject string) (priority, modelToken, batch string, ok bool) {
	if n.prefix != "" {
		if subject, ok = strings.CutPrefix(subject, n.prefix+"."); !ok {
			return "", "", "", false
		}
	}
	t := strings.Split(subject, ".")
	if len(t) != 4 || t[0] != "jobs" {
		return "", "", "", false
	}
	return t[1], t[2], t[3], true
}

// ModelToken is a model's name as subjects and consumers hold it: "." becomes "_". Two names may share one
// token; a worker refuses to serve both.
func ModelToken(model string) string { return strings.ReplaceAll(model, ".", "_") }

// ConsumerName is the durable consumer of a priority and model. It carries no prefix: its stream does.
func ConsumerName(priority, model string) string { return "w-" + priority + "-" + ModelToken(model) }

// consumerFilter matches the jobs of a priority and model.
func (n Names) consumerFilter(priority, model string) string {
	return n.subject("jobs", priority, ModelToken(model), "*")
}

// jobKey is the key of a job in the buckets.
func jobKey(batch string, index int64) string { return batch + "." + strconv.FormatInt(index, 10) }

// token makes a subject's token of free text such as a host name: each character that is not a letter, digit,
// "_" or "-" becomes "_", and at most 64 are kept.
func token(s string) string {
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune(wordChars+"-", r) {
			return r
		}
		return '_'
	}, s)
	if clean == "" {
		return "_"
	}
	return clean[:min(len(clean), 64)]
}
