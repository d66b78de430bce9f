package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figures are what a run has shown.
type figures struct {
	jobs, objects, results  int
	lost, duplicates, wrong int
	strays                  int // probes and checkpoints that were left behind; they harm nobody
	stall                   time.Duration
	rows, needed            int // UNet rows that were computed, and those that an undisturbed run takes
	faults                  map[kind]int
	lives                   int // worker processes
	wall                    time.Duration
	problems                []string // each in a line
}

// good reports whether nothing was lost, doubled or wrong.
func (f figures) good() bool {
	return f.lost == 0 && f.duplicates == 0 && f.wrong == 0 && len(f.problems) == 0
}

// line is the one line of figures.
func (f figures) line(o options) string {
	var kinds []string
	faults := 0
	for _, k := range slices.Sorted(maps.Keys(f.faults)) {
		faults += f.faults[k]
		kinds = append(kinds, fmt.Sprintf("%s %d", k, f.faults[k]))
	}
	where := "one broker"
	if o.cluster {
		where = "cluster of 3"
	}
	return fmt.Sprintf("chaos: jobs %d, objects %d, results %d, lost %d, duplicates %d, wrong pixels %d, UNet steps wasted %d of %d, longest stall %.1fs, faults %d (%s), worker processes %d, strays %d, wall %.0fs, seed %d, %s, %s",
		f.jobs, f.objects, f.results, f.lost, f.duplicates, f.wrong, max(0, f.rows-f.needed), f.rows, f.stall.Seconds(),
		faults, strings.Join(kinds, ", "), f.lives, f.strays, f.wall.Seconds(), o.seed, o.store, where)
}

// judge compares what is found of a batch with the pixels of an undisturbed run, by index.
func judge(calm []string, e evidence) figures {
	f := figures{jobs: len(calm), objects: len(e.objects), results: len(e.results), strays: len(e.strays)}
	bad := func(format string, a ...any) { f.problems = append(f.problems, fmt.Sprintf(format, a...)) }

	keys := make([][]string, len(calm))
	for _, key := range slices.Sorted(maps.Keys(e.objects)) {
		index, err := indexOf(key)
		if err != nil || index >= len(calm) {
			f.duplicates++
			bad("duplicate: %s is of no job", key)
			continue
		}
		if keys[index] = append(keys[index], key); len(keys[index]) > 1 {
			f.duplicates++
			bad("duplicate: job %d has the objects %s", index, strings.Join(keys[index], " and "))
		}
		if got := e.objects[key].pixels; got != calm[index] {
			f.wrong++
			bad("wrong pixels: %s has %q, undisturbed it has %s", key, got, calm[index])
		}
	}
	for _, path := range e.twice {
		f.duplicates++
		bad("duplicate: %s was stored more than once", path)
	}
	if f.duplicates += e.replaced; e.replaced > 0 {
		bad("duplicate: %d records gave way to another", e.replaced)
	}

	recorded := make([]int, len(calm))
	for _, r := range e.results {
		if r.Index < 0 || r.Index >= len(calm) {
			f.duplicates++
			bad("duplicate: the record %s is of no job", r.subject)
			continue
		}
		if recorded[r.Index]++; recorded[r.Index] > 1 {
			f.duplicates++
			bad("duplicate: job %d has another record, %s", r.Index, r.subject)
		}
		switch {
		case r.Status != "succeeded":
			bad("job %d %s", r.Index, r.Status)
		case r.Image == nil:
			bad("job %d succeeded without an image", r.Index)
		case !slices.Contains(keys[r.Index], r.Image.Key):
			bad("the record of job %d says that its image is %s, which is not there", r.Index, r.Image.Key)
		case r.Image.PixelsSHA256 != calm[r.Index]:
			f.wrong++
			bad("wrong pixels: the record of job %d says %s, undisturbed it has %s", r.Index, r.Image.PixelsSHA256, calm[r.Index])
		case r.Image.SHA256 != e.objects[r.Image.Key].sha256:
			f.wrong++
			bad("wrong: the record of job %d says its file has the sha256 %s, it has %s", r.Index, r.Image.SHA256, e.objects[r.Image.Key].sha256)
		}
	}
	for i := range calm {
		if len(keys[i]) == 0 || recorded[i] == 0 {
			f.lost++
			bad("lost: job %d has %d objects and %d records", i, len(keys[i]), recorded[i])
		}
	}
	for _, subject := range e.dead {
		bad("there is a dead letter %s", subject)
	}
	if e.left > 0 {
		bad("%d messages are left in the queue", e.left)
	}
	return f
}

// indexOf reads the index from an image's key, <batch>/<index, eight digits>-<spec16>.<ext>.
func indexOf(key string) (int, error) {
	digits, _, _ := strings.Cut(path.Base(key), "-")
	return strconv.Atoi(digits)
}

// longestStall is the longest time in which nothing was recorded.
func longestStall(begin time.Time, results []record) time.Duration {
	longest, last := time.Duration(0), begin
	for _, r := range results {
		longest, last = max(longest, r.stored.Sub(last)), r.stored
	}
	return longest
}
