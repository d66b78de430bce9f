package main

import (
	"slices"
	"strings"

	"github.com/stipple-ai/stipple/internal/ops"
)

// resumeCommand is the command line that goes on with a batch: what was given, with the batch and the model
// spelt out, and without secrets, which have their place in the environment.
func resumeCommand(args []string, id, model string) string {
	return commandAgain(args, "", id, model)
}

// commandAgain is resumeCommand for the arguments of a command of enqueue, "" for enqueue itself.
func commandAgain(args []string, command, id, model string) string {
	words := []string{"enqueue"}
	if command != "" {
		words = append(words, command)
		if i := slices.Index(args, command); i >= 0 {
			args = slices.Delete(slices.Clone(args), i, i+1)
		}
	}
	if !given(args, "batch") {
		words = append(words, "--batch", id)
	}
	if model != "" && !given(args, "model") {
		words = append(words, "--model", model)
	}
	for _, a := range withoutSecrets(args) {
		words = append(words, ops.ShellWord(a))
	}
	return strings.Join(words, " ")
}

// given reports whether a flag stands on the command line.
func given(args []string, flag string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if name, _, _ := strings.Cut(a, "="); name == "--"+flag {
			return true
		}
	}
	return false
}

// withoutSecrets are the arguments without flags whose values nobody should read.
func withoutSecrets(args []string) []string {
	secret := func(flag, value string) bool {
		switch flag {
		case "--aws-secret-access-key", "--aws-session-token":
			return true
		case "--nats-url":
			return strings.Contains(value, "@") // a user's password or token
		}
		return false
	}
	var kept []string
	for i := 0; i < len(args); i++ {
		flag, value, whole := strings.Cut(args[i], "=")
		if args[i] == "--" {
			return append(kept, args[i:]...)
		}
		if !whole && i+1 < len(args) {
			value = args[i+1]
		}
		switch {
		case !secret(flag, value):
			kept = append(kept, args[i])
		case !whole:
			i++ // its value
		}
	}
	return kept
}
