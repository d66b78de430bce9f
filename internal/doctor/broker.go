package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// lookAtQueue tries what a worker needs of the broker.
func (c Config) lookAtQueue(ctx context.Context) []Check {
	var models []string
	for _, m := range c.Models {
		models = append(models, m.Name)
	}
	var checks []Check
	for _, f := range queue.Examine(ctx, c.Queue, models) {
		check := Check{AreaQueue, f.Name, OK, f.Detail, f.Mend}
		if f.Err != nil {
			check.Status, check.Detail = Failed, joined(f.Detail, f.Err.Error())
			if f.Warning {
				check.Status = Warning
			}
		}
		checks = append(checks, check)
	}
	return checks
}

// registryTime bounds the look at the registry.
const registryTime = 10 * time.Second

// lookAtRegistry compares the models that were loaded with what the queue knows under their names.
func (c Config) lookAtRegistry(ctx context.Context, digests map[string]string) []Check {
	if len(digests) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, registryTime)
	defer cancel()
	const name = "registry"
	client, err := queue.Connect(ctx, c.Queue)
	if err != nil {
		return []Check{failed(AreaQueue, name, err.Error(), "the broker was there a moment ago: look at its log")}
	}
	defer func() {
		// A connection that has nothing to say; a broker that went away meanwhile was not asked for anything.
		_ = client.Close(ctx)
	}()
	known, err := client.ListModels(ctx)
	if err != nil {
		return []Check{{AreaQueue, name, Skipped, "it cannot be read: " + err.Error(), ""}}
	}
	var checks []Check
	for _, model := range slices.Sorted(maps.Keys(digests)) {
		checks = append(checks, c.compare(model, digests[model], known))
	}
	return checks
}

// compare judges one model.
func (c Config) compare(name, digest string, known []queue.Model) Check {
	check := Check{Area: AreaQueue, Name: "registry " + name, Status: OK, Detail: "the queue knows the model as it is here"}
	token := queue.ModelToken(name)
	for _, other := range known {
		switch {
		case other.Name != name && queue.ModelToken(other.Name) == token:
			return failed(AreaQueue, check.Name, fmt.Sprintf("the queue knows %s, whose subjects are the same", other.Name), "serve the model under another name: MODELS=name=path")
		case other.Name != name:
		case other.Digest == digest:
			return check
		case c.ModelReplace:
			check.Status, check.Detail = Warning, "the queue knows another model under this name, and the worker will take the name over (MODEL_REPLACE)"
			check.Mend = "unset MODEL_REPLACE when all workers serve the new one"
			return check
		default:
			return failed(AreaQueue, check.Name, fmt.Sprintf("the queue knows another model under this name: its digest is %s, this one's %s", other.Digest, digest),
				"serve it under another name (MODELS=name=path), or set MODEL_REPLACE=true to take the name over")
		}
	}
	check.Detail = "the queue does not know the model yet: the first worker registers it"
	return check
}

// joined is a detail and a reason in one text.
func joined(detail, reason string) string {
	if detail == "" {
		return reason
	}
	return detail + ": " + reason
}
