package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// colored is a picture of one colour, which the seed and the guidance choose.
func colored(j queue.Job) []byte {
	const side = 32
	p := upload.Picture{Width: side, Height: side}
	for range side * side {
		p.Pix = append(p.Pix, byte(40*j.SeedOrDefault()), byte(20*queue.Or(j.GuidanceScale, 0)), 128)
	}
	data, _, err := upload.Encode(p, queue.Or(j.Format, upload.PNG), 0, upload.Meta{})
	if err != nil {
		panic(err)
	}
	return data
}

// newGridWorld has a worker that draws in colours.
func newGridWorld(t *testing.T, outcome func(queue.Job) string) *world {
	t.Helper()
	w := newWorld(t, "m").withStore()
	w.draw = colored
	w.work([]string{"m"}, outcome)
	return w
}

// object is what the store has under a key.
func (w *world) object(key string) upload.Object {
	w.t.Helper()
	s, err := upload.Open(w.t.Context(), w.storeConfig(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	o, err := s.Get(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) storeConfig() upload.Config {
	return upload.Config{Bucket: bucket, Endpoint: w.store.Endpoint(), Region: w.store.Region(), AccessKeyID: w.store.AccessKey(), SecretAccessKey: w.store.SecretKey()}
}

// gridOf is the last line that a grid prints with --json.
func gridOf(t *testing.T, r ran) gridLine {
	t.Helper()
	var last gridLine
	all := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if err := json.Unmarshal([]byte(all[len(all)-1]), &last); err != nil || last.Type != "grid" {
		t.Fatalf("the last line is %q: %v", all[len(all)-1], err)
	}
	return last
}

// sources are the pictures of a page.
func sources(page string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`<img src="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(m[1], "&amp;", "&"))
	}
	return all
}

func TestGrid(t *testing.T) {
	w := newGridWorld(t, nil)
	dir := filepath.Join(t.TempDir(), "apple")
	r := w.run("grid", "a red apple", "--x", "seed=1..3", "--y", "guidance_scale=2,5", "--z", "scheduler=euler,ddim", "--batch", "g", "--out", dir, "--cell", "64", "--json")
	r.want(t, exitOK)
	for i, j := range typed(lines(t, r.stdout), "job") {
		if j["index"] != float64(i) || j["seed"] != float64(i%3+1) {
			t.Errorf("job %d is %v", i, j)
		}
	}
	got := gridOf(t, r)
	want := gridLine{
		Type: "grid", BatchID: "g", Bucket: bucket, X: &gridSide{"seed", []string{"1", "2", "3"}}, Y: &gridSide{"guidance_scale", []string{"2", "5"}}, Z: &gridSide{"scheduler", []string{"euler", "ddim"}},
		Sheets: []gridFile{
			{Z: "euler", File: filepath.Join(dir, "grid-01-euler.png"), Key: "g/grid-01-euler.png"},
			{Z: "ddim", File: filepath.Join(dir, "grid-02-ddim.png"), Key: "g/grid-02-ddim.png"},
		},
		Page: gridFile{File: filepath.Join(dir, gridPageName), Key: "g/" + gridPageName},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".name" || p.Last().String() == ".z" }, cmp.Ignore())); diff != "" {
		t.Errorf("the last line (-want +got):\n%s", diff)
	}
	there := files(t, dir)
	names := slices.Sorted(maps.Keys(there))
	wantNames := []string{gridPageName, "grid-01-euler.png", "grid-02-ddim.png", manifestName}
	for i := range 12 {
		wantNames = append(wantNames, fmt.Sprintf("%08d.png", i))
	}
	slices.Sort(wantNames)
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, s := range got.Sheets {
		if o := w.object(s.Key); string(o.Body) != there[filepath.Base(s.File)] || o.ContentType != "image/png" {
			t.Errorf("%s is another in the bucket, %s of %d bytes", s.Key, o.ContentType, len(o.Body))
		}
	}
	// The sheet of ddim has the colours of its six jobs.
	sheet, err := png.Decode(strings.NewReader(there["grid-02-ddim.png"]))
	if err != nil {
		t.Fatal(err)
	}
	colours := map[[2]uint32]bool{}
	for y := range sheet.Bounds().Dy() {
		for x := range sheet.Bounds().Dx() {
			if r, g, b, _ := sheet.At(x, y).RGBA(); b>>8 == 128 {
				colours[[2]uint32{r >> 8, g >> 8}] = true
			}
		}
	}
	for _, c := range [][2]uint32{{40, 40}, {80, 40}, {120, 40}, {40, 100}, {80, 100}, {120, 100}} {
		if !colours[c] {
			t.Errorf("the sheet has no picture of colour %v", c)
		}
	}
	// Each page leads to the pictures beside it.
	for _, src := range sources(there[gridPageName]) {
		if there[src] == "" {
			t.Errorf("the page in the folder shows %q, which is not there", src)
		}
	}
	uploaded := w.object("g/" + gridPageName)
	links := sources(string(uploaded.Body))
	if len(links) != 12 || uploaded.ContentType != "text/html; charset=utf-8" {
		t.Errorf("the page in the bucket, %s, has the pictures %q", uploaded.ContentType, links)
	}
	for _, src := range links {
		if o := w.object("g/" + src); len(o.Body) == 0 {
			t.Errorf("%s is empty", src)
		}
	}
	for _, words := range []string{"a red apple", "in all", "guidance_scale", "scheduler euler", "enqueue grid --model m", "--batch g"} {
		if !strings.Contains(string(uploaded.Body), words) {
			t.Errorf("the page does not say %q", words)
		}
	}
}

// TestGridGoesOnAfterAKill runs the same command again: nothing is enqueued twice, pictures that are there are not fetched
// again, and what was missing is drawn.
func TestGridGoesOnAfterAKill(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.draw = colored
	dir := t.TempDir()
	args := []string{"grid", "a fox", "--x", "seed=1..4", "--batch", "g", "--out", dir, "--no-upload"}
	ctx, cancel := context.WithCancel(t.Context())
	r := w.runWith(ctx, nil, func(written string) {
		if strings.Contains(written, "enqueued 4 jobs") {
			cancel()
		}
	}, args...)
	r.want(t, exitInterrupted, "go on with the grid by: enqueue grid 'a fox' --x seed=1..4 --batch g")
	if got := files(t, dir); got[gridPageName] != "" {
		t.Error("a grid that was interrupted has a page")
	}
	w.work([]string{"m"}, nil)
	w.run(args...).want(t, exitOK, "all 4 jobs of this batch were in the queue already", "g: 4 succeeded of 4", "sheet   "+filepath.Join(dir, "grid-01.png"), "page    "+filepath.Join(dir, gridPageName))
	first := files(t, dir)
	if strings.Contains(first[gridPageName], "in all") {
		t.Error("the page of a grid that was gone on with says how long that took, as if it were all")
	}
	w.draw = func(queue.Job) []byte { t.Error("a picture is drawn again"); return nil }
	w.run(args...).want(t, exitOK, "all 4 jobs")
	if diff := cmp.Diff(first["grid-01.png"], files(t, dir)["grid-01.png"]); diff != "" {
		t.Error("the sheet has changed")
	}
	w.run("grid", "a fox", "--x", "seed=1..5", "--batch", "g", "--out", dir, "--no-upload").want(t, exitInput, batchRowsDiffer)
}

const batchRowsDiffer = "the rows are not those that this batch was begun with"

// TestGridShowsWhatIsMissing: exit codes are those of wait, and cells without a picture say why.
func TestGridShowsWhatIsMissing(t *testing.T) {
	ends := map[uint64]string{2: queue.Failed, 3: queue.Cancelled, 4: queue.Expired}
	w := newGridWorld(t, func(j queue.Job) string {
		if end, ok := ends[j.SeedOrDefault()]; ok {
			return end
		}
		return queue.Succeeded
	})
	dir := t.TempDir()
	w.run("grid", "a fox", "--x", "seed=1..4", "--batch", "g", "--out", dir).want(t, exitInput, "2 of 4 jobs failed", "s3://"+bucket+"/g/"+gridPageName)
	page := files(t, dir)[gridPageName]
	for _, words := range []string{"model_error: it\x1bbroke", "<strong>failed</strong>", "<strong>cancelled</strong>", "<strong>expired</strong>", "its deadline had passed"} {
		if !strings.Contains(strings.ReplaceAll(page, "it\uFFFDbroke", "it\x1bbroke"), words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	if got := sources(page); !slices.Equal(got, []string{"00000000.png"}) {
		t.Errorf("the page shows %q", got)
	}
	ends = map[uint64]string{7: queue.Cancelled}
	w.run("grid", "a fox", "--x", "seed=7..8", "--batch", "h", "--out", t.TempDir(), "--no-upload").want(t, exitCancelled, "1 of 2 jobs were cancelled", "grid-01.png")
	// Nothing was drawn, so nobody knows the bucket.
	ends = map[uint64]string{9: queue.Failed}
	w.run("grid", "a fox", "--x", "seed=9", "--batch", "i", "--out", t.TempDir()).want(t, exitInput, "S3_BUCKET", "grid-01.png")
}

// TestGridLinks: presigned links are read without a key, and embedded pictures need nothing beside the page.
func TestGridLinks(t *testing.T) {
	w := newGridWorld(t, nil)
	args := []string{"grid", "--x", `prompt=a fox,"a hen, brown"`, "--y", "seed=1..2", "--guidance-scale", "3", "--batch", "g", "--json"}
	got := gridOf(t, w.run(append(args, "--links", "presigned", "--link-expires", "10m")...))
	page := string(get(t, got.Page.URL))
	if got.Page.File != "" || got.Sheets[0].File != "" {
		t.Errorf("files are left behind: %+v", got)
	}
	links := sources(page)
	if len(links) != 4 {
		t.Fatalf("pictures: %q", links)
	}
	for _, link := range append(links, got.Sheets[0].URL) {
		if _, err := png.Decode(bytes.NewReader(get(t, link))); err != nil || !strings.Contains(link, "X-Amz-Expires=600") {
			t.Errorf("%s: %v", link, err)
		}
	}
	if !strings.Contains(page, strings.ReplaceAll(got.Sheets[0].URL, "&", "&amp;")) {
		t.Error("the page does not lead to its sheet")
	}
	dir := t.TempDir()
	w.run(append(args, "--links", "embedded", "--out", dir, "--no-upload")...).want(t, exitOK)
	links = sources(files(t, dir)[gridPageName])
	if len(links) != 4 || !strings.HasPrefix(links[3], "data:image/jpeg;base64,") {
		t.Errorf("embedded pictures: %.60q", links)
	}
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return body
}

// TestGridShowsPicturesThatCannotBeShown: what is no picture, and what is not in the bucket, leaves an empty cell.
func TestGridShowsPicturesThatCannotBeShown(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.draw = func(j queue.Job) []byte {
		if j.SeedOrDefault() == 2 {
			return []byte("no picture")
		}
		return colored(j)
	}
	w.work([]string{"m"}, nil)
	dir := t.TempDir()
	args := []string{"grid", "a fox", "--x", "seed=1..3", "--batch", "g", "--out", dir, "--no-upload"}
	w.run(args...).want(t, exitOK, "3 succeeded of 3")
	if page := files(t, dir)[gridPageName]; strings.Count(page, "<strong>not shown</strong>") != 1 || len(sources(page)) != 2 {
		t.Errorf("the page shows %q", sources(page))
	}
	var keys []string
	store, err := upload.Open(t.Context(), w.storeConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for o, err := range store.List(t.Context(), "g/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	if err := store.Delete(t.Context(), keys[2]); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	args[7] = empty
	w.run(args...).want(t, exitFailed, "1 picture could not be downloaded", "grid-01.png")
	if page := files(t, empty)[gridPageName]; strings.Count(page, "<strong>no picture</strong>") != 1 || len(sources(page)) != 1 {
		t.Errorf("the page shows %q", sources(page))
	}
}

func TestGridRefuses(t *testing.T) {
	w := newWorld(t, "m")
	dir := t.TempDir()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"a fox"}, "nothing is varied"},
		{[]string{"--x", "seed=1..2"}, "what shall be drawn?"},
		{[]string{"a fox", "a hen", "--x", "seed=1..2"}, "at most one prompt"},
		{[]string{"a fox", "--x", "prompt=a,b"}, "a prompt is given beside an axis of prompts"},
		{[]string{"a fox", "--x", "seed=1..2", "--y", "seed=3..4"}, "seed is given values twice"},
		{[]string{"a fox", "--x", "seed=1..2", "--seeds", "7"}, "seed is given values twice"},
		{[]string{"a fox", "--x", "seed=1..2", "--steps", "10,20"}, "what a grid varies are its axes"},
		{[]string{"a fox", "--x", "seed=1..2", "--links", "mailed"}, `--links is "mailed"`},
		{[]string{"a fox", "--x", "seed=1..2", "--link-expires", "169h"}, "--link-expires is 169h0m0s"},
		{[]string{"a fox", "--x", "seed=1..2", "--cell", "8"}, "--cell is 8"},
		{[]string{"a fox", "--x", "seed=1..2", "--no-upload"}, "--no-upload without --out"},
		{[]string{"a fox", "--x", "seed=1..2000", "--links", "embedded"}, "too many for one page"},
		{[]string{"a fox", "--x", "seed=1..2", "--priority", "urgent"}, "--priority"},
		{[]string{"a fox", "--x", "seed=1..2", "--webhook", "ftp://x"}, "--webhook: no URL for a webhook"},
		{[]string{"a fox", "--x", "model=m,nobody", "--out", dir, "--no-upload"}, `no worker has registered the model "nobody"`},
	} {
		w.run(append([]string{"grid"}, tt.args...)...).want(t, exitInput, tt.want)
	}
	w.run("grid", "a fox", "--x", "seed=1..2", "--y", "steps=2,4", "--dry-run").want(t, exitOK, "1 row make 4 jobs", "steps  12", "nothing was sent")
	w.jobs("g", 0)
}

// TestSmallPictures keeps what was put last.
func TestSmallPictures(t *testing.T) {
	s, err := newSmallPictures(3, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	if s.box() != image.Pt(64, 64) || s.has(1) {
		t.Errorf("an empty one has the box %v", s.box())
	}
	for _, size := range []image.Point{{64, 32}, {60, 50}} {
		if err := s.put(1, image.NewRGBA(image.Rectangle{Max: size})); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.get(1)
	if err != nil || got.Bounds().Size() != image.Pt(60, 50) || s.box() != image.Pt(60, 50) || !s.has(1) || s.has(0) {
		t.Errorf("the picture is %v, %v, and the box %v", got.Bounds(), err, s.box())
	}
	if _, err := s.get(0); err == nil {
		t.Error("a picture that was never put is there")
	}
}
