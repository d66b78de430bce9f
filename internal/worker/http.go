package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// health is what the worker tells those who ask. Its fields are functions, so that every answer is of the moment.
type health struct {
	ready   func() []string // reasons why not; empty means ready
	metrics http.Handler
}

// serve listens on addr and serves /healthz, /readyz and /metrics until stop is called.
func (h *health) serve(addr string, logger *slog.Logger) (bound string, stop func(), err error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("HTTP_ADDR (--http-addr): listening on %q: %w", addr, err)
	}
	server := &http.Server{Handler: h.handler(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the HTTP server stopped", slog.Any("error", err))
		}
	}()
	return listener.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close() // a scraper that hangs on is cut off: the process is leaving
		}
		<-done
	}, nil
}

func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, verdict{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reasons := h.ready(); len(reasons) > 0 {
			answer(w, http.StatusServiceUnavailable, verdict{Status: "not ready", Reasons: reasons})
			return
		}
		answer(w, http.StatusOK, verdict{Status: "ready"})
	})
	mux.Handle("GET /metrics", h.metrics)
	return mux
}

// verdict is the body of /healthz and /readyz.
type verdict struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
}

func answer(w http.ResponseWriter, status int, body verdict) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		return // the client went away; nobody is left to tell
	}
}
