package doctor

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// told reports whether a check of that name ended so, with these words in its detail and mend.
func told(r Report, name string, status Status, words ...string) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool {
		text := c.Detail + " → " + c.Mend
		return c.Area == AreaModels && c.Name == name && c.Status == status && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
}

// TestNoGPU: each part that a provider lacks is a line, with where it comes from. The library of these tests is a CPU's.
func TestNoGPU(t *testing.T) {
	c := healthy(t)
	c.Runtime.Provider = "cuda"
	r := Run(t.Context(), c)
	if r.OK || !told(r, "libonnxruntime_providers_cuda.so", Failed, "it is not there", "make ort-cuda") || told(r, "runtime", OK) {
		t.Errorf("got %+v", r.Checks)
	}
}

// TestModelsElsewhere: a model that would be downloaded is a warning, one that cannot be a failure, and neither hides its neighbour.
func TestModelsElsewhere(t *testing.T) {
	c := healthy(t)
	c.FellBack = errors.New("there is no GPU")
	c.Models = append(c.Models, Model{Name: "later", Absent: errors.New("not downloaded yet: 3 GB"), Later: true})
	r := Run(t.Context(), c)
	if !r.OK || !told(r, "later", Warning, "3 GB", "worker warm") || !told(r, "sd15", OK, "digest") || !told(r, "provider", Warning, "there is no GPU") {
		t.Errorf("got %+v", r.Checks)
	}
	damaged := t.TempDir()
	c.Models[1] = Model{Name: "damaged", Source: "hf://acme/toy", Dir: damaged}
	if r := Run(t.Context(), c); r.OK || !told(r, "damaged", Failed, "model_index.json", "remove "+damaged) {
		t.Errorf("got %+v", r.Checks)
	}
	c.Models[1] = Model{Name: "never", Absent: errors.New("no such repository")}
	if r := Run(t.Context(), c); r.OK || !told(r, "never", Failed, "no such repository", "HF_TOKEN") {
		t.Errorf("got %+v", r.Checks)
	}
}
