package main

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPlan(t *testing.T) {
	const jobs, workers, lease = 1000, 3, 2 * time.Second
	kinds := allKinds()
	faults := plan(7, kinds, 3*len(kinds), jobs, workers, lease)
	if diff := cmp.Diff(faults, plan(7, kinds, 3*len(kinds), jobs, workers, lease)); diff != "" {
		t.Errorf("the same seed is another plan:\n%s", diff)
	}
	if cmp.Equal(faults, plan(8, kinds, 3*len(kinds), jobs, workers, lease)) {
		t.Error("another seed is the same plan")
	}
	count := map[kind]int{}
	edges := map[edge]bool{}
	last := 0
	for i, f := range faults {
		count[f.Kind]++
		if f.Number != i || f.After < last || f.After > jobs*9/10 || f.Worker < 0 || f.Worker >= workers {
			t.Errorf("fault %d after one at %d: %+v", i, last, f)
		}
		last = f.After
		if b := lasts(f.Kind, lease); f.For < b[0] || f.For > b[1] {
			t.Errorf("%s lasts %v, want %v", f.Kind, f.For, b)
		}
		switch f.Kind {
		case freeze:
			if !slices.Contains(frozenAt(), f.Edge) || f.For <= lease {
				t.Errorf("freeze %+v", f)
			}
		case storeReset:
			if f.Edge != edgePut && f.Edge != edgeStored {
				t.Errorf("store-reset at %s", f.Edge)
			}
		case brokerKill:
			edges[f.Edge] = true
		}
	}
	if len(edges) != 3 {
		t.Errorf("three brokers die at the edges %v", edges)
	}
	for _, k := range kinds {
		if count[k] != 3 {
			t.Errorf("%s comes %d times, want 3", k, count[k])
		}
	}
}

func TestParseKinds(t *testing.T) {
	if got, err := parseKinds("freeze, kill-put"); err != nil || !slices.Equal(got, []kind{freeze, killPut}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseKinds(""); err != nil || !slices.Equal(got, allKinds()) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseKinds("freeze,rain"); err == nil {
		t.Error("rain is a kind")
	}
}

// TestDrawJobs: every sampler, priority and kind of guidance is among many jobs, and no two draw the same noise.
func TestDrawJobs(t *testing.T) {
	jobs := drawJobs(1, 500)
	if !cmp.Equal(jobs, drawJobs(1, 500), cmp.AllowUnexported(job{})) {
		t.Error("the same seed is other jobs")
	}
	seeds, samplersSeen, priorities, large := map[any]bool{}, map[any]bool{}, map[string]bool{}, false
	for _, j := range jobs {
		if seeds[j.fields["seed"]] {
			t.Errorf("seed %v twice", j.fields["seed"])
		}
		seeds[j.fields["seed"]] = true
		s, _ := j.fields["seed"].(string)
		large = large || len(s) >= 19
		samplersSeen[j.fields["scheduler"]] = true
		priorities[j.priority] = true
		if n := j.fields["num_inference_steps"].(int); n < 4 || n > 50 {
			t.Errorf("%d steps", n)
		}
	}
	if len(samplersSeen) != len(samplers()) || len(priorities) != 3 || !large {
		t.Errorf("%d samplers, %d priorities, large seeds: %v", len(samplersSeen), len(priorities), large)
	}
	subject, id, body, err := jobs[3].message("b", 3)
	if err != nil || subject != "jobs."+jobs[3].priority+".sd15.b" || id != "b/3" || !json.Valid(body) {
		t.Errorf("message %s %s %s %v", subject, id, body, err)
	}
}
