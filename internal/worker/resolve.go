package worker

import (
	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// The contract's defaults, for models whose folder says nothing else.
const (
	DefaultSteps    = 20
	DefaultGuidance = 7.5
)

// resolved is a job with every field decided: by the job, else by its model, else by the contract.
type resolved struct {
	request infer.Request
	format  string
	quality int
	spec16  string
	key     string
}

// resolve decides the fields of a job for the model that draws it. It does not judge them: the engine does.
func resolve(j queue.Job, priority string, m *model, prefix string) (resolved, error) {
	spec16, err := j.Spec16()
	if err != nil {
		return resolved{}, err
	}
	info := m.engine.Info()
	format := queue.Or(j.Format, upload.PNG)
	return resolved{
		request: infer.Request{
			Prompt: queue.Or(j.Prompt, ""), NegativePrompt: queue.Or(j.NegativePrompt, ""),
			Steps: queue.Or(j.NumInferenceSteps, m.steps()), Guidance: queue.Or(j.GuidanceScale, m.guidance()),
			Seed: j.SeedOrDefault(), Width: queue.Or(j.Width, info.Width), Height: queue.Or(j.Height, info.Height),
			Scheduler: queue.Or(j.Scheduler, ""), Priority: rank(priority),
		},
		format: format, quality: queue.Or(j.Quality, upload.DefaultQuality),
		spec16: spec16, key: upload.Key(prefix, j.BatchID, j.Index, spec16, upload.Ext(format)),
	}, nil
}

// rank is the order of a priority at the engine's door: high is 0.
func rank(priority string) int {
	for i, p := range queue.Priorities() {
		if p == priority {
			return i
		}
	}
	return len(queue.Priorities())
}
