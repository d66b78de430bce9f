package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stipple-ai/stipple/internal/queue"
)

// defaultModel checks the models that a batch names against those that workers have registered, and returns the
// one that jobs without a model get, "" if every job names one. Force lets unknown names pass.
func defaultModel(ctx context.Context, c *queue.Client, named []string, force bool) (string, error) {
	unnamed := slices.Contains(named, "")
	if force && !unnamed {
		return "", nil
	}
	registered, err := c.ListModels(ctx)
	if err != nil {
		return "", err
	}
	known := make([]string, len(registered))
	for i, m := range registered {
		known[i] = m.Name
	}
	if !force {
		var errs []error
		for _, name := range named {
			if name != "" && !slices.Contains(known, name) {
				errs = append(errs, fmt.Errorf("no worker has registered the model %q; %s, or --force to enqueue for it all the same", name, choices(known)))
			}
		}
		if len(errs) > 0 {
			return "", input(errors.Join(errs...))
		}
	}
	switch {
	case !unnamed:
		return "", nil
	case len(known) == 1:
		return known[0], nil
	case len(known) == 0:
		return "", input(errors.New("no worker has registered a model yet; start one, or name its model with --model and --force"))
	}
	return "", input(fmt.Errorf("which model? %s", choices(known)))
}

// choices tells which models there are.
func choices(known []string) string {
	if len(known) == 0 {
		return "none is registered: start a worker"
	}
	return "choose --model from " + strings.Join(known, ", ")
}
