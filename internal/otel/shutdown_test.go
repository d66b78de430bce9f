package otel

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// timedShutdown shuts down with a budget and returns how long it took.
func timedShutdown(t *testing.T, tel *Telemetry, budget time.Duration) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	start := time.Now()
	err := tel.Shutdown(ctx)
	return time.Since(start), err
}

// Whatever a collector does, Shutdown ends in time and every span is accounted for.
func TestShutdownIsBounded(t *testing.T) {
	slow := func(d time.Duration) roundTrip {
		return func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(d):
				return ok(), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	status := func(code int, retryAfter string) roundTrip {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody}, nil
		}
	}
	tests := []struct {
		name      string
		collector roundTrip
		most      time.Duration
		lost      bool
	}{
		{"healthy", slow(time.Millisecond), 100 * time.Millisecond, false},
		{"slow", slow(300 * time.Millisecond), 2 * time.Second, false},
		{"black hole", hang, 4 * time.Second, true},
		{"too slow", slow(time.Minute), 4 * time.Second, true},
		{"refused", func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, 100 * time.Millisecond, true},
		{"closed", func(*http.Request) (*http.Response, error) {
			return nil, &exportError{reason: reasonConnection, retryable: true, err: errors.New("EOF")}
		}, 4 * time.Second, true},
		{"throttled for long", status(429, "90"), 100 * time.Millisecond, true},
		{"unavailable", status(503, ""), 4 * time.Second, true},
		{"unauthorized", status(401, ""), 100 * time.Millisecond, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 1300 // three batches
				tel, log := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, func(o *Options) { o.Transport = tt.collector })
				spans(t, tel, n)
				took, err := timedShutdown(t, tel, 4*time.Second)
				if took > tt.most || (err != nil) != tt.lost {
					t.Errorf("took %v, want at most %v; %v", took, tt.most, err)
				}
				var lost int64
				for key, items := range lossesOf(tel) {
					if strings.HasPrefix(key, signalTraces) {
						lost += items
					}
				}
				if tt.lost && lost != n || !tt.lost && lost != 0 {
					t.Errorf("%d of %d spans counted as lost: %v", lost, n, lossesOf(tel))
				}
				// What a shutdown loses is said once, in the error.
				if got := log.lines(t, "telemetry lost"); tt.lost && len(got) > 1 || !tt.lost && len(got) != 0 {
					t.Errorf("log %s", log)
				}
				if again := tel.Shutdown(t.Context()); !errors.Is(again, err) {
					t.Errorf("second Shutdown: %v, first: %v", again, err)
				}
			})
		})
	}
}

// One connection hangs with a batch in it; those behind it, and itself, arrive when others work.
func TestSpansBehindAHangingExportAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		tel, _ := setup(t, tracesOnly("http://collector"), func(o *Options) {
			o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if requests.Add(1) == 1 {
					return hang(r)
				}
				return ok(), nil
			})
		})
		spans(t, tel, 512) // a batch, which leaves at once and hangs
		synctest.Wait()
		spans(t, tel, 700)
		took, err := timedShutdown(t, tel, 4*time.Second)
		if err != nil || took > 10*time.Millisecond || requests.Load() != 4 {
			t.Errorf("took %v, %v, %d requests; want the first again and two more", took, err, requests.Load())
		}
	})
}

// The same on a real network, where the collector comes back to life meanwhile.
func TestShutdownWithACollectorThatComesBack(t *testing.T) {
	s := sink(t)
	s.SetMode(otlpd.Hang)
	vars := tracesOnly(s.Endpoint())
	vars["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "10"
	tel, _ := setup(t, vars, nil)
	spans(t, tel, 25)
	eventually(t, "a request", func() bool { return len(s.Requests()) > 0 })
	s.SetMode(otlpd.Accept)
	if _, err := timedShutdown(t, tel, 10*time.Second); err != nil {
		t.Error(err)
	}
	if got := s.Spans(); len(got) != 25 {
		t.Errorf("%d spans arrived", len(got))
	}
}

// A real collector that hangs for ever.
func TestShutdownWithACollectorThatHangs(t *testing.T) {
	s := sink(t)
	s.SetMode(otlpd.Hang)
	tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint()}, nil)
	spans(t, tel, 25)
	took, err := timedShutdown(t, tel, 300*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "lost") || lossesOf(tel)["traces timeout"]+lossesOf(tel)["traces shutdown"] != 25 {
		t.Errorf("%v, losses %v", err, lossesOf(tel))
	}
	if took > 5*time.Second { // far from the budget, and far from the 10s of an attempt
		t.Errorf("took %v", took)
	}
}

// The signals leave side by side: one hanging does not eat the others' time.
func TestSignalsShutDownInParallel(t *testing.T) {
	noun := map[string]string{"/v1/traces": "10 spans", "/v1/metrics": "metric data points", "/v1/logs": "10 log records"}
	for hanging := range noun {
		t.Run(hanging[4:], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, func(o *Options) {
					o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
						if r.URL.Path == hanging {
							return hang(r)
						}
						return ok(), nil
					})
				})
				spans(t, tel, 10)
				records(t, tel, 10)
				took, err := timedShutdown(t, tel, 2*time.Second)
				if took > 2*time.Second || err == nil {
					t.Fatalf("took %v, %v", took, err)
				}
				for path, lost := range noun {
					if strings.Contains(err.Error(), lost) != (path == hanging) {
						t.Errorf("%v", err)
					}
				}
			})
		})
	}
}

// A reader whose callback blocks ignores its context; Shutdown does not.
func TestShutdownLeavesABlockedCallbackBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, func(o *Options) {
			o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return ok(), nil })
		})
		if _, err := tel.Meter().Int64ObservableGauge("blocked", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
			time.Sleep(time.Minute)
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		spans(t, tel, 10)
		took, err := timedShutdown(t, tel, time.Second)
		if took != time.Second || err == nil {
			t.Errorf("took %v, %v", took, err)
		}
		time.Sleep(2 * time.Minute) // the bubble wants its goroutines back
	})
}

func TestShutdownWithoutADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, _ := setup(t, tracesOnly("http://collector"), func(o *Options) { o.Transport = roundTrip(hang) })
		spans(t, tel, 1)
		start := time.Now()
		if err := tel.Shutdown(t.Context()); err == nil || time.Since(start) > flushTime {
			t.Errorf("took %v, %v", time.Since(start), err)
		}
	})
}

func TestShutdownWithADeadContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, _ := setup(t, tracesOnly("http://collector"), func(o *Options) { o.Transport = roundTrip(hang) })
		spans(t, tel, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if err := tel.Shutdown(ctx); err == nil || time.Since(start) != 0 {
			t.Errorf("took %v, %v", time.Since(start), err)
		}
	})
}
