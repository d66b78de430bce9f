package otel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func retryable(after time.Duration) error {
	return &exportError{reason: reasonConnection, retryable: true, after: after, items: -1, err: errors.New("refused")}
}

// attempts runs do with scripted failures and returns when each attempt was made, since the start.
func attempts(t *testing.T, patience time.Duration, failures ...error) (at []time.Duration, err error) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = (&sender{}).do(ctx, func(context.Context) error {
		at = append(at, time.Since(start))
		if len(at) <= len(failures) {
			return failures[len(at)-1]
		}
		return nil
	})
	return at, err
}

func TestSenderRetriesWithGrowingJitteredPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := retryable(0)
		at, err := attempts(t, time.Minute, fail, fail, fail, fail, fail)
		if err != nil || len(at) != 6 {
			t.Fatalf("%d attempts, %v", len(at), err)
		}
		for i, seconds := range []float64{1, 2, 4, 5, 5} {
			base := time.Duration(seconds * float64(time.Second))
			if pause := at[i+1] - at[i]; pause < base/2 || pause > base*3/2 {
				t.Errorf("pause %d: %v, want %v ± half", i, pause, base)
			}
		}
	})
}

func TestSenderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		fail := retryable(0)
		at, err := attempts(t, 3*time.Second, fail, fail, fail, fail, fail, fail, fail)
		if err == nil || time.Since(start) != 3*time.Second || len(at) < 2 {
			t.Errorf("%d attempts in %v, %v: want to stop after 3s", len(at), time.Since(start), err)
		}
		at, err = attempts(t, time.Minute, &exportError{reason: reasonAuth, items: -1, err: errors.New("401")})
		if err == nil || len(at) != 1 {
			t.Errorf("%d attempts at what cannot succeed, %v", len(at), err)
		}
		at, err = attempts(t, time.Minute, errors.New("string field contains invalid UTF-8"))
		if classify(err).reason != reasonOther || len(at) != 1 {
			t.Errorf("%d attempts, %v", len(at), err)
		}
	})
}

// The second half of a batch whose first half took all the time was not held up by the collector's wish.
func TestSenderWithoutTime(t *testing.T) {
	ended, end := context.WithTimeout(t.Context(), 0)
	defer end()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for ctx, want := range map[context.Context]string{ended: reasonTimeout, cancelled: reasonShutdown} {
		err := (&sender{}).do(ctx, func(context.Context) error { t.Error("sent"); return nil })
		if got := classify(err).reason; got != want {
			t.Errorf("%s, want %s: %v", got, want, err)
		}
	}
}

func TestSenderHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, err := attempts(t, time.Minute, retryable(7*time.Second))
		if err != nil || len(at) != 2 || at[1] != 7*time.Second {
			t.Errorf("attempts at %v, %v", at, err)
		}
	})
}

// A pause that outlasts one batch holds the next ones too.
func TestSenderHonoursRetryAfterAcrossBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		start := time.Now()
		var sent []time.Duration
		for range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			err := s.do(ctx, func(context.Context) error {
				sent = append(sent, time.Since(start))
				if len(sent) == 1 {
					return retryable(80 * time.Second)
				}
				return nil
			})
			cancel()
			if lost := len(sent) == 1; lost != (err != nil) {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
		if len(sent) != 3 || sent[1] != 80*time.Second {
			t.Errorf("attempts at %v, want the second at 80s", sent)
		}
	})
}

func TestSenderDrains(t *testing.T) {
	tests := []struct {
		name  string
		when  time.Duration                                        // of the shutdown, which then has 4s
		send  func(ctx context.Context, since time.Duration) error // since the start
		ended time.Duration
		ok    bool
	}{
		{"in flight is cut off and made anew", time.Second, func(ctx context.Context, since time.Duration) error {
			if since < time.Second {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, time.Second, true},
		{"a pause is cut short", 200 * time.Millisecond, func(_ context.Context, since time.Duration) error {
			if since < 200*time.Millisecond {
				return retryable(0)
			}
			return nil
		}, 200 * time.Millisecond, true},
		{"a hanging attempt costs half of what is left", time.Second, func(ctx context.Context, since time.Duration) error {
			if since < 2*time.Second {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, 3 * time.Second, true}, // and a pause, checked below
		{"no answer ever", time.Second, func(ctx context.Context, _ time.Duration) error {
			<-ctx.Done()
			return ctx.Err()
		}, 5 * time.Second, false},
		{"refused ever", time.Second, func(context.Context, time.Duration) error { return retryable(0) }, 5 * time.Second, false},
		{"throttled beyond the end", time.Second, func(_ context.Context, since time.Duration) error {
			if since < time.Second {
				return retryable(500 * time.Millisecond)
			}
			return retryable(90 * time.Second)
		}, time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sender{}
				start := time.Now()
				drain, cancel := context.WithTimeout(t.Context(), tt.when+4*time.Second)
				defer cancel()
				time.AfterFunc(tt.when, func() { s.beginShutdown(drain) })
				ctx, cancelCtx := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancelCtx()
				err := s.do(ctx, func(ctx context.Context) error { return tt.send(ctx, time.Since(start)) })
				took := time.Since(start)
				if (err == nil) != tt.ok || took < tt.ended || took > tt.ended+drainMost {
					t.Errorf("ended after %v with %v, want %v, ok %t", took, err, tt.ended, tt.ok)
				}
			})
		})
	}
}

// A shutdown may begin after the sender has looked and before it sleeps.
func TestSenderHearsOfAShutdownBeforeItSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		drain, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.beginShutdown(drain)
		for _, tt := range []struct {
			ctx  context.Context
			took time.Duration
		}{{t.Context(), 0}, {drain, time.Second}} {
			start := time.Now()
			if ok := s.sleep(tt.ctx, time.Second); !ok || time.Since(start) != tt.took {
				t.Errorf("slept for %v, want %v; ok %t", time.Since(start), tt.took, ok)
			}
		}
	})
}

// What comes after the shutdown's end costs no time at all.
func TestSenderDropsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		drain, cancel := context.WithCancel(t.Context())
		cancel()
		s.beginShutdown(drain)
		s.beginShutdown(t.Context()) // the first one counts
		start := time.Now()
		err := s.do(t.Context(), func(context.Context) error { t.Error("sent"); return nil })
		if classify(err).reason != reasonShutdown || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "1.5": 0, "soon": 0, "99999999": 24 * time.Hour, "99999999999999999999": 0,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second, "Mon, 23 Nov 2026 11:00:00 GMT": 0, "Monday, 23-Nov-26 12:01:00 GMT": time.Minute,
		"Tue, 23 Nov 2027 12:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}
