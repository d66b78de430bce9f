package schedule

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestDefaults compares every class with the signature of diffusers' class: what it knows, and the
// default of each field.
func TestDefaults(t *testing.T) {
	// Fields in a signature that its algorithm never reads.
	idle := map[string]string{
		"TCDScheduler": "clip_sample clip_sample_range thresholding dynamic_thresholding_ratio sample_max_value timestep_scaling",
	}
	data, err := os.ReadFile("testdata/defaults.json")
	if err != nil {
		t.Fatal(err)
	}
	var signatures map[string]map[string]json.RawMessage
	if err := json.Unmarshal(data, &signatures); err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, a := range aliases() {
		c := a.class
		if tested[c.name] {
			continue
		}
		tested[c.name] = true
		signature, ok := signatures[c.name]
		if !ok {
			t.Errorf("%s: no such class in diffusers", c.name)
			continue
		}
		known := strings.Fields(c.fields)
		for _, field := range allFields() {
			_, theirs := signature[field]
			hidden := strings.HasPrefix(field, "sigma_m") // see sigmaFields
			if ours := slices.Contains(known, field); theirs != ours && !hidden && !slices.Contains(strings.Fields(idle[c.name]), field) {
				t.Errorf("%s: knows %s: %v, want %v", c.name, field, ours, theirs)
			}
		}
		for _, field := range known {
			if !slices.Contains(allFields(), field) {
				t.Errorf("%s: %s is no field", c.name, field)
			}
		}
		want := c.defaults
		var theirs Params
		settings, err := decodeSettings(signature, &theirs)
		if err != nil {
			t.Fatal(err)
		}
		Config{settings: settings}.overlay(&want, known)
		if diff := cmp.Diff(want, c.defaults, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: defaults (-diffusers +here):\n%s", c.name, diff)
		}
	}
	if len(tested) != len(signatures) {
		t.Errorf("%d classes, want the %d of testdata/defaults.json", len(tested), len(signatures))
	}
}

// allFields are the JSON names of all Params.
func allFields() []string {
	var names []string
	for f := range reflect.TypeFor[Params]().Fields() {
		names = append(names, f.Tag.Get("json"))
	}
	return names
}
