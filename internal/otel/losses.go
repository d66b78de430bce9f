package otel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Reasons why telemetry is lost: the closed list behind the attribute reason
// of worker.telemetry.dropped and worker.telemetry.export.failures.
const (
	reasonQueueFull   = "queue_full"      // spans end faster than they leave
	reasonConnection  = "connection"      // refused, reset, closed, no such host
	reasonTLS         = "tls"             // certificate or handshake
	reasonTimeout     = "timeout"         // no answer in time
	reasonThrottled   = "throttled"       // 429
	reasonUnavailable = "unavailable"     // 502, 503, 504
	reasonAuth        = "auth"            // 401, 403
	reasonNotFound    = "not_found"       // 404
	reasonTooLarge    = "too_large"       // 413 for a single span
	reasonRejected    = "rejected"        // any other status
	reasonRedirect    = "redirect"        // 3xx: following would turn the POST into a GET
	reasonHTML        = "html"            // 2xx with a page: a login or a wrong host
	reasonBadAnswer   = "bad_answer"      // 2xx with an answer that is no OTLP
	reasonPartial     = "partial_success" // the collector took a part
	reasonShutdown    = "shutdown"        // no time left to send
	reasonOther       = "other"
)

// losses counts telemetry that did not arrive and says so in the log: the
// first time at once, then at most once a minute for each signal and reason, with the count since.
type losses struct {
	logger  *slog.Logger
	secrets []string // never printed; longest first

	mu       sync.Mutex
	seen     map[lossKey]*loss
	draining bool // a shutdown reports what it loses itself
	closed   bool // the process has left; nothing more is counted
	muted    bool // the SDK's own diagnostics are not wanted
}

type lossKey struct{ signal, reason string }

type loss struct {
	failures, items     int64 // since the start
	unloggedF, unlogged int64 // of these, not yet in the log
	logged              time.Time
	last                error
}

// quiet is how long a repeated loss stays out of the log.
const quiet = time.Minute

// items are what each signal's losses are counted in.
var items = map[string]string{signalTraces: "spans", signalMetrics: "metric data points", signalLogs: "log records"}

// newLosses takes the values that must not be printed. Shorter ones than four
// bytes are no credentials, and would blot out innocent text.
func newLosses(logger *slog.Logger, secrets []string) *losses {
	l := &losses{logger: logger, seen: map[lossKey]*loss{}}
	for _, s := range secrets {
		for _, part := range append(strings.Fields(s), s) { // the whole, and the token behind "Basic"
			if len(part) >= 4 && !slices.Contains(l.secrets, part) {
				l.secrets = append(l.secrets, part)
			}
		}
	}
	slices.SortFunc(l.secrets, func(a, b string) int { return len(b) - len(a) })
	return l
}

// add counts a failed export (or a drop) of n items; n may be 0 for a mere warning.
func (l *losses) add(signal, reason string, n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(signal, reason, n, err)
}

// give counts n items as lost and lets left places of their queue go (nil for
// none), at one moment: whoever counts both finds each item once.
func (l *losses) give(signal, reason string, n int, err error, q *queueStats, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return // close has counted them
	}
	if q != nil {
		q.left(left)
	}
	l.count(signal, reason, n, err)
}

// close counts what is still in the queues, which nobody will send any more, and what comes later not at all.
func (l *losses) close(queues []*queueStats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range queues {
		if n := q.size.Swap(0); n > 0 {
			l.count(q.signal, reasonShutdown, int(n), nil)
		}
	}
	l.closed = true
}

// count is add with l.mu held.
func (l *losses) count(signal, reason string, n int, err error) {
	if l.closed {
		return
	}
	key := lossKey{signal, reason}
	x := l.seen[key]
	if x == nil {
		x = &loss{}
		l.seen[key] = x
	}
	x.failures, x.unloggedF = x.failures+1, x.unloggedF+1
	x.items, x.unlogged = x.items+int64(n), x.unlogged+int64(n)
	x.last = err
	if l.draining || !x.logged.IsZero() && time.Since(x.logged) < quiet {
		return
	}
	attrs := []slog.Attr{slog.String("signal", signal), slog.String("reason", reason),
		slog.Int64("failures", x.unloggedF), slog.Int64("lost", x.unlogged), slog.Int64("lost_total", x.items)}
	if err != nil {
		attrs = append(attrs, slog.String("error", l.redact(err)))
	}
	x.logged, x.unloggedF, x.unlogged = time.Now(), 0, 0
	if x.items == 0 {
		l.logger.LogAttrs(context.Background(), slog.LevelWarn, "telemetry warning", attrs...)
		return
	}
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, "telemetry lost", attrs...)
}

// internal takes what the SDK says about itself; its own rate limit, its own counting.
func (l *losses) internal(err error) {
	l.mu.Lock()
	muted := l.muted
	l.mu.Unlock()
	if err != nil && !muted {
		l.add("sdk", reasonOther, 0, err)
	}
}

func (l *losses) mute(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.muted = on
}

// drain stops the log lines: from here on what is lost is gathered for report.
func (l *losses) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
}

// report is an error that says what was lost, or warned about, and has not been logged; nil for nothing.
func (l *losses) report() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(l.seen), func(a, b lossKey) int {
		return strings.Compare(a.signal+a.reason, b.signal+b.reason)
	})
	var parts, warnings []string
	var last error
	for _, k := range keys {
		x := l.seen[k]
		switch {
		case k.signal == "sdk" || x.unloggedF == 0:
			continue
		case x.unlogged == 0:
			warnings = append(warnings, fmt.Sprintf("%s (%s)", items[k.signal], k.reason))
		default:
			parts = append(parts, fmt.Sprintf("%d %s (%s; %d since the start)", x.unlogged, items[k.signal], k.reason, x.items))
		}
		x.unloggedF, x.unlogged = 0, 0
		if x.last != nil {
			last = x.last
		}
	}
	var texts []string
	if len(parts) > 0 {
		texts = append(texts, "lost "+strings.Join(parts, ", "))
	}
	if len(warnings) > 0 {
		texts = append(texts, "warned about "+strings.Join(warnings, ", "))
	}
	if len(texts) == 0 {
		return nil
	}
	text := strings.Join(texts, "; ")
	if last != nil {
		text += ": " + l.redact(last)
	}
	return errors.New(text)
}

// lossCount is one row of counts.
type lossCount struct {
	lossKey
	failures, items int64
}

// counts returns what has been lost since the start.
func (l *losses) counts() []lossCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]lossCount, 0, len(l.seen))
	for k, x := range l.seen {
		out = append(out, lossCount{k, x.failures, x.items})
	}
	return out
}

// redact is an error's text without secrets, on one line, and not endless: it
// may carry a page that a proxy sent.
func (l *losses) redact(err error) string {
	text := cleanText(err.Error())
	for _, s := range l.secrets {
		text = strings.ReplaceAll(text, s, "[redacted]")
	}
	const most = 500
	if r := []rune(strings.Join(strings.Fields(text), " ")); len(r) > most {
		return string(r[:most]) + "…"
	} else {
		return string(r)
	}
}
