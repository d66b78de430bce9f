package main

import (
	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

// prompt is a picture of the demo.
type prompt struct {
	text string
	seed uint64
}

// demoPrompts are what the demo draws unless it is told otherwise: things, colours, sizes and places that the
// model has learned (models/tiny-emoji/README.md). Their seeds are fixed, so that every demo draws the same.
func demoPrompts() []prompt {
	return []prompt{
		{"a rocket on a blue background", 1},
		{"a cat on a pink background", 3},
		{"a large pizza on a green background", 1},
		{"a robot on a teal background", 2},
		{"an emoji of a ghost, purple background", 2},
		{"a bee on a yellow background", 1},
		{"a small moon on the left on a black background", 2},
		{"a red apple on a white background", 2},
		{"a penguin, orange background", 2},
		{"a large tiger on a blue background", 2},
		{"a unicorn on a pink background", 2},
		{"a small mushroom on the left on a green background", 2},
		{"a strawberry on a teal background", 1},
		{"a panda on a red background", 1},
		{"a picture of a rainbow on a gray background", 1},
		{"a large owl on a purple background", 1},
		{"a ufo on a black background", 1},
		{"a hamburger on a yellow background", 1},
		{"a sunflower on a brown background", 2},
		{"a butterfly on a white background", 1},
		{"a small sailboat on the right on a blue background", 3},
		{"a green heart, pink background", 1},
		{"a cactus, orange background", 2},
		{"a small star on the right on a purple background", 2},
	}
}

// demoRows are demoPrompts as the rows of a batch.
func demoRows() batch.Rows {
	return func(yield func(batch.Row, error) bool) {
		for i, p := range demoPrompts() {
			seed := queue.Seed(p.seed)
			if !yield(batch.Row{Job: queue.Job{Prompt: &p.text, Seed: &seed}, Source: "demo", Line: int64(i + 1)}, nil) {
				return
			}
		}
	}
}
