package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// hearFor is how long workers are listened to: each tells what it does every 2 s.
const hearFor = 2500 * time.Millisecond

// hearWorkers returns the last word of every worker that speaks within hearFor, by name.
func hearWorkers(ctx context.Context, c *queue.Client) ([]queue.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, hearFor)
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

// serving are the workers that serve any of these models.
func serving(all []queue.Status, models []string) []queue.Status {
	return slices.DeleteFunc(slices.Clone(all), func(s queue.Status) bool {
		return !slices.ContainsFunc(s.Models, func(m string) bool { return slices.Contains(models, m) })
	})
}

// pace is what workers together do in a second, in UNet steps.
func pace(all []queue.Status) float64 {
	total := 0.0
	for _, s := range all {
		total += s.StepsPerSecond
	}
	return total
}
