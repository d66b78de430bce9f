package check_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

func selects(t *testing.T, s *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(set))
}

// TestSelectors: what selects pods selects those that it is for.
func TestSelectors(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		all := pods(o)
		owners := func(s *metav1.LabelSelector) (found []string) {
			for _, p := range all {
				if selects(t, s, p.labels) {
					found = append(found, p.owner)
				}
			}
			return found
		}
		for _, p := range all {
			if p.selector != nil {
				if found := owners(p.selector); len(found) != 1 || found[0] != p.owner {
					t.Errorf("%s selects %q", p.owner, found)
				}
			}
			for _, s := range p.spec.TopologySpreadConstraints {
				if !selects(t, s.LabelSelector, p.labels) || len(owners(s.LabelSelector)) != 1 {
					t.Errorf("%s spreads %q", p.owner, owners(s.LabelSelector))
				}
			}
		}
		guarded := map[string]bool{}
		for _, b := range of[*policyv1.PodDisruptionBudget](o) {
			found := owners(b.Spec.Selector)
			if len(found) != 1 {
				t.Errorf("PodDisruptionBudget/%s selects %q", b.Name, found)
				continue
			}
			guarded[found[0]] = true
		}
		for _, p := range all {
			if (p.component() == "worker" || p.component() == "broker") && !guarded[p.owner] {
				t.Errorf("%s has no PodDisruptionBudget", p.owner)
			}
		}
		for _, n := range of[*networkingv1.NetworkPolicy](o) {
			if len(owners(&n.Spec.PodSelector)) == 0 {
				t.Errorf("NetworkPolicy/%s is for nobody", n.Name)
			}
		}
		for _, s := range of[*corev1.Service](o) {
			checkService(t, s, all)
		}
	})
}

// checkService holds that a service leads to one workload's pods, at ports that they have.
func checkService(t *testing.T, s *corev1.Service, all []pod) {
	t.Helper()
	if s.Spec.Type != "" && s.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("Service/%s is a %s: nothing here is for the outside", s.Name, s.Spec.Type)
	}
	found := 0
	for _, p := range all {
		if !selects(t, &metav1.LabelSelector{MatchLabels: s.Spec.Selector}, p.labels) {
			continue
		}
		found++
		for _, sp := range s.Spec.Ports {
			if number, err := port(p.spec.Containers[0], sp.TargetPort.String()); err != nil || number != sp.Port {
				t.Errorf("Service/%s: port %d leads to %d, %v", s.Name, sp.Port, number, err)
			}
		}
	}
	if found != 1 {
		t.Errorf("Service/%s leads to %d workloads", s.Name, found)
	}
}

// TestPodMonitor: what is scraped is the workers, at a port that they have.
func TestPodMonitor(t *testing.T) {
	var monitor struct {
		Spec struct {
			Selector            metav1.LabelSelector
			PodMetricsEndpoints []struct{ Port, Path string }
		}
	}
	for _, object := range build(t, "testdata/more").objects {
		if object.Kind == "PodMonitor" {
			if err := yaml.Unmarshal(object.yaml, &monitor); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(monitor.Spec.PodMetricsEndpoints) != 1 || monitor.Spec.PodMetricsEndpoints[0].Path != "/metrics" {
		t.Fatalf("it scrapes %+v", monitor.Spec)
	}
	eachPod(t, func(t *testing.T, _ overlay, p pod) {
		if got := selects(t, &monitor.Spec.Selector, p.labels); got != (p.component() == "worker") {
			t.Errorf("scraped: %v", got)
		} else if got {
			if _, err := port(p.spec.Containers[0], monitor.Spec.PodMetricsEndpoints[0].Port); err != nil {
				t.Error(err)
			}
		}
	})
}
