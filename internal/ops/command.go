package ops

import (
	"strconv"
	"strings"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Command is the command line that enqueues a job's picture once more, as a POSIX shell reads it: with the job's seed,
// and without what the model decides.
func Command(j queue.Job) string {
	words := []string{"enqueue"}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, "--"+flag, ShellWord(value))
		}
	}
	number := func(n *int) string {
		if n == nil {
			return ""
		}
		return strconv.Itoa(*n)
	}
	add("model", j.Model)
	add("seeds", strconv.FormatUint(j.SeedOrDefault(), 10))
	add("steps", number(j.NumInferenceSteps))
	if j.GuidanceScale != nil {
		add("guidance-scale", strconv.FormatFloat(*j.GuidanceScale, 'g', -1, 64))
	}
	add("width", number(j.Width))
	add("height", number(j.Height))
	add("scheduler", queue.Or(j.Scheduler, ""))
	add("negative-prompt", queue.Or(j.NegativePrompt, ""))
	add("format", queue.Or(j.Format, ""))
	add("quality", number(j.Quality))
	return strings.Join(append(words, "--", ShellWord(queue.Or(j.Prompt, ""))), " ")
}

// ShellWord quotes an argument for a POSIX shell where that is needed.
func ShellWord(s string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./,:=+@%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
