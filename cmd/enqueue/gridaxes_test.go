package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestParseGridAxis(t *testing.T) {
	prompts := file(t, "p.txt", "\uFEFFa fox, red\r\n\n  \na hen\n")
	seeds := file(t, "s.txt", "3\n5\n")
	for text, want := range map[string][]string{
		"seed=1..4":                               {"seed", "1", "2", "3", "4"},
		" seeds = 1..10..4, 7":                    {"seed", "1", "5", "9", "7"},
		"guidance_scale=2,5.5,9":                  {"guidance_scale", "2", "5.5", "9"},
		"guidance-scale=2":                        {"guidance_scale", "2"},
		"steps=10,20":                             {"num_inference_steps", "10", "20"},
		"scheduler=euler,ddim":                    {"scheduler", "euler", "ddim"},
		"model=sd15,turbo":                        {"model", "sd15", "turbo"},
		"size=512x512,512x768":                    {"size", "512×512", "512×768"},
		"format=png,webp":                         {"format", "png", "webp"},
		"prompt=a fox":                            {"prompt", "a fox"},
		`prompt=a fox, "a hen, brown", "say ""x"`: {"prompt", "a fox", "a hen, brown", `say "x`},
		`prompt="a=b","@home"`:                    {"prompt", "a=b", "@home"},
		"prompt=@" + prompts:                      {"prompt", "a fox, red", "a hen"},
		"seed=@" + seeds:                          {"seed", "3", "5"},
		`negative_prompt=,rain`:                   {"negative_prompt", "", "rain"},
		`negative-prompt=`:                        {"negative_prompt", ""},
	} {
		a, err := parseGridAxis(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, append([]string{a.side.Name}, a.side.Values...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if a.group[0].Len() != int64(a.side.Len()) {
			t.Errorf("%s: %d values, and %d are shown", text, a.group[0].Len(), a.side.Len())
		}
	}
}

func TestParseGridAxisRefuses(t *testing.T) {
	empty, large := file(t, "e.txt", "\n \n"), filepath.Join(t.TempDir(), "l.txt")
	if err := os.WriteFile(large, []byte(strings.Repeat("x", maxAxisFile+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"seed":                 "a field and its values",
		"=1":                   "is not a field",
		"sead=1":               `"sead" is not a field`,
		"id=a,b":               "changes nothing of a picture",
		"deadline=x":           "changes nothing",
		"seed=":                "an empty value",
		"seed=4..1":            "ends below its beginning",
		"seed=1..10001":        "at most 10000",
		"seed=1..999999999":    "at most 10000",
		"seed=-1":              "seed",
		"steps=0":              "num_inference_steps",
		"size=512":             "width",
		"prompt=@nowhere":      "no such file",
		"prompt=@" + empty:     "has no lines",
		"prompt=@" + large:     "is larger than",
		`prompt=a "b",c`:       "a comma stands in double quotes",
		"prompt=a\nb":          "a line break",
		"size=@" + empty:       "has no lines",
		"prompt=" + "\xff\xfe": "UTF-8",
	} {
		if a, err := parseGridAxis(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %q", text, a.side, err, want)
		}
	}
}

func TestParseGridAxes(t *testing.T) {
	axes, err := parseGridAxes([3]string{"seed=1..4", "", "scheduler=euler,ddim"})
	if err != nil {
		t.Fatal(err)
	}
	for index, want := range []string{"seed 1 · scheduler euler", "seed 2 · scheduler euler", "seed 3 · scheduler euler", "seed 4 · scheduler euler", "seed 1 · scheduler ddim"} {
		if got := axes.labels(int64(index)); got != want {
			t.Errorf("job %d is %q, want %q", index, got, want)
		}
	}
	for want, texts := range map[string][3]string{
		"nothing is varied":             {},
		"a grid of 10100 pictures":      {"seed=1..101", "steps=1..100"},
		"a grid of 1000000000 pictures": {"seed=1..1000", "steps=1..1000", "width=8..8000..8"},
		"--y: must be a field":          {"seed=1", "steps", "nothing=1"},
	} {
		if _, err := parseGridAxes(texts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", texts, err, want)
		}
	}
}

func TestSlug(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "euler_a": "euler_a", "7.5": "7.5", "512×768": "512-768", "A red Fox!": "a-red-fox", "../../x": "x", "猫": "",
		strings.Repeat("ab ", 40): "ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-a",
	} {
		if got := slug(value); got != want {
			t.Errorf("slug(%q) = %q, want %q", value, got, want)
		}
	}
}

// FuzzGridAxis holds that what is read has as many values as are shown, and that every one makes a job.
func FuzzGridAxis(f *testing.F) {
	for _, text := range []string{"seed=1..4", `prompt=a fox,"a hen, ""brown"""`, "size=64x64,64x128", "steps=10..50..20", "negative_prompt=,x", "seed=1..18446744073709551615", "prompt=\"\n\",b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, values, _ := strings.Cut(text, "="); strings.HasPrefix(values, "@") {
			return // a file of this machine
		}
		a, err := parseGridAxis(text)
		if err != nil {
			return
		}
		n := a.side.Len()
		if n < 1 || n > maxGridCells || int64(n) != a.group[0].Len() {
			t.Fatalf("%q has %d values, and %d are shown", text, a.group[0].Len(), n)
		}
		prompts := []string{"a fox"}
		if a.side.Name == "prompt" {
			prompts = nil
		}
		plan, err := (&gridFlags{enqueueFlags: enqueueFlags{jobs: noJobFlags()}}).gridPlan(gridAxes{a}, prompts)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		jobs := 0
		for _, err := range plan.Jobs("b") {
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			jobs++
		}
		if jobs != n {
			t.Errorf("%q makes %d jobs, want %d", text, jobs, n)
		}
	})
}

// noJobFlags are those of a command line that gives none.
func noJobFlags() jobFlags {
	var f jobFlags
	f.define(pflag.NewFlagSet("", pflag.ContinueOnError))
	return f
}
