package check_test

import (
	"cmp"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	dns      = place{namespace: "kube-system", labels: map[string]string{"k8s-app": "kube-dns"}}
	outside  = place{address: netip.MustParseAddr("52.95.128.1")}
	metadata = place{address: netip.MustParseAddr("169.254.169.254")}
	lan      = place{address: netip.MustParseAddr("10.0.0.7")}
	stranger = place{namespace: "default", labels: map[string]string{"app": "stranger"}}
)

// at is where a pod is.
func at(p pod) place { return place{namespace: "stipple", labels: p.labels} }

// settings are the shared ones.
func settings(t *testing.T, o overlay) map[string]string {
	t.Helper()
	for _, m := range of[*corev1.ConfigMap](o) {
		if strings.HasPrefix(m.Name, "settings-") {
			return m.Data
		}
	}
	t.Fatal("there are no settings")
	return nil
}

// resolve returns where a host of a setting is, and the port there: by a service of the overlay, another namespace's name, or outside.
func resolve(t *testing.T, o overlay, address string) (place, int32) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443", "nats": "4222"}[u.Scheme]), 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	host := strings.Split(u.Hostname(), ".")
	if len(host) > 1 && host[1] != "stipple" {
		return place{namespace: host[1]}, int32(number)
	}
	for _, s := range of[*corev1.Service](o) {
		if s.Name != host[0] {
			continue
		}
		if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return int64(p.Port) == number }) {
			t.Errorf("%s: Service/%s has no port %d", address, s.Name, number)
		}
		for _, p := range pods(o) {
			if selects(t, &metav1.LabelSelector{MatchLabels: s.Spec.Selector}, p.labels) {
				return at(p), int32(number)
			}
		}
	}
	t.Fatalf("%s: there is no such service", address)
	return place{}, 0
}

// TestConnections: policies let through what the settings name, and nothing else.
func TestConnections(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		n, set := network{t, of[*networkingv1.NetworkPolicy](o)}, settings(t, o)
		broker, brokerPort := resolve(t, o, set["NATS_URL"])
		collector, collectorPort := resolve(t, o, set["OTEL_EXPORTER_OTLP_ENDPOINT"])
		store, storePort := outside, int32(443)
		if endpoint := set["AWS_ENDPOINT_URL_S3"]; endpoint != "" {
			store, storePort = resolve(t, o, endpoint)
		}
		for _, p := range pods(o) {
			me := at(p)
			uses := map[string][]string{
				"worker": {"broker", "store", "collector"}, "page": {"broker", "store", "collector"}, "setup": {"broker"}, "prune": {"store"}, "broker": {"peer"}, "store": {},
			}[p.component()]
			if uses == nil {
				t.Errorf("%s is a %s: nobody knows what that talks to", p.owner, p.component())
			}
			for _, c := range []struct {
				name string
				to   place
				port int32
			}{
				{"broker", broker, brokerPort}, {"store", store, storePort}, {"collector", collector, collectorPort}, {"peer", broker, 6222},
				{"stranger", stranger, 80}, {"metadata", metadata, 80}, {"metadata", metadata, 443}, {"lan", lan, 443}, {"outside", outside, 80}, {"worker", place{namespace: "stipple", labels: workerLabels(o)}, 9090},
			} {
				if want := slices.Contains(uses, c.name); n.lets(me, c.to, "TCP", c.port) != want {
					t.Errorf("%s reaches the %s at %d: %v", p.owner, c.name, c.port, !want)
				}
			}
			if !n.lets(me, dns, "UDP", 53) || !n.lets(me, dns, "TCP", 53) || n.lets(me, dns, "TCP", 443) {
				t.Errorf("%s does not reach the resolver, or more of it", p.owner)
			}
		}
	})
}

func workerLabels(o overlay) map[string]string {
	for _, p := range pods(o) {
		if p.component() == "worker" {
			return p.labels
		}
	}
	return nil
}

// TestVisitors: from other namespaces only Prometheus comes in, for metrics, and KEDA, for the length of the queue. The page is for whoever may forward ports.
func TestVisitors(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		n := network{t, of[*networkingv1.NetworkPolicy](o)}
		for _, p := range pods(o) {
			for _, c := range p.spec.Containers[0].Ports {
				for visitor, welcome := range map[string]bool{
					"default":    false,
					"keda":       p.component() == "broker" && c.ContainerPort == 8222,
					"monitoring": p.component() == "broker" && c.ContainerPort == 8222 || p.component() == "worker" && c.ContainerPort == 9090,
				} {
					if n.lets(place{namespace: visitor}, at(p), "TCP", c.ContainerPort) != welcome {
						t.Errorf("%s: visitors from %s at port %d: %v", p.owner, visitor, c.ContainerPort, !welcome)
					}
				}
			}
		}
	})
}

// TestRoutes: the names by which the brokers find each other are theirs.
func TestRoutes(t *testing.T) {
	conf, err := os.ReadFile("../nats/cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`nats://nats-(\d)\.([a-z-]+):6222`).FindAllStringSubmatch(string(conf), -1)
	each(t, func(t *testing.T, o overlay) {
		for _, s := range statefulSets(o) {
			if s.Name != "nats" {
				continue
			}
			if int(*s.Spec.Replicas) != len(routes) {
				t.Errorf("%d brokers and %d routes", *s.Spec.Replicas, len(routes))
			}
			for i, r := range routes {
				if r[1] != strconv.Itoa(i) || r[2] != s.Spec.ServiceName {
					t.Errorf("route %s", r[0])
				}
			}
		}
	})
}
