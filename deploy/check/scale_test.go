package check_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// scaledObject is what matters of one here; schema_test.go has read the whole.
type scaledObject struct {
	Metadata struct{ Name string }
	Spec     struct {
		ScaleTargetRef  struct{ Kind, Name string }
		MinReplicaCount int
		MaxReplicaCount int
		CooldownPeriod  int
		Fallback        struct{ Replicas int }
		Triggers        []struct {
			Type, Name string
			Metadata   map[string]string
		}
	}
}

func scaledObjects(t *testing.T, o overlay) []scaledObject {
	t.Helper()
	var all []scaledObject
	for _, object := range o.objects {
		if object.Kind != "ScaledObject" {
			continue
		}
		var s scaledObject
		if err := yaml.Unmarshal(object.yaml, &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func statefulSets(o overlay) []*appsv1.StatefulSet { return of[*appsv1.StatefulSet](o) }

// TestScaling: each model's workers are scaled by that model's three consumers. That these are the names that the queue gives them is held with the queue itself, in deploy/.
func TestScaling(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		var models, set []string
		for _, p := range pods(o) {
			switch p.component() {
			case "setup":
				set = strings.Split(p.setting("MODELS"), ",")
			case "worker":
				models = append(models, p.labels["app.kubernetes.io/instance"])
				if folder := p.setting("MODELS"); !strings.HasSuffix(folder, "/"+p.labels["app.kubernetes.io/instance"]) {
					t.Errorf("%s loads %s", p.owner, folder)
				}
			}
		}
		if diff := cmp.Diff(models, set); diff != "" || len(models) == 0 {
			t.Errorf("models of workers and of setup (-workers +setup):\n%s", diff)
		}
		scaled := map[string]bool{}
		for _, s := range scaledObjects(t, o) {
			scaled[s.Spec.ScaleTargetRef.Name] = true
			model, ok := strings.CutPrefix(s.Spec.ScaleTargetRef.Name, "worker-")
			if !ok || s.Metadata.Name != s.Spec.ScaleTargetRef.Name || !slices.Contains(models, model) {
				t.Errorf("%s scales %+v", s.Metadata.Name, s.Spec.ScaleTargetRef)
			}
			if s.Spec.MinReplicaCount > s.Spec.MaxReplicaCount || s.Spec.Fallback.Replicas > s.Spec.MaxReplicaCount || s.Spec.CooldownPeriod < 60 {
				t.Errorf("%s: %+v", s.Metadata.Name, s.Spec)
			}
			var consumers []string
			for _, trigger := range s.Spec.Triggers {
				if trigger.Type != "nats-jetstream" || trigger.Metadata["stream"] != "JOBS" {
					t.Errorf("%s: trigger %+v", s.Metadata.Name, trigger)
				}
				consumers = append(consumers, trigger.Metadata["consumer"])
				endpoint := trigger.Metadata["natsServerMonitoringEndpoint"]
				if _, port := resolve(t, o, "http://"+endpoint); port != 8222 || !strings.HasSuffix(endpoint, ".stipple.svc.cluster.local:8222") {
					t.Errorf("%s asks %s", s.Metadata.Name, endpoint)
				}
			}
			if diff := cmp.Diff([]string{"w-high-" + model, "w-normal-" + model, "w-low-" + model}, consumers); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.Metadata.Name, diff)
			}
		}
		for _, p := range pods(o) {
			if p.component() == "worker" && !scaled[strings.TrimPrefix(p.owner, "Deployment/")] {
				t.Errorf("nothing scales %s", p.owner)
			}
		}
	})
}

// TestRules: the rules for the Prometheus Operator are those of deploy/grafana.
func TestRules(t *testing.T) {
	var rule struct{ Spec struct{ Groups any } }
	for _, object := range build(t, "testdata/more").objects {
		if object.Kind == "PrometheusRule" {
			if err := yaml.Unmarshal(object.yaml, &rule); err != nil {
				t.Fatal(err)
			}
		}
	}
	data, err := os.ReadFile("../grafana/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var alerts struct{ Groups any }
	if err := yaml.Unmarshal(data, &alerts); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alerts.Groups, rule.Spec.Groups); diff != "" || alerts.Groups == nil {
		t.Errorf("kubernetes/monitoring/rules.yaml is not grafana/alerts.yaml (-alerts +rules):\n%s", diff)
	}
}
