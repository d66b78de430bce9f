package grafana_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type dashboard struct {
	UID        string
	Title      string
	Schema     int `json:"schemaVersion"`
	Panels     []panel
	Templating struct{ List []variable }
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  datasource
	GridPos     struct{ H, W, X, Y int }
	Targets     []target
	FieldConfig struct{ Defaults struct{ Unit string } }
}

type datasource struct{ Type, UID string }

type target struct {
	Datasource   datasource
	Expr         string
	LegendFormat string
	RefID        string `json:"refId"`
	Exemplar     bool
}

type variable struct {
	Name, Type, Definition string
}

func read(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// filled puts values in the place of Grafana's variables.
func filled(expr string) string {
	for _, v := range []struct{ name, value string }{{"$__rate_interval", "5m"}, {"$job", ".+"}, {"$model", ".*"}} {
		expr = strings.ReplaceAll(expr, v.name, v.value)
	}
	return expr
}

var variables = regexp.MustCompile(`\$\{?(\w+)\}?`)

func TestDashboard(t *testing.T) {
	d, known := read(t), metrics(t)
	if d.UID == "" || d.Title == "" || d.Schema < 36 || len(d.Panels) < 20 {
		t.Errorf("dashboard %q %q, schema %d, %d panels", d.UID, d.Title, d.Schema, len(d.Panels))
	}
	defined := []string{"__rate_interval"}
	for _, v := range d.Templating.List {
		defined = append(defined, v.Name)
		if m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
			if !slices.Contains(known[m[1]], m[2]) {
				t.Errorf("variable %s: %s has no label %s", v.Name, m[1], m[2])
			}
		} else if v.Type == "query" {
			t.Errorf("variable %s is %q", v.Name, v.Definition)
		}
	}
	ids, exemplars := map[int]bool{}, 0
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q at %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("%s has %d targets", p.Title, len(p.Targets))
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}" || refs[target.RefID] || p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s: target %+v", p.Title, target)
			}
			refs[target.RefID] = true
			for _, v := range variables.FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(defined, v[1]) {
					t.Errorf("%s: no variable %s", p.Title, v[1])
				}
			}
			check(t, known, p.Title, filled(target.Expr))
			if target.Exemplar {
				exemplars++
			}
		}
	}
	if exemplars == 0 {
		t.Error("no panel asks for exemplars")
	}
	for i, a := range d.Panels {
		for _, b := range d.Panels[:i] {
			g, h := a.GridPos, b.GridPos
			if g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
				t.Errorf("%s lies over %s", a.Title, b.Title)
			}
		}
	}
}

// TestDashboardCovers what it is for.
func TestDashboardCovers(t *testing.T) {
	var asked strings.Builder
	for _, p := range read(t).Panels {
		for _, target := range p.Targets {
			asked.WriteString(target.Expr + "\n")
		}
	}
	for _, name := range []string{"worker_queue_pending", "worker_job_queue_time_seconds_bucket", "worker_inference_stage_duration_seconds_bucket", "worker_upload_duration_seconds_bucket",
		"worker_inference_batch_size_sum", "hw_gpu_utilization_ratio", "hw_gpu_memory_usage_bytes", "worker_jobs_total", "worker_dead_letters_total", "worker_telemetry_dropped_total"} {
		if !strings.Contains(asked.String(), name) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// TestDatasources: exemplars lead to the traces by the label that workers give them.
func TestDatasources(t *testing.T) {
	data, err := os.ReadFile("datasources.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Datasources []struct {
			UID, Type string
			JSONData  struct {
				Destinations []struct{ Name, DatasourceUid string } `yaml:"exemplarTraceIdDestinations"`
			} `yaml:"jsonData"`
		}
	}
	if err := yaml.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Datasources) != 2 || f.Datasources[0].Type != "prometheus" || f.Datasources[1].Type != "tempo" {
		t.Fatalf("%+v", f)
	}
	if to := f.Datasources[0].JSONData.Destinations; len(to) != 1 || to[0].Name != "trace_id" {
		t.Errorf("exemplars lead to %+v", to)
	}
}
