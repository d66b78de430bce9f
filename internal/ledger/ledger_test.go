package ledger

import (
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata from what the test got")

const ms = time.Millisecond

// whole is a ledger of a job that shared its calls.
func whole() Times {
	return Times{
		Queue: 2500 * ms, Wait: 100 * ms, TextEncode: 50 * ms, Denoise: 600 * ms, Decode: 120 * ms, ImageEncode: 30 * ms, Upload: 90 * ms,
		Total: 1000 * ms, RowsMean: 8, Rows: 2,
	}
}

func TestOwnTime(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*Times)
		denoise time.Duration
	}{
		"two rows of eight":       {func(*Times) {}, 150 * ms},
		"one row of eight":        {func(t *Times) { t.Rows = 1 }, 75 * ms},
		"rows unknown are one":    {func(t *Times) { t.Rows = 0 }, 75 * ms},
		"alone":                   {func(t *Times) { t.RowsMean = 2 }, 600 * ms},
		"alone, a row a call":     {func(t *Times) { t.RowsMean = 1 }, 600 * ms},
		"nobody knows the others": {func(t *Times) { t.RowsMean = 0 }, 600 * ms},
	} {
		times := whole()
		tt.change(&times)
		l := New(times)
		if got := l.Parts[2]; got.Name != Denoise || got.Time != 600*ms || got.Own != tt.denoise {
			t.Errorf("%s: %+v, want %v of its own", name, got, tt.denoise)
		}
		if want := tt.denoise + (50+120+30+90)*ms; l.Own != want {
			t.Errorf("%s: %v of the picture's own, want %v", name, l.Own, want)
		}
	}
}

func TestRest(t *testing.T) {
	for _, tt := range []struct {
		total, rest time.Duration
		balanced    bool
	}{
		{990 * ms, 0, true}, {0, 0, true}, {1000 * ms, 10 * ms, true}, {1010 * ms, 20 * ms, true}, {1011 * ms, 21 * ms, false},
		{980 * ms, -10 * ms, true}, {900 * ms, -90 * ms, false},
	} {
		times := whole()
		times.Total = tt.total
		if l := New(times); l.Rest != tt.rest || l.Balanced() != tt.balanced || tt.total == 0 && l.Total != 990*ms {
			t.Errorf("a total of %v: rest %v, balanced %v, total %v", tt.total, l.Rest, l.Balanced(), l.Total)
		}
	}
}

// TestSums holds that parts and rest are the total, and no own time is more than its part's, whatever a record says.
func TestSums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := func() time.Duration { return time.Duration(r.Int64N(int64(time.Hour))) }
	for range 2000 {
		l := New(Times{Queue: d(), Wait: d(), TextEncode: d(), Denoise: d(), Decode: d(), ImageEncode: d(), Upload: d(), Total: d(), RowsMean: r.Float64() * 20, Rows: r.IntN(3)})
		sum := l.Rest
		for _, p := range l.Parts {
			sum += p.Time
			if p.Own < 0 || p.Own > p.Time {
				t.Fatalf("%+v has more of its own than there is", p)
			}
		}
		if sum != l.Total {
			t.Fatalf("the parts of %+v sum to %v", l, sum)
		}
	}
}

func TestBatch(t *testing.T) {
	var b Batch
	if b.Wall() != 0 || b.Share(New(whole())) != 0 {
		t.Errorf("an empty batch took %v", b.Wall())
	}
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	b.Add(at, 2*time.Second)
	b.Add(at.Add(8*time.Second), 11*time.Second) // received before the first
	b.Add(at.Add(time.Second), 0)
	if b.Jobs != 3 || b.Wall() != 11*time.Second {
		t.Errorf("%d jobs took %v", b.Jobs, b.Wall())
	}
	l := New(whole())
	if got, want := b.Share(l), float64(440*ms)/float64(11*time.Second); math.Abs(got-want) > 1e-12 {
		t.Errorf("a share of %v, want %v", got, want)
	}
	l.Own = time.Hour
	if b.Share(l) != 1 {
		t.Errorf("a share of %v", b.Share(l))
	}
}

func TestText(t *testing.T) {
	crowd := whole()
	short := Times{Wait: 50 * time.Microsecond, Denoise: 100 * ms, RowsMean: 1}
	missing := Times{Queue: 3 * ms, Denoise: 40 * time.Second, Decode: 2 * ms, Total: 80 * time.Second}
	tooMuch := whole()
	tooMuch.Total = 900 * ms
	var text strings.Builder
	for _, times := range []Times{crowd, short, missing, tooMuch, {}} {
		New(times).Write(&text, 0)
		text.WriteString("\n")
	}
	New(crowd).Write(&text, 200)
	New(crowd).Write(&text, 20)
	path := filepath.Join("testdata", "ledger.txt")
	if *update {
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	for line := range strings.Lines(text.String()) {
		if n := utf8.RuneCountInString(line) - 1; n > 120 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}
