package check_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// margin is what a pod's grace period has above what its program says it takes: a node that is busy, a volume that is slow.
const margin = 3 * time.Second

func duration(t *testing.T, what, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return d
}

// TestGrace: a worker has the time to leave that it takes, and on machines that may vanish not more than every cloud gives.
func TestGrace(t *testing.T) {
	eachPod(t, func(t *testing.T, o overlay, p pod) {
		if p.component() != "worker" {
			return
		}
		// The worker is gone by the sum plus half a second.
		takes := duration(t, "DRAIN_TIMEOUT", p.setting("DRAIN_TIMEOUT")) + duration(t, "FLUSH_TIMEOUT", p.setting("FLUSH_TIMEOUT")) + 500*time.Millisecond
		if p.spec.TerminationGracePeriodSeconds == nil {
			t.Fatal("no grace period")
		}
		if grace := time.Duration(*p.spec.TerminationGracePeriodSeconds) * time.Second; grace < takes+margin {
			t.Errorf("leaving takes %v, and the grace period is %v", takes, grace)
		}
		if o.name == "spot" && (*p.spec.TerminationGracePeriodSeconds > 15 || p.setting("CHECKPOINT_EVERY") == "") {
			t.Errorf("a grace period of %d s, CHECKPOINT_EVERY %q", *p.spec.TerminationGracePeriodSeconds, p.setting("CHECKPOINT_EVERY"))
		}
	})
}

// TestBrokerGrace: a broker has the time to hand its clients over.
func TestBrokerGrace(t *testing.T) {
	conf, err := os.ReadFile("../nats/cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	var takes time.Duration
	for _, m := range regexp.MustCompile(`(?m)^lame_duck_(?:grace_period|duration): (\S+)$`).FindAllSubmatch(conf, -1) {
		takes += duration(t, "lame_duck", string(m[1]))
	}
	if takes < 10*time.Second {
		t.Errorf("the broker leaves within %v", takes)
	}
	eachPod(t, func(t *testing.T, _ overlay, p pod) {
		if p.component() == "broker" && time.Duration(*p.spec.TerminationGracePeriodSeconds)*time.Second < takes+margin {
			t.Errorf("leaving takes %v, and the grace period is %d s", takes, *p.spec.TerminationGracePeriodSeconds)
		}
	})
}

// listens is the port that a container's program is told to listen on, and what may be asked of it there.
func listens(t *testing.T, p pod) (string, []string) {
	t.Helper()
	c := p.spec.Containers[0]
	switch p.component() {
	case "worker":
		return strings.TrimPrefix(p.setting("HTTP_ADDR"), "0.0.0.0:"), []string{"/healthz", "/readyz"}
	case "page":
		i := slices.Index(c.Args, "--listen")
		return strings.TrimPrefix(c.Args[i+1], "0.0.0.0:"), []string{"/"}
	case "broker":
		conf, err := os.ReadFile("../nats/cluster.conf")
		if err != nil {
			t.Fatal(err)
		}
		return string(regexp.MustCompile(`(?m)^http: 0\.0\.0\.0:(\d+)$`).FindSubmatch(conf)[1]), []string{"/healthz", "/healthz?js-enabled-only=true", "/healthz?js-server-only=true"}
	case "store":
		return "9000", []string{"/minio/health/live", "/minio/health/ready"}
	}
	t.Fatalf("nobody knows what a %s listens on", p.component())
	return "", nil
}

// TestProbes: what runs for long is probed where it listens, what ends is not.
func TestProbes(t *testing.T) {
	eachPod(t, func(t *testing.T, _ overlay, p pod) {
		c := p.spec.Containers[0]
		if slices.Contains([]string{"setup", "prune"}, p.component()) {
			if c.LivenessProbe != nil || c.ReadinessProbe != nil {
				t.Error("a probe of what ends by itself")
			}
			return
		}
		want, paths := listens(t, p)
		if c.LivenessProbe == nil || c.ReadinessProbe == nil {
			t.Fatal("a probe is missing")
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			var name string
			switch {
			case probe == nil:
				continue
			case probe.TCPSocket != nil:
				name = probe.TCPSocket.Port.String()
			case probe.HTTPGet != nil:
				name = probe.HTTPGet.Port.String()
				if !slices.Contains(paths, probe.HTTPGet.Path) {
					t.Errorf("a probe asks for %s, there are %q", probe.HTTPGet.Path, paths)
				}
			default:
				t.Errorf("a probe %+v", probe)
			}
			number, err := port(c, name)
			if err != nil {
				t.Error(err)
			} else if want != strconv.Itoa(int(number)) {
				t.Errorf("a probe asks at %d, and the program listens on %s", number, want)
			}
			if probe.PeriodSeconds == 0 {
				t.Error("a probe does not say how often")
			}
		}
		if c.StartupProbe != nil && c.StartupProbe.PeriodSeconds*c.StartupProbe.FailureThreshold < 60 {
			t.Errorf("it has %d s to start", c.StartupProbe.PeriodSeconds*c.StartupProbe.FailureThreshold)
		}
	})
}

// TestUpdates: workers have no number of their own, which is KEDA's, and brokers go one by one.
func TestUpdates(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		for _, d := range of[*appsv1.Deployment](o) {
			scaled := d.Labels["app.kubernetes.io/component"] == "worker"
			if scaled != (d.Spec.Replicas == nil) {
				t.Errorf("%s: replicas %v", d.Name, d.Spec.Replicas)
			}
		}
		for _, j := range of[*batchv1.Job](o) {
			if j.Spec.TTLSecondsAfterFinished == nil || j.Spec.ActiveDeadlineSeconds == nil {
				t.Errorf("%s stays for good: it could not be applied again", j.Name)
			}
		}
		for _, s := range of[*appsv1.StatefulSet](o) {
			if s.Spec.Replicas == nil || *s.Spec.Replicas != map[string]int32{"nats": 3, "minio": 1}[s.Name] {
				t.Errorf("%s: replicas %v", s.Name, s.Spec.Replicas)
			}
		}
	})
}
