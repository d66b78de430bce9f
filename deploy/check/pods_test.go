package check_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod is what a workload makes.
type pod struct {
	owner    string // Deployment/worker-sdxl
	labels   map[string]string
	selector *metav1.LabelSelector // nil for Jobs
	claims   []string              // volumes by volumeClaimTemplates
	spec     corev1.PodSpec
}

// component is what the pod is.
func (p pod) component() string { return p.labels["app.kubernetes.io/component"] }

// setting returns the value that the pod's container has written in its environment; "" for none.
func (p pod) setting(name string) string {
	for _, e := range p.spec.Containers[0].Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// pods are all that an overlay's workloads make.
func pods(o overlay) []pod {
	var all []pod
	for _, d := range of[*appsv1.Deployment](o) {
		all = append(all, pod{"Deployment/" + d.Name, d.Spec.Template.Labels, d.Spec.Selector, nil, d.Spec.Template.Spec})
	}
	for _, s := range of[*appsv1.StatefulSet](o) {
		var claims []string
		for _, c := range s.Spec.VolumeClaimTemplates {
			claims = append(claims, c.Name)
		}
		all = append(all, pod{"StatefulSet/" + s.Name, s.Spec.Template.Labels, s.Spec.Selector, claims, s.Spec.Template.Spec})
	}
	for _, j := range of[*batchv1.Job](o) {
		all = append(all, pod{"Job/" + j.Name, j.Spec.Template.Labels, nil, nil, j.Spec.Template.Spec})
	}
	for _, c := range of[*batchv1.CronJob](o) {
		all = append(all, pod{"CronJob/" + c.Name, c.Spec.JobTemplate.Spec.Template.Labels, nil, nil, c.Spec.JobTemplate.Spec.Template.Spec})
	}
	return all
}

// eachPod runs a test on every pod of every overlay.
func eachPod(t *testing.T, test func(t *testing.T, o overlay, p pod)) {
	t.Helper()
	each(t, func(t *testing.T, o overlay) {
		all := pods(o)
		if len(all) < 5 {
			t.Errorf("there are %d workloads", len(all))
		}
		for _, p := range all {
			t.Run(p.owner, func(t *testing.T) { test(t, o, p) })
		}
	})
}

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

// TestRestricted: every pod keeps to the Pod Security Standard "restricted", which the namespace enforces, and more.
func TestRestricted(t *testing.T) {
	eachPod(t, func(t *testing.T, _ overlay, p pod) {
		s := p.spec.SecurityContext
		if s == nil || !yes(s.RunAsNonRoot) || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("security context %+v", s)
		}
		if !no(p.spec.AutomountServiceAccountToken) || !no(p.spec.EnableServiceLinks) || p.spec.HostNetwork || p.spec.HostPID || p.spec.HostIPC {
			t.Error("it has a token of Kubernetes, variables of other services, or the host's namespaces")
		}
		for _, c := range append(slices.Clone(p.spec.Containers), p.spec.InitContainers...) {
			s := c.SecurityContext
			if s == nil || !no(s.AllowPrivilegeEscalation) || !yes(s.ReadOnlyRootFilesystem) || s.Privileged != nil || s.Capabilities == nil ||
				!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) != 0 {
				t.Errorf("%s: security context %+v", c.Name, s)
			}
			for _, port := range c.Ports {
				if port.HostPort != 0 {
					t.Errorf("%s: host port %d", c.Name, port.HostPort)
				}
			}
		}
		for _, v := range p.spec.Volumes {
			if v.HostPath != nil {
				t.Errorf("volume %s is of the host", v.Name)
			}
		}
	})
	each(t, func(t *testing.T, o overlay) {
		for _, n := range of[*corev1.Namespace](o) {
			if n.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
				t.Errorf("the namespace enforces %q", n.Labels["pod-security.kubernetes.io/enforce"])
			}
		}
	})
}

// TestResources: a container has requests and limits, and the requests fit the limits.
func TestResources(t *testing.T) {
	eachPod(t, func(t *testing.T, o overlay, p pod) {
		for _, c := range p.spec.Containers {
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
				if request.IsZero() || limit.IsZero() || request.Cmp(limit) > 0 {
					t.Errorf("%s: %s: request %s, limit %s", c.Name, name, &request, &limit)
				}
			}
			gpu, cuda := c.Resources.Limits["nvidia.com/gpu"], p.setting("PROVIDER") == "cuda"
			if cuda != (p.component() == "worker" && o.name != "cpu") || gpu.IsZero() == cuda {
				t.Errorf("%s: %s GPUs, PROVIDER %q", c.Name, &gpu, p.setting("PROVIDER"))
			}
		}
	})
}

// pinnedImage is an image with a tag that starts with a version, or a digest.
var pinnedImage = regexp.MustCompile(`^[a-z0-9.:/-]+(:v?[0-9]+(\.[0-9]+)+(-[a-z0-9.]+)*|@sha256:[0-9a-f]{64})$`)

func TestImages(t *testing.T) {
	eachPod(t, func(t *testing.T, _ overlay, p pod) {
		for _, c := range p.spec.Containers {
			if !pinnedImage.MatchString(c.Image) {
				t.Errorf("%s: image %q is not pinned to a version", c.Name, c.Image)
			}
			if c.ImagePullPolicy == corev1.PullAlways {
				t.Errorf("%s: a version that is there is fetched again", c.Name)
			}
		}
	})
}

// external are what a pod refers to and an overlay does not make, since it is secret or follows from a secret. docs/deploy.md says how it comes about.
var external = []string{"Secret/nats-admin", "Secret/nats-enqueue", "Secret/nats-worker", "Secret/s3", "Secret/webhooks", "Secret/hub", "ConfigMap/nats-users"}

// TestReferences: what a pod names is there.
func TestReferences(t *testing.T) {
	eachPod(t, func(t *testing.T, o overlay, p pod) {
		there := slices.Clone(external)
		for _, object := range o.objects {
			there = append(there, object.String())
		}
		needs := func(what string) {
			if !slices.Contains(there, what) {
				t.Errorf("%s does not exist", what)
			}
		}
		if p.spec.ServiceAccountName != "" {
			needs("ServiceAccount/" + p.spec.ServiceAccountName)
		}
		volumes := slices.Clone(p.claims)
		for _, v := range p.spec.Volumes {
			volumes = append(volumes, v.Name)
			switch {
			case v.Secret != nil:
				needs("Secret/" + v.Secret.SecretName)
			case v.ConfigMap != nil:
				needs("ConfigMap/" + v.ConfigMap.Name)
			case v.PersistentVolumeClaim != nil:
				needs("PersistentVolumeClaim/" + v.PersistentVolumeClaim.ClaimName)
			case v.Ephemeral != nil:
			case v.EmptyDir == nil || v.EmptyDir.SizeLimit == nil:
				t.Errorf("volume %s has no limit", v.Name)
			}
		}
		for _, c := range p.spec.Containers {
			for _, m := range c.VolumeMounts {
				if !slices.Contains(volumes, m.Name) {
					t.Errorf("%s mounts a volume %s that the pod does not have", c.Name, m.Name)
				}
			}
			for _, from := range c.EnvFrom {
				if from.ConfigMapRef != nil {
					needs("ConfigMap/" + from.ConfigMapRef.Name)
				} else {
					needs("Secret/" + from.SecretRef.Name)
				}
			}
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					needs("Secret/" + e.ValueFrom.SecretKeyRef.Name)
				}
			}
		}
	})
}

// secretName is what a variable with a secret is called.
var secretName = regexp.MustCompile(`(?i)(password|secret|token|access_key|seed|credential)`)

// TestNoSecrets: no manifest has a secret in it, literally or as a Secret.
func TestNoSecrets(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		if len(of[*corev1.Secret](o)) != 0 {
			t.Error("there is a Secret among the manifests: secrets are made where they are used")
		}
		for _, p := range pods(o) {
			for _, c := range p.spec.Containers {
				for _, e := range c.Env {
					if e.Value != "" && secretName.MatchString(e.Name) {
						t.Errorf("%s: %s stands in the manifest", p.owner, e.Name)
					}
				}
			}
		}
		for _, m := range of[*corev1.ConfigMap](o) {
			for name, value := range m.Data {
				if secretName.MatchString(name) || strings.Contains(value, "PRIVATE KEY") || regexp.MustCompile(`\bSU[A-Z2-7]{56}\b`).MatchString(value) {
					t.Errorf("ConfigMap/%s: %s looks like a secret", m.Name, name)
				}
			}
		}
	})
}

// port returns the number of a container's port by its name or number.
func port(c corev1.Container, name string) (int32, error) {
	for _, p := range c.Ports {
		if p.Name == name || fmt.Sprint(p.ContainerPort) == name {
			return p.ContainerPort, nil
		}
	}
	return 0, fmt.Errorf("%s has no port %s", c.Name, name)
}
