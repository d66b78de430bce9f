package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestErrorType(t *testing.T) {
	invalid := &InvalidError{"width", "is odd"}
	tests := []struct {
		err  error
		want string
	}{
		{nil, ""},
		{invalid, TypeInvalidJob},
		{fmt.Errorf("reading: %w", invalid), TypeInvalidJob},
		{errors.Join(errors.New("x"), ErrNewerVersion), TypeVersion},
		{ErrQueueFull, TypeBroker},
		{&brokerError{"recording", context.DeadlineExceeded}, TypeBroker},
		{&typedError{"unheard_of", "x"}, TypeModelError},
		{errors.New("boom"), TypeModelError},
		{context.Canceled, TypeModelError},
	}
	for _, tt := range tests {
		if got := ErrorType(tt.err); got != tt.want {
			t.Errorf("ErrorType(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestDecide is the table "Errors (error.type)" of the design, and rule 6 for a lease that may be lost.
func TestDecide(t *testing.T) {
	const most = 5
	tests := []struct {
		types             []string
		class             Class
		first, last, lost Action
	}{
		{[]string{TypeInvalidJob, TypeObjectConflict, TypeBadImage}, Permanent, DeadLetter, DeadLetter, Drop},
		{[]string{TypeModelError, TypeOutOfMemory, TypeTimeout, TypePanic}, Retried, Retry, DeadLetter, Drop},
		{[]string{TypeStorage, TypeStorageConfig, TypeBroker}, Held, Hold, Hold, Hold},
		{[]string{TypeInterrupted, TypeVersion}, NoAttempt, HandBack, HandBack, Drop},
		{[]string{"unheard_of"}, 0, Retry, DeadLetter, Drop},
	}
	for _, tt := range tests {
		for _, typ := range tt.types {
			if class, known := ClassOf(typ); class != tt.class || known != (tt.class != 0) {
				t.Errorf("ClassOf(%q) = %v, %v; want %v", typ, class, known, tt.class)
			}
			for _, c := range []struct {
				attempt int
				lost    bool
				want    Action
			}{
				{1, false, tt.first}, {most - 1, false, tt.first}, {most, false, tt.last}, {most + 1, false, tt.last},
				{1, true, tt.lost}, {most, true, tt.lost},
			} {
				if got := Decide(typ, c.attempt, most, c.lost); got != c.want {
					t.Errorf("Decide(%q, %d, %d, %v) = %v, want %v", typ, c.attempt, most, c.lost, got, c.want)
				}
			}
		}
	}
}

func TestDelays(t *testing.T) {
	if d := HandBackDelay(TypeVersion); d != 30*time.Second {
		t.Errorf("version: %v", d)
	}
	if d := HandBackDelay(TypeInterrupted); d != 0 {
		t.Errorf("interrupted: %v", d)
	}
	for _, tt := range []struct {
		attempt int
		most    time.Duration
	}{{1, time.Second}, {2, 2 * time.Second}, {5, 16 * time.Second}, {8, 2 * time.Minute}, {1000, 2 * time.Minute}} {
		differ := false
		first := RetryDelay(tt.attempt)
		for range 100 {
			d := RetryDelay(tt.attempt)
			differ = differ || d != first
			if d > tt.most || d <= tt.most/2 {
				t.Fatalf("RetryDelay(%d) = %v, want more than %v and at most %v", tt.attempt, d, tt.most/2, tt.most)
			}
		}
		if !differ {
			t.Errorf("RetryDelay(%d) has no jitter", tt.attempt)
		}
	}
}
