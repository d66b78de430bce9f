// Enqueue puts text-to-image jobs into the queue, waits for their pictures and downloads them.
//
//	enqueue "a red apple" "a blue boat" --seeds 1..8 --model tiny-emoji --wait --out pictures
//	enqueue --file prompts.csv --batch monday
//	enqueue wait monday --out pictures
//	enqueue status monday
//	enqueue cancel monday
//	enqueue setup --models tiny-emoji,sd15
//
// Every setting is a flag with an environment variable behind it; enqueue -h is the manual.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "enqueue: %v\n", err)
	}
	os.Exit(exitCode(err))
}
