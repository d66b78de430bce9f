package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// logger is the server's logger: it keeps the first fatal line, which in nats-server's own logger would end
// the process, and hands the others to slog.
type logger struct {
	slog *slog.Logger // nil drops lines

	mu    sync.Mutex
	first string
}

// fatal is the reason why the server could not start, or nil.
func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		return nil
	}
	return errors.New(l.first)
}

// Fatalf keeps the line for Start's error.
func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = fmt.Sprintf(format, v...)
	}
}

// Errorf logs at slog's error level.
func (l *logger) Errorf(format string, v ...any) {
	if l.slog != nil {
		l.slog.Error("nats-server", slog.String("line", fmt.Sprintf(format, v...)))
	}
}

// Warnf logs at slog's warning level.
func (l *logger) Warnf(format string, v ...any) {
	if l.slog != nil {
		l.slog.Warn("nats-server", slog.String("line", fmt.Sprintf(format, v...)))
	}
}

// Noticef logs at slog's debug level: a start alone is forty of them.
func (l *logger) Noticef(format string, v ...any) {
	if l.slog != nil {
		l.slog.Debug("nats-server", slog.String("line", fmt.Sprintf(format, v...)))
	}
}

// Debugf drops the line; the server is started without debug logging.
func (l *logger) Debugf(string, ...any) {}

// Tracef drops the line; the server is started without tracing.
func (l *logger) Tracef(string, ...any) {}
