package upload

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/klauspost/compress/flate"
)

// halves is one picture to the left of x and another to the right.
func halves(left, right Picture, x int) Picture {
	p := Picture{Width: left.Width, Height: left.Height, Pix: bytes.Clone(left.Pix)}
	for y := range p.Height {
		from, to := 3*(y*p.Width+x), 3*(y+1)*p.Width
		copy(p.Pix[from:to], right.Pix[from:to])
	}
	return p
}

// pictures are of all the kinds that compress in different ways.
func pictures() []Picture {
	all := []Picture{photo(128, 128), flat(128, 128), noise(128, 128, 1), photo(320, 192), flat(192, 320), photo(1, 1), flat(1, 77), photo(77, 1)}
	for x := 16; x < 128; x += 16 {
		all = append(all, halves(photo(128, 128), flat(128, 128), x), halves(flat(128, 128), noise(128, 128, 2), x))
	}
	return all
}

// A file depends on its picture alone, not on what the encoder wrote before it or writes beside it.
func TestEncodersForget(t *testing.T) {
	all := pictures()
	want := make([][]byte, len(all))
	for i, p := range all {
		var err error
		if want[i], _, err = Encode(p, PNG, 0, catMeta()); err != nil {
			t.Fatal(err)
		}
	}
	var e Encoder
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for range 5 {
				for _, i := range r.Perm(len(all)) {
					got, _, err := e.Encode(all[i], PNG, 0, catMeta())
					if err != nil || !bytes.Equal(got, want[i]) {
						t.Errorf("picture %d: %d bytes, %v, want the %d of an encoder of its own", i, len(got), err, len(want[i]))
					}
				}
			}
		})
	}
	wg.Wait()
}

// Where matches are not tried, they would not have made the file smaller by more than 2 %, or a few bytes.
func TestTheSmallerWayIsTaken(t *testing.T) {
	d, err := newDeflater()
	if err != nil {
		t.Fatal(err)
	}
	skipped := 0
	for i, p := range pictures() {
		stream, err := d.zlib(p)
		if err != nil {
			t.Fatal(err)
		}
		filtered := filter(p, nil)
		least := len(filtered) * 2
		sizes := map[int]int{}
		for _, level := range []int{flate.HuffmanOnly, matchLevel} {
			var buf bytes.Buffer
			w, err := flate.NewWriter(nil, level)
			if err != nil {
				t.Fatal(err)
			}
			if err := deflate(w, &buf, filtered); err != nil {
				t.Fatal(err)
			}
			sizes[level] = buf.Len() + 4 // and the checksum
			least = min(least, sizes[level])
		}
		if float64(len(stream)) > 1.02*float64(least)+64 {
			t.Errorf("picture %d (%d×%d): %d bytes, %v by the ways there are", i, p.Width, p.Height, len(stream), sizes)
		}
		if longZeros(filtered) == 0 {
			skipped++
		}
	}
	if skipped == 0 {
		t.Error("matches were tried with every picture: it is no test")
	}
}

func TestLongZeros(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var data []byte
		for range r.IntN(12) {
			data = append(data, make([]byte, r.IntN(3*longRun))...)
			for range r.IntN(3) {
				data = append(data, byte(1+r.IntN(255)))
			}
		}
		want, run := 0, 0
		for i := 0; i <= len(data); i++ {
			if i < len(data) && data[i] == 0 {
				run++
				continue
			}
			if run >= longRun {
				want += run
			}
			run = 0
		}
		if got := longZeros(data); got != want {
			t.Fatalf("longZeros(%v) = %d, want %d", data, got, want)
		}
	}
}

func TestGiantPicturesAreNotKept(t *testing.T) {
	d, err := newDeflater()
	if err != nil {
		t.Fatal(err)
	}
	for side, keep := range map[int]bool{64: true, 3400: false} {
		if _, err := d.zlib(flat(side, side)); err != nil {
			t.Fatal(err)
		}
		if d.keep() != keep {
			t.Errorf("a picture of %d pixels a side: keep is %v", side, d.keep())
		}
		d.filtered = nil
	}
}
