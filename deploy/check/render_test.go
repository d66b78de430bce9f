// Package check holds the deployment files against those who will read them: what kustomize, Kubernetes, KEDA and the Prometheus Operator, Compose and BuildKit's parser take, and rules
// of our own. It is a module of its own because of their libraries. Rules that need the queue, the broker or the programs are with the tests of deploy/, which read what kustomize
// made from testdata/overlays.
package check_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write testdata/overlays from what kustomize makes now")

// folders are those that a cluster may be given: the overlays, and one with every component.
var folders = []string{"../kubernetes/overlays/cpu", "../kubernetes/overlays/cuda", "../kubernetes/overlays/spot", "testdata/more"}

// overlay is what kustomize makes of a folder of overlays/.
type overlay struct {
	name    string
	yaml    []byte
	objects []object
}

// object is one of Kubernetes' objects.
type object struct {
	metav1.TypeMeta
	metav1.ObjectMeta

	yaml  []byte
	typed any // *appsv1.Deployment and so on; nil for kinds that Kubernetes does not come with
}

func (o object) String() string { return o.Kind + "/" + o.Name }

// kinds are those that Kubernetes comes with, as far as they are used here.
var kinds = map[metav1.TypeMeta]func() any{
	{APIVersion: "v1", Kind: "Namespace"}:                       func() any { return &corev1.Namespace{} },
	{APIVersion: "v1", Kind: "ServiceAccount"}:                  func() any { return &corev1.ServiceAccount{} },
	{APIVersion: "v1", Kind: "ConfigMap"}:                       func() any { return &corev1.ConfigMap{} },
	{APIVersion: "v1", Kind: "Secret"}:                          func() any { return &corev1.Secret{} },
	{APIVersion: "v1", Kind: "Service"}:                         func() any { return &corev1.Service{} },
	{APIVersion: "v1", Kind: "PersistentVolumeClaim"}:           func() any { return &corev1.PersistentVolumeClaim{} },
	{APIVersion: "apps/v1", Kind: "Deployment"}:                 func() any { return &appsv1.Deployment{} },
	{APIVersion: "apps/v1", Kind: "StatefulSet"}:                func() any { return &appsv1.StatefulSet{} },
	{APIVersion: "batch/v1", Kind: "Job"}:                       func() any { return &batchv1.Job{} },
	{APIVersion: "batch/v1", Kind: "CronJob"}:                   func() any { return &batchv1.CronJob{} },
	{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}: func() any { return &networkingv1.NetworkPolicy{} },
	{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}:      func() any { return &policyv1.PodDisruptionBudget{} },
}

// built keeps the overlays, since each test looks at all of them.
var built = struct {
	sync.Mutex
	overlays map[string]overlay
}{overlays: map[string]overlay{}}

// build has kustomize make what lies in a folder.
func build(t *testing.T, folder string) overlay {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if o, ok := built.overlays[folder]; ok {
		return o
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // as kubectl has it: a namespace before what is in it
	made, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	o := overlay{name: filepath.Base(folder)}
	if o.yaml, err = made.AsYaml(); err != nil {
		t.Fatal(err)
	}
	for _, r := range made.Resources() {
		data, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		o.objects = append(o.objects, decode(t, data))
	}
	built.overlays[folder] = o
	return o
}

// decode reads an object as strictly as the API server does: a field that its kind does not have, or has twice, is an error.
func decode(t *testing.T, data []byte) object {
	t.Helper()
	var o object
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(data, &head); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	o.TypeMeta, o.ObjectMeta, o.yaml = head.TypeMeta, head.ObjectMeta, data
	if empty, ok := kinds[o.TypeMeta]; ok {
		o.typed = empty()
		if err := yaml.UnmarshalStrict(data, o.typed); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	return o
}

// each runs a test on every overlay.
func each(t *testing.T, test func(t *testing.T, o overlay)) {
	t.Helper()
	for _, folder := range folders {
		o := build(t, folder)
		t.Run(o.name, func(t *testing.T) { test(t, o) })
	}
}

// of returns the objects of one type.
func of[T any](o overlay) []T {
	var all []T
	for _, object := range o.objects {
		if typed, ok := object.typed.(T); ok {
			all = append(all, typed)
		}
	}
	return all
}

// TestOverlays: testdata has what kustomize makes, for the tests of deploy/, and so that a change shows what becomes of it.
func TestOverlays(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		if o.name == "more" {
			return // for the rules alone
		}
		file := filepath.Join("testdata", "overlays", o.name+".yaml")
		if *update {
			if err := os.WriteFile(file, o.yaml, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, o.yaml) {
			t.Errorf("run go test -C deploy/check -run TestOverlays -update ./... (-testdata +now):\n%s", cmp.Diff(string(want), string(o.yaml)))
		}
	})
	overlays, err := filepath.Glob("../kubernetes/overlays/*")
	if err != nil || !slices.Equal(overlays, folders[:len(folders)-1]) {
		t.Errorf("overlays %q, %v: want each in folders", overlays, err)
	}
}
