package ops

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// HearFor is how long workers are listened to: each tells what it does every 2 s.
const HearFor = 2500 * time.Millisecond

// HearWorkers returns the last word of every worker that speaks within HearFor, by name.
func HearWorkers(ctx context.Context, c *queue.Client) ([]queue.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, HearFor)
	defer cancel()
	words, err := c.WatchStatus(ctx)
	if err != nil {
		return nil, err
	}
	last := map[string]queue.Status{}
	for s := range words {
		last[s.Worker] = s
	}
	return slices.SortedFunc(maps.Values(last), func(a, b queue.Status) int { return cmp.Compare(a.Worker, b.Worker) }), nil
}

// Serving are the workers that serve any of these models.
func Serving(all []queue.Status, models []string) []queue.Status {
	return slices.DeleteFunc(slices.Clone(all), func(s queue.Status) bool {
		return !slices.ContainsFunc(s.Models, func(m string) bool { return slices.Contains(models, m) })
	})
}
