package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// sound is evidence of n jobs that are done as they should be, and their pixels.
func sound(n int) ([]string, evidence) {
	e := evidence{objects: map[string]object{}, strays: []string{".probe/x"}}
	var calm []string
	for i := range n {
		key := fmt.Sprintf("b/%08d-0123456789abcdef.png", i)
		calm = append(calm, fmt.Sprintf("pixels-%d", i))
		e.objects[key] = object{sha256: fmt.Sprintf("file-%d", i), pixels: calm[i]}
		r := record{BatchID: "b", Index: i, Status: "succeeded", subject: fmt.Sprintf("results.b.%d", i), stored: time.Unix(int64(10+i), 0)}
		r.Image = &image{Key: key, SHA256: e.objects[key].sha256, PixelsSHA256: calm[i]}
		e.results = append(e.results, r)
	}
	return calm, e
}

func TestJudge(t *testing.T) {
	const key = "b/00000001-0123456789abcdef.png"
	for _, tt := range []struct {
		name                    string
		spoil                   func(*evidence)
		lost, duplicates, wrong int
		says                    string // "" where all is well
	}{
		{"sound", func(*evidence) {}, 0, 0, 0, ""},
		{"no object", func(e *evidence) { delete(e.objects, key) }, 1, 0, 0, "lost: job 1"},
		{"no record", func(e *evidence) { e.results = e.results[1:] }, 1, 0, 0, "lost: job 0"},
		{"neither", func(e *evidence) { delete(e.objects, key); e.results = append(e.results[:1], e.results[2:]...) }, 1, 0, 0, "lost: job 1"},
		{"another object", func(e *evidence) { e.objects["b/00000001-fedcba9876543210.png"] = object{pixels: "pixels-1"} }, 0, 1, 0, "job 1 has the objects"},
		{"object of no job", func(e *evidence) { e.objects["b/00000007-0123456789abcdef.png"] = object{} }, 0, 1, 0, "of no job"},
		{"strange object", func(e *evidence) { e.objects["b/note.txt"] = object{} }, 0, 1, 0, "of no job"},
		{"overwritten", func(e *evidence) { e.twice = []string{"/images/b/1"} }, 0, 1, 0, "/images/b/1 was stored more than once"},
		{"another record", func(e *evidence) { e.results = append(e.results, e.results[1]) }, 0, 1, 0, "job 1 has another record"},
		{"record of no job", func(e *evidence) { e.results[2].Index = 3 }, 1, 1, 0, "lost: job 2"},
		{"record replaced", func(e *evidence) { e.replaced = 2 }, 0, 2, 0, "2 records gave way"},
		{"other pixels", func(e *evidence) { e.objects[key] = object{sha256: "file-1", pixels: "pixels-2"} }, 0, 0, 1, "wrong pixels: " + key},
		{"no picture", func(e *evidence) { e.objects[key] = object{sha256: "file-1"} }, 0, 0, 1, "wrong pixels: " + key},
		{"record of other pixels", func(e *evidence) { e.results[1].Image.PixelsSHA256 = "x" }, 0, 0, 1, "the record of job 1 says x"},
		{"record of another file", func(e *evidence) { e.results[1].Image.SHA256 = "x" }, 0, 0, 1, "its file has the sha256 x"},
		{"record of another key", func(e *evidence) { e.results[1].Image.Key = "b/00000002-0123456789abcdef.png" }, 0, 0, 0, "which is not there"},
		{"failed", func(e *evidence) { e.results[1].Status = "failed" }, 0, 0, 0, "job 1 failed"},
		{"no image", func(e *evidence) { e.results[1].Image = nil }, 0, 0, 0, "job 1 succeeded without an image"},
		{"dead letter", func(e *evidence) { e.dead = []string{"dead.b.1"} }, 0, 0, 0, "dead letter dead.b.1"},
		{"queue", func(e *evidence) { e.left = 1 }, 0, 0, 0, "1 messages are left"},
	} {
		calm, e := sound(3)
		tt.spoil(&e)
		f := judge(calm, e)
		if f.lost != tt.lost || f.duplicates != tt.duplicates || f.wrong != tt.wrong {
			t.Errorf("%s: lost %d, duplicates %d, wrong %d, want %d, %d, %d: %v", tt.name, f.lost, f.duplicates, f.wrong, tt.lost, tt.duplicates, tt.wrong, f.problems)
		}
		if f.good() != (tt.says == "") || !strings.Contains(strings.Join(f.problems, "\n"), tt.says) {
			t.Errorf("%s: want a problem with %q: %v", tt.name, tt.says, f.problems)
		}
	}
}

func TestLongestStall(t *testing.T) {
	_, e := sound(3)
	e.results[2].stored = e.results[1].stored.Add(7 * time.Second)
	if got := longestStall(time.Unix(5, 0), e.results); got != 7*time.Second {
		t.Errorf("got %v, want 7 s between the last two", got)
	}
	if got := longestStall(time.Unix(1, 0), e.results); got != 9*time.Second {
		t.Errorf("got %v, want 9 s before the first", got)
	}
}

func TestLine(t *testing.T) {
	f := figures{jobs: 60, objects: 61, results: 59, lost: 1, duplicates: 1, rows: 110, needed: 100, faults: map[kind]int{sigterm: 2, freeze: 1}, stall: 1500 * time.Millisecond}
	got := f.line(options{seed: 7, store: "minio", cluster: true})
	for _, want := range []string{"jobs 60, objects 61, results 59, lost 1, duplicates 1", "wasted 10 of 110", "stall 1.5s", "faults 3 (freeze 1, sigterm 2)", "seed 7, minio, cluster"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}
