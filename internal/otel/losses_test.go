package otel

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLossesAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logbook{}
		l := newLosses(log.logger(), nil)
		for range 150 { // one a second, for two and a half minutes
			l.add(signalTraces, reasonConnection, 10, errors.New("refused"))
			time.Sleep(time.Second)
		}
		l.add(signalTraces, reasonQueueFull, 1, nil) // another reason has its own clock
		type line struct{ reason, failures, lost, total any }
		var got []line
		for _, m := range log.lines(t, "telemetry lost") {
			got = append(got, line{m["reason"], m["failures"], m["lost"], m["lost_total"]})
		}
		want := []line{
			{reasonConnection, 1., 10., 10.},
			{reasonConnection, 60., 600., 610.},
			{reasonConnection, 60., 600., 1210.},
			{reasonQueueFull, 1., 1., 1.},
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		err := l.report()
		if err == nil || !strings.Contains(err.Error(), "lost 290 spans (connection; 1500 since the start): refused") {
			t.Errorf("report: %v", err)
		}
		if err := l.report(); err != nil {
			t.Errorf("reported twice: %v", err)
		}
	})
}

func TestDrainingGathersInsteadOfLogging(t *testing.T) {
	log := &logbook{}
	l := newLosses(log.logger(), nil)
	l.drain()
	l.add(signalTraces, reasonTimeout, 3, errors.New("slow"))
	l.add(signalMetrics, reasonTimeout, 1, errors.New("slow"))
	if got := log.String(); got != "" {
		t.Errorf("logged %s", got)
	}
	want := "lost 1 metric data points (timeout; 1 since the start), 3 spans (timeout; 3 since the start): slow"
	if err := l.report(); err == nil || err.Error() != want {
		t.Errorf("report: %v, want %s", err, want)
	}
}

// What the collector warned of is not lost.
func TestWarningsAreNoLosses(t *testing.T) {
	l := newLosses((&logbook{}).logger(), nil)
	l.drain()
	l.add(signalTraces, reasonPartial, 0, errors.New("clock skew"))
	if err := l.report(); err == nil || err.Error() != "warned about spans (partial_success): clock skew" {
		t.Errorf("report: %v", err)
	}
	l.add(signalTraces, reasonPartial, 0, errors.New("clock skew"))
	l.add(signalLogs, reasonTimeout, 2, nil)
	if err := l.report(); err == nil || err.Error() != "lost 2 log records (timeout; 2 since the start); warned about spans (partial_success): clock skew" {
		t.Errorf("report: %v", err)
	}
}

func TestRedact(t *testing.T) {
	l := newLosses(nil, []string{"Basic czNjcjN0OnRva2Vu", "k3y!", "1"})
	got := l.redact(errors.New("refused: Basic czNjcjN0OnRva2Vu\n<p>czNjcjN0OnRva2Vu</p> k3y! 1 \xff " + strings.Repeat("x", 1000)))
	if strings.Contains(got, "czNjcjN0OnRva2Vu") || strings.Contains(got, "k3y!") || strings.Contains(got, "\n") {
		t.Errorf("text %q", got)
	}
	if !strings.HasPrefix(got, "refused: [redacted] <p>[redacted]</p> [redacted] 1 \uFFFD xxx") || len([]rune(got)) != 501 {
		t.Errorf("text %q", got)
	}
}

func TestMutedDiagnostics(t *testing.T) {
	log := &logbook{}
	l := newLosses(log.logger(), nil)
	l.mute(true)
	l.internal(errors.New("escape header value hunter22"))
	l.mute(false)
	l.internal(nil)
	if log.String() != "" || len(l.counts()) != 0 {
		t.Errorf("log %q, counts %v", log, l.counts())
	}
	l.internal(errors.New("something new"))
	if got := log.lines(t, "telemetry warning"); len(got) != 1 || got[0]["error"] != "something new" {
		t.Errorf("log %s", log)
	}
}
