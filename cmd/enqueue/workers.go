package main

import "github.com/stipple-ai/stipple/internal/queue"

// pace is what workers together do in a second, in UNet steps.
func pace(all []queue.Status) float64 {
	total := 0.0
	for _, s := range all {
		total += s.StepsPerSecond
	}
	return total
}
