package upload

import (
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/s3d"
)

func TestMain(m *testing.M) {
	if os.Getenv(sinkVariable) != "" {
		if err := serveSink(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var ignore []goleak.Option
	for _, name := range s3d.Lingering() {
		ignore = append(ignore, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, ignore...)
}

// photo is a picture with the two things a photograph has, slow gradients and noise.
func photo(width, height int) Picture {
	r := rand.New(rand.NewPCG(1, 2))
	p := Picture{Width: width, Height: height, Pix: make([]byte, 0, 3*width*height)}
	for y := range height {
		for x := range width {
			for c := range 3 {
				v := (x*(c+1)+y*(3-c))*255/(3*(width+height)) + r.IntN(13) - 6
				p.Pix = append(p.Pix, byte(min(max(v, 0), 255)))
			}
		}
	}
	return p
}

// flat is a picture of large areas of one colour.
func flat(width, height int) Picture {
	p := Picture{Width: width, Height: height, Pix: make([]byte, 0, 3*width*height)}
	for y := range height {
		for x := range width {
			p.Pix = append(p.Pix, byte(x/64*40), byte(y/64*40), 128)
		}
	}
	return p
}

// noise is a picture that nothing compresses.
func noise(width, height int, seed uint64) Picture {
	r := rand.New(rand.NewPCG(seed, 0))
	p := Picture{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
	for i := range p.Pix {
		p.Pix[i] = byte(r.Uint32())
	}
	return p
}

// pixels reads any decoded image back as RGB.
func pixels(img image.Image) Picture {
	b := img.Bounds()
	p := Picture{Width: b.Dx(), Height: b.Dy(), Pix: make([]byte, 0, 3*b.Dx()*b.Dy())}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := img.At(x, y).RGBA()
			p.Pix = append(p.Pix, byte(r>>8), byte(g>>8), byte(bl>>8))
		}
	}
	return p
}

// catMeta is the metadata of an ordinary job.
func catMeta() Meta {
	return Meta{
		Prompt: "a cat, oil on canvas", NegativePrompt: "blurry", Steps: 20, Scheduler: "dpmpp_2m_karras", Guidance: 7.5,
		Seed: 18446744073709551615, Model: "sd15", ModelDigest: "sha256:0123456789abcdef",
		Job:     []byte(`{"prompt":"a cat, oil on canvas","seed":"18446744073709551615"}`),
		TraceID: "0af7651916cd43dd8448eb211c80319c",
	}
}
