package tune

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/infer"
)

// seconds that a picture of fox takes on one lane, in calls of so many rows.
func seconds(rows int) float64 {
	return (encodeTime + decodeTime).Seconds() + 4*2/float64(rows)*(callTime+time.Duration(rows)*rowTime).Seconds()
}

// TestRun: on a clock that only the model's calls move, speed, time a call and rows are those of the model, and the engine is as fast as the bare loop.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, newFakeModel(t))
		type tried struct{ round, rows, lanes int }
		var order []tried
		cfg.OnTrial = func(round int, s Setting, _ Trial) { order = append(order, tried{round, s.Rows, s.Lanes}) }
		cfg.Rounds = 2
		results, err := Run(t.Context(), []Setting{{8, 1, 2}, {4, 2, 1}, {1, 1, 2}, {2, 1, 2}}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := []tried{{1, 1, 1}, {1, 2, 1}, {1, 8, 1}, {1, 4, 2}, {2, 4, 2}, {2, 8, 1}, {2, 2, 1}, {2, 1, 1}}
		if diff := cmp.Diff(want, order, cmp.AllowUnexported(tried{})); diff != "" {
			t.Error(diff)
		}
		for _, r := range results {
			near := func(name string, got, want, within float64) {
				t.Helper()
				if math.Abs(got/want-1) > within {
					t.Errorf("%+v: %s is %v, want %v", r.Setting, name, got, want)
				}
			}
			if r.Err != nil {
				t.Errorf("%+v: %v", r.Setting, r.Err)
				continue
			}
			expected := float64(r.Lanes) / seconds(r.Rows)
			// Pictures end and begin in whatever order the scheduler likes: a call may find a picture less than it could take.
			const late = 0.15
			near("images/s", r.Median.ImagesPerSecond, expected, late)
			near("images/s of the bare loop", r.Median.Bare, expected, 1e-6)
			near("efficiency", r.Efficiency, 1, late)
			near("time a call", r.Median.Call.Seconds(), (callTime + time.Duration(r.Rows)*rowTime).Seconds(), late)
			near("rows a call", r.Median.RowsMean, float64(r.Rows), late)
			if len(r.Trials) != 2 {
				t.Errorf("%+v: %d rounds, want 2", r.Setting, len(r.Trials))
			}
		}
		if best := Best(results); best == nil || best.Setting != (Setting{4, 2, 1}) {
			t.Errorf("the best is %+v, want two lanes of four rows", best)
		}
	})
}

// TestDuration: a trial takes the time that it is given, and draws as many pictures as asked for.
func TestDuration(t *testing.T) {
	for _, c := range []struct {
		name        string
		duration    time.Duration
		images      int
		least, most time.Duration // of the engine and the bare loop, with the turn before and the one begun
	}{
		{"time", 10 * time.Second, 0, 20 * time.Second, 22 * time.Second},
		{"pictures", time.Millisecond, 30, time.Duration(30 * seconds(2) * 1e9), time.Duration(40 * seconds(2) * 1e9)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config(t, newFakeModel(t))
				cfg.Rounds, cfg.Duration, cfg.Images = 1, c.duration, c.images
				begin := time.Now()
				if _, err := Run(t.Context(), []Setting{{2, 1, 1}}, cfg); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took < c.least || took > c.most {
					t.Errorf("took %v, want %v to %v", took, c.least, c.most)
				}
			})
		})
	}
}

// TestSettingsThatFail: one that cannot be used says why, and the others are tried all the same.
func TestSettingsThatFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*fakeModel)
		want   string
		failed []Setting
	}{
		{"memory", func(m *fakeModel) { m.mostRows = 4 }, "failed to allocate memory", []Setting{{8, 1, 1}}},
		{"one picture a call", func(m *fakeModel) { m.info.OneSample = true }, "one picture a call, and a picture has 2 rows", []Setting{{4, 1, 1}, {8, 1, 1}}},
		{"no bare calls", func(m *fakeModel) { m.bareFails = true }, "no bare calls", []Setting{{2, 1, 1}, {4, 1, 1}, {8, 1, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newFakeModel(t)
				c.change(m)
				results, err := Run(t.Context(), []Setting{{2, 1, 1}, {4, 1, 1}, {8, 1, 1}}, config(t, m))
				if err != nil {
					t.Fatal(err)
				}
				var failed []Setting
				for _, r := range results {
					if r.Err == nil {
						continue
					}
					failed = append(failed, r.Setting)
					if !strings.Contains(r.Err.Error(), c.want) {
						t.Errorf("%+v: %q lacks %q", r.Setting, r.Err, c.want)
					}
				}
				if diff := cmp.Diff(c.failed, failed); diff != "" {
					t.Error(diff)
				}
				if best := Best(results); (best == nil) != (len(failed) == len(results)) {
					t.Errorf("the best is %+v", best)
				}
			})
		})
	}
}

// TestRunStops: an interrupt ends the trial under way at once, a model that does not load all of it.
func TestRunStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := Run(ctx, []Setting{{2, 1, 1}}, config(t, newFakeModel(t))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's end", err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("stopped after %v", took)
		}
		broken := errors.New("no such model")
		cfg := config(t, newFakeModel(t))
		cfg.Load = func(context.Context, int) (Model, error) { return Model{}, broken }
		if _, err := Run(t.Context(), []Setting{{2, 1, 1}}, cfg); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
}

// TestMemory: the pipelines loaded for other numbers of threads are not counted.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		cfg := config(t, m)
		cfg.Rounds, cfg.Duration = 1, time.Millisecond
		resident := int64(10)
		cfg.Memory = func(context.Context) Memory { return Memory{Resident: resident} }
		cfg.Load = func(context.Context, int) (Model, error) {
			resident += 1000
			return Model{m, fox, func(width, height, rows int) (Bare, error) {
				resident += int64(rows)
				return m.bare(width, height, rows)
			}}, nil
		}
		results, err := Run(t.Context(), []Setting{{1, 1, 2}, {4, 1, 2}, {1, 2, 1}}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, r := range results {
			got = append(got, r.Memory.Resident)
		}
		if diff := cmp.Diff([]int64{1011, 1015, 1017}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBest(t *testing.T) {
	result := func(rows, lanes int, speed float64, err error) Result {
		return Result{Setting: Setting{Rows: rows, Lanes: lanes}, Median: Trial{ImagesPerSecond: speed}, Err: err}
	}
	for _, c := range []struct {
		name    string
		results []Result
		want    int // index, or -1
	}{
		{"none", nil, -1},
		{"all failed", []Result{result(1, 1, 3, errors.New("x"))}, -1},
		{"the fastest", []Result{result(1, 1, 2, nil), result(8, 1, 3, nil)}, 1},
		{"the smaller of equals", []Result{result(8, 1, 3.05, nil), result(4, 1, 3, nil), result(2, 1, 2.9, nil)}, 1},
		{"not one that failed", []Result{result(1, 1, 2, nil), result(8, 1, 3, errors.New("x"))}, 0},
		{"fewer rows in flight", []Result{result(4, 2, 3, nil), result(6, 1, 3, nil)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := -1
			if best := Best(c.results); best != nil {
				got = slices.IndexFunc(c.results, func(r Result) bool { return r.Setting == best.Setting })
			}
			if got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median is %v, want %v", got, c.want)
		}
	}
}

func TestWork(t *testing.T) {
	m := newFakeModel(t)
	embedded := m.info
	embedded.GuidanceEmbedded = true
	for _, c := range []struct {
		name string
		r    infer.Request
		info infer.Info
		want work
	}{
		{"guided", infer.Request{Steps: 5, Guidance: 7.5}, m.info, work{2, 5}},
		{"not guided", infer.Request{Steps: 5, Guidance: 1}, m.info, work{1, 5}},
		{"guidance as an input", infer.Request{Steps: 5, Guidance: 7.5}, embedded, work{1, 5}},
		{"a sampler with two calls a step", infer.Request{Steps: 5, Guidance: 1, Scheduler: "heun"}, m.info, work{1, 9}},
	} {
		if got, err := workOf(c.r, c.info); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	if _, err := workOf(infer.Request{Steps: 5, Scheduler: "magic"}, m.info); err == nil || !strings.Contains(err.Error(), "magic") {
		t.Errorf("an unknown sampler: got %v", err)
	}
}
