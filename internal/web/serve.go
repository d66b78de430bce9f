package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// leaveTime is how long requests may take that run when the server stops.
const leaveTime = 2 * time.Second

// Serve serves the page on a listener, which it closes, until ctx ends; that is no error. When it returns, all requests
// have ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Requests end with ctx: a stream of events has no end of its own.
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var running sync.WaitGroup // of requests
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			s.handler.ServeHTTP(w, r)
		}),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(base, serving{}, base) },
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // clients that break off
	}
	gone := make(chan struct{})
	stopped := make(chan error, 1)
	go func() { // ends with Serve
		select {
		case <-ctx.Done():
		case <-gone:
		}
		end()
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
		defer cancel()
		err := server.Shutdown(within)
		if err != nil {
			err = server.Close() // a client that hangs on is cut off
		}
		stopped <- err
	}()
	err := server.Serve(l)
	close(gone)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	err = errors.Join(err, <-stopped)
	running.Wait() // for those that were cut off, too
	return err
}

// serving is the key under which a request's context holds the one that ends with the server.
type serving struct{}

// committed is a context for what is done to its end, whether or not its client waits, while the server serves.
func committed(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), writeTime)
	server, ok := r.Context().Value(serving{}).(context.Context)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(server, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
