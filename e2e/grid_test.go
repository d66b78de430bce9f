package e2e_test

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// gridPrinted is the last line of `enqueue grid --json`.
type gridPrinted struct {
	Type   string `json:"type"`
	Sheets []struct {
		Z    string `json:"z"`
		File string `json:"file"`
		Key  string `json:"key"`
	} `json:"sheets"`
	Page struct {
		File string `json:"file"`
		Key  string `json:"key"`
	} `json:"page"`
}

// TestAGridIsGoneOnWithAfterAKill: enqueue grid is killed while pictures are drawn, and the same command finds the batch, has
// nothing drawn twice, and leaves sheets and a page whose pictures are the batch's, in the folder and in the bucket. A grid with
// jobs that fail shows that they do.
func TestAGridIsGoneOnWithAfterAKill(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	const n = 12
	args := []string{"grid", "a fox", "--x", "seed=1..3", "--y", "guidance_scale=2,7", "--z", "scheduler=euler,ddim", "--steps", "6", "--batch", "g", "--out", "pictures", "--json"}
	p := w.launchEnqueue(nil, args...)
	eventually(t, startTime, func() string {
		if len(w.results("g")) == 0 {
			return "no picture of the grid was drawn"
		}
		return ""
	})
	p.kill()
	dir := filepath.Join(w.dir, "pictures")
	again := w.launchEnqueue(nil, args...)
	if code := again.exit(startTime); code != 0 {
		t.Fatalf("the grid ended with exit code %d:\n%s", code, tail(again.errs(), 20))
	}
	printed := lines(again.out())
	var last gridPrinted
	if err := json.Unmarshal([]byte(printed[len(printed)-1]), &last); err != nil || last.Type != "grid" || len(last.Sheets) != 2 {
		t.Fatalf("the last line is %s: %v", printed[len(printed)-1], err)
	}
	keys := w.keys("g")
	results := w.awaitResults("g", n, time.Second)
	want := []string{last.Page.Key, last.Sheets[0].Key, last.Sheets[1].Key}
	for _, r := range results {
		w.checkPicture(r)
		want = append(want, r.Image.Key)
	}
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("the batch has the objects\n%s\nwant\n%s", strings.Join(keys, "\n"), strings.Join(want, "\n"))
	}
	for i, s := range last.Sheets {
		sheet := w.object(s.Key)
		img, err := png.Decode(bytes.NewReader(sheet.body))
		if err != nil || img.Bounds().Dx() < 3*200 || s.Z != []string{"euler", "ddim"}[i] || !bytes.Equal(sheet.body, []byte(read(t, filepath.Join(w.dir, s.File)))) {
			t.Errorf("sheet %d, of %s, is %d bytes in the bucket: %v", i, s.Z, len(sheet.body), err)
		}
	}
	page := string(w.object(last.Page.Key).body)
	shown := pageSources(page)
	for i := range n {
		if key := strings.TrimPrefix(results[i].Image.Key, w.keyPrefix()+"g/"); i >= len(shown) || shown[i] != key {
			t.Fatalf("the page shows %q, want %s in place %d", shown, key, i)
		}
	}
	for i, src := range pageSources(read(t, filepath.Join(dir, "grid.html"))) {
		file, err := os.ReadFile(filepath.Join(dir, src))
		if err != nil || !bytes.Equal(file, w.object(results[i].Image.Key).body) {
			t.Errorf("picture %d of the page in the folder, %s: %v", i, src, err)
		}
	}
	w.settled()
	if state := w.state("RESULTS"); state.LastSeq != n {
		t.Errorf("%d results were written for %d jobs", state.LastSeq, n)
	}

	bad := w.says(2, "grid", "a fox", "--x", "size=128x128,100x100", "--steps", "2", "--batch", "bad", "--out", "bad")
	mentions(t, "what grid prints", bad, "bad/1 failed: invalid_job", "1 succeeded, 1 failed of 2", "grid.html")
	if page := read(t, filepath.Join(w.dir, "bad", "grid.html")); len(pageSources(page)) != 1 || !strings.Contains(page, "invalid_job: width is 100") {
		t.Errorf("the page of a grid with a job that failed shows %q", pageSources(page))
	}
	for _, name := range []string{"grid.html", "grid-01.png"} {
		if keys := w.keys("bad"); !slices.Contains(keys, w.keyPrefix()+"bad/"+name) {
			t.Errorf("%s is not in the bucket: %q", name, keys)
		}
	}
}

// pageSources are the pictures of a page.
func pageSources(page string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`<img src="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	return all
}
