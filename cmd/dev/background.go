package main

import (
	"context"
	"errors"

	"github.com/stipple-ai/stipple/internal/worker"
)

// background is a worker in a goroutine of its own.
type background struct {
	stop context.CancelFunc
	done chan struct{} // closed by the goroutine, after it has written err
	err  error
}

// errWorkerLeft ends the context that startWorker returns.
var errWorkerLeft = errors.New("the worker has left")

// startWorker starts a worker, which leaves when ctx ends or leave is called. The context it returns is ctx, except
// that it ends with the worker too: nobody else will do the jobs.
func startWorker(ctx context.Context, c worker.Config) (*background, context.Context) {
	alive, ended := context.WithCancelCause(ctx)
	ctx, stop := context.WithCancel(ctx)
	b := &background{stop: stop, done: make(chan struct{})}
	go func() { // ends when the worker has left
		defer close(b.done)
		defer ended(errWorkerLeft)
		b.err = worker.Run(ctx, c)
	}()
	return b, alive
}

// leave has the worker leave, waits until it has, and returns why it broke, if it did. It may be called again.
func (b *background) leave() error {
	b.stop()
	<-b.done
	return b.err
}
