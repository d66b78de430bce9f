package upload

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadMeta reads back what Encode wrote, in every format and detail.
func TestReadMeta(t *testing.T) {
	long := strings.Repeat("long ", 16<<10/5)
	p := photo(24, 16)
	for name, prompt := range map[string]string{
		"ascii": "a cat, oil on canvas", "latin-1": "un café", "beyond": "猫 😀", "lines": "a\ncat\nSteps: 3, Seed: 1", "markup": `<b>&"\`, "long": long, "none": "",
	} {
		m := catMeta()
		m.Prompt = prompt
		m.Job = fmt.Appendf(nil, `{"model":"sd15","prompt":%q,"seed":"18446744073709551615"}`, prompt)
		for _, format := range encodable() {
			for _, detail := range []Detail{Full, Minimal, None} {
				t.Run(fmt.Sprintf("%s in %s with detail %d", name, format, detail), func(t *testing.T) {
					m.Detail = detail
					file, _, err := Encode(p, format, 90, m)
					if err != nil {
						t.Fatal(err)
					}
					got, err := ReadMeta(file)
					if err != nil {
						t.Fatal(err)
					}
					want := FileMeta{Format: format}
					if detail != None {
						want.ModelDigest, want.TraceID = m.ModelDigest, m.TraceID
					}
					if detail == Full {
						want.Parameters, want.Job = parameters(p, m), m.Job
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("ReadMeta (-want +got):\n%s", diff)
					}
					if detail == Full {
						settings := map[string]string{"Steps": "20", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "7.5",
							"Seed": "18446744073709551615", "Size": "24x16", "Model hash": "0123456789", "Model": "sd15"}
						if diff := cmp.Diff(settings, got.Settings()); diff != "" {
							t.Errorf("Settings (-want +got):\n%s", diff)
						}
					}
				})
			}
		}
	}
}

// TestReadMetaOfACrowdedJPEG reads one whose segments have no room for everything: the job is left out first.
func TestReadMetaOfACrowdedJPEG(t *testing.T) {
	m := catMeta()
	m.Prompt = strings.Repeat("é", 8<<10)
	m.NegativePrompt = strings.Repeat("&", 16<<10) + "😀"
	m.Job = []byte(`{"prompt":"` + m.Prompt + `"}`)
	file := mustEncodeJPEG(t, photo(8, 8), 90, m)
	got, err := ReadMeta(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.Job != nil && !bytes.Equal(got.Job, m.Job) || got.TraceID != m.TraceID || got.ModelDigest != m.ModelDigest || got.Parameters != parameters(photo(8, 8), m) {
		t.Errorf("job of %d bytes, parameters of %d, trace %q, digest %q", len(got.Job), len(got.Parameters), got.TraceID, got.ModelDigest)
	}
}

func TestReadMetaOfForeignEXIF(t *testing.T) {
	// Little-endian, as other programs write it.
	data := []byte("II*\x00\x08\x00\x00\x00" + "\x01\x00" + "\x69\x87\x04\x00\x01\x00\x00\x00\x1a\x00\x00\x00" + "\x00\x00\x00\x00" +
		"\x01\x00" + "\x86\x92\x07\x00\x0c\x00\x00\x00\x2c\x00\x00\x00" + "\x00\x00\x00\x00" + "UNICODE\x00h\x00i\x00")
	var m FileMeta
	m.readEXIF(data)
	if m.Parameters != "hi" {
		t.Errorf("parameters %q", m.Parameters)
	}
	for n := range data { // cut off anywhere, it tells nothing and breaks nothing
		m = FileMeta{}
		if m.readEXIF(data[:n]); m.Parameters != "" {
			t.Errorf("the first %d bytes tell %q", n, m.Parameters)
		}
	}
}

func TestReadMetaOfDamage(t *testing.T) {
	p, m := photo(8, 8), catMeta()
	for _, format := range encodable() {
		file, _, err := Encode(p, format, 90, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMeta(file[:len(file)/3]); err == nil {
			t.Errorf("a third of a %s was read", format)
		}
	}
	file := mustEncodePNG(t, p, m)
	file[bytes.Index(file, []byte("oil on"))]++
	if _, err := ReadMeta(file); err == nil || !strings.Contains(err.Error(), `checksum of its chunk "tEXt"`) {
		t.Errorf("a text that was changed: %v", err)
	}
	for _, text := range []string{"", "\x89PNG", "GIF89a", "RIFF\x04\x00\x00\x00WAVE"} {
		if _, err := ReadMeta([]byte(text)); !errors.Is(err, ErrNoPicture) {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := Decode([]byte(text)); !errors.Is(err, ErrNoPicture) {
			t.Errorf("%q decoded: %v", text, err)
		}
	}
}

func TestSettingsOfForeignParameters(t *testing.T) {
	for _, text := range []string{"", "a cat", "Steps", "a cat\nnot settings, Seed: 1"} {
		if got := (FileMeta{Parameters: text}).Settings(); len(got) != 0 {
			t.Errorf("%q has settings %v", text, got)
		}
	}
}

func TestDecode(t *testing.T) {
	p, m := photo(40, 30), catMeta()
	for _, format := range encodable() {
		file, _, err := Encode(p, format, 95, m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.check(); err != nil || got.Width != p.Width || got.Height != p.Height {
			t.Fatalf("%s: %d×%d, %v", format, got.Width, got.Height, err)
		}
		if format == PNG {
			if got.SHA256() != p.SHA256() {
				t.Error("a PNG decodes to other pixels")
			}
		} else if db := psnr(p, got); db < 28 {
			t.Errorf("%s decodes to a picture %.1f dB away", format, db)
		}
	}
	if _, err := Decode(append([]byte(pngSignature), 0)); err == nil {
		t.Error("a PNG of one byte was decoded")
	}
}

// FuzzReadMeta reads anything. Whatever a file says, the reader returns; and what it takes from a chunk that was written
// for a fuzzed text is that text.
func FuzzReadMeta(f *testing.F) {
	m := catMeta()
	m.Job = []byte(`{"model":"sd15","seed":"7"}`)
	for _, format := range encodable() {
		file, _, err := Encode(photo(4, 4), format, 50, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add([]byte("RIFF\x10\x00\x00\x00WEBPEXIF\x07\x00\x00\x00MM\x00*\xff\xff\xff"))
	f.Add([]byte("\xff\xd8\xff\xff\xe1\x00\x02\xff\xda\x00\x02"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := ReadMeta(file)
		if errors.Is(err, ErrNoPicture) != (got.Format == "") {
			t.Errorf("format %q, error %v", got.Format, err)
		}
		if n := len(got.Parameters) + len(got.Job) + len(got.ModelDigest) + len(got.TraceID); n > 4*len(file) {
			t.Errorf("%d bytes told by a file of %d", n, len(file))
		}
		got.Settings()
		if len(file) > 1<<16 {
			return
		}
		keyword, text, ok := pngTextOf(pngText{keyword: "job", text: string(file)}.chunk())
		if want := strings.ToValidUTF8(withoutNUL(string(file)), "\uFFFD"); !ok || keyword != "job" || text != want {
			t.Errorf("a job %q was read as %q", want, text)
		}
	})
}
