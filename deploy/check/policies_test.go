package check_test

import (
	"net/netip"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// place is one end of a connection: a pod, or an address outside of the cluster.
type place struct {
	namespace string
	labels    map[string]string
	address   netip.Addr // valid for what is outside
}

// network judges connections by policies as Kubernetes does: where any policy selects a pod for a direction, only what one of those allows goes through.
type network struct {
	t        *testing.T
	policies []*networkingv1.NetworkPolicy
}

// lets reports whether a connection gets out at its one end and in at the other.
func (n network) lets(from, to place, protocol string, port int32) bool {
	n.t.Helper()
	return n.out(from, to, protocol, port) && n.in(from, to, protocol, port)
}

func (n network) out(from, to place, protocol string, port int32) bool {
	n.t.Helper()
	return n.judge(from, networkingv1.PolicyTypeEgress, func(p *networkingv1.NetworkPolicy) bool {
		return slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
			return n.peers(r.To, to) && ports(r.Ports, protocol, port)
		})
	})
}

func (n network) in(from, to place, protocol string, port int32) bool {
	n.t.Helper()
	return n.judge(to, networkingv1.PolicyTypeIngress, func(p *networkingv1.NetworkPolicy) bool {
		return slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
			return n.peers(r.From, from) && ports(r.Ports, protocol, port)
		})
	})
}

// judge holds one end against the policies for it; the policies are of the namespace stipple.
func (n network) judge(end place, direction networkingv1.PolicyType, allows func(*networkingv1.NetworkPolicy) bool) bool {
	n.t.Helper()
	if end.address.IsValid() || end.namespace != "stipple" {
		return true
	}
	isolated := false
	for _, p := range n.policies {
		if !slices.Contains(p.Spec.PolicyTypes, direction) || !selects(n.t, &p.Spec.PodSelector, end.labels) {
			continue
		}
		if isolated = true; allows(p) {
			return true
		}
	}
	return !isolated
}

// peers reports whether a rule is for the other end; one without peers is for anybody.
func (n network) peers(peers []networkingv1.NetworkPolicyPeer, other place) bool {
	n.t.Helper()
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			return inBlock(n.t, p.IPBlock, other.address)
		}
		if other.address.IsValid() {
			return false
		}
		in := other.namespace == "stipple"
		if p.NamespaceSelector != nil {
			in = selects(n.t, p.NamespaceSelector, map[string]string{"kubernetes.io/metadata.name": other.namespace})
		}
		return in && (p.PodSelector == nil || selects(n.t, p.PodSelector, other.labels))
	})
}

func inBlock(t *testing.T, b *networkingv1.IPBlock, a netip.Addr) bool {
	t.Helper()
	in := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return a.IsValid() && prefix.Contains(a)
	}
	return in(b.CIDR) && !slices.ContainsFunc(b.Except, in)
}

func ports(all []networkingv1.NetworkPolicyPort, protocol string, port int32) bool {
	return len(all) == 0 || slices.ContainsFunc(all, func(p networkingv1.NetworkPolicyPort) bool {
		return p.Protocol != nil && string(*p.Protocol) == protocol && p.Port != nil && p.Port.IntVal == port && p.EndPort == nil
	})
}

// TestNetwork: the judge itself lets through what Kubernetes would, and nothing else.
func TestNetwork(t *testing.T) {
	a, b := place{namespace: "stipple", labels: map[string]string{"app": "a"}}, place{namespace: "stipple", labels: map[string]string{"app": "b"}}
	n := network{t: t}
	if !n.lets(a, b, "TCP", 1) {
		t.Error("without policies something is refused")
	}
	n.policies = []*networkingv1.NetworkPolicy{{Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
	}}}
	if n.lets(a, b, "TCP", 1) || !n.lets(b, a, "TCP", 1) {
		t.Error("a policy without rules lets its pods out, or keeps others from them")
	}
	n.policies[0].Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}}}}}}
	if !n.lets(a, place{address: netip.MustParseAddr("1.1.1.1")}, "TCP", 1) || n.lets(a, place{address: netip.MustParseAddr("10.1.1.1")}, "TCP", 1) || n.lets(a, b, "TCP", 1) {
		t.Error("a block of addresses lets through what it should not")
	}
}
