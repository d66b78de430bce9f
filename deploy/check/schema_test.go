package check_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// custom are the schemas of kinds that Kubernetes does not come with: testdata/schemas/README.md says where they are from.
var custom = map[metav1.TypeMeta]string{
	{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject"}:           "scaledobject.json",
	{APIVersion: "monitoring.coreos.com/v1", Kind: "PodMonitor"}:     "podmonitor.json",
	{APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule"}: "prometheusrule.json",
}

// TestObjects: every object has a kind that is known, the fields of that kind, a name that may be one, and is there once.
func TestObjects(t *testing.T) {
	each(t, func(t *testing.T, o overlay) {
		seen := map[string]bool{}
		for _, object := range o.objects {
			checkObject(t, object)
			if seen[object.String()] {
				t.Errorf("%s is there twice", object)
			}
			seen[object.String()] = true
			if object.Kind != "Namespace" && object.Namespace != "stipple" {
				t.Errorf("%s is in the namespace %q", object, object.Namespace)
			}
			if object.Labels["app.kubernetes.io/part-of"] != "stipple" || object.Labels["app.kubernetes.io/name"] == "" && object.Kind != "ConfigMap" {
				t.Errorf("%s has the labels %v", object, object.Labels)
			}
		}
		if len(o.objects) < 20 {
			t.Errorf("kustomize makes %d objects", len(o.objects))
		}
	})
}

// TestComponents: what an overlay may take in is there when it does.
func TestComponents(t *testing.T) {
	found := map[string]bool{}
	for _, object := range build(t, "testdata/more").objects {
		found[object.Kind] = true
	}
	if !found["PodMonitor"] || !found["PrometheusRule"] || !found["ScaledObject"] {
		t.Errorf("there are %v", found)
	}
}

func checkObject(t *testing.T, o object) {
	t.Helper()
	for _, problem := range validation.IsDNS1123Subdomain(o.Name) {
		t.Errorf("%s: name: %s", o, problem)
	}
	for name, value := range o.Labels {
		for _, problem := range append(validation.IsQualifiedName(name), validation.IsValidLabelValue(value)...) {
			t.Errorf("%s: label %s: %q: %s", o, name, value, problem)
		}
	}
	if o.typed != nil {
		enumerations(t, o.String(), reflect.ValueOf(o.typed))
		return
	}
	file, ok := custom[o.TypeMeta]
	if !ok {
		t.Errorf("%s: nobody knows a kind %s %s", o, o.APIVersion, o.Kind)
		return
	}
	var value any
	data, err := yaml.YAMLToJSONStrict(o.yaml)
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		t.Errorf("%s: %v", o, err)
		return
	}
	if err := schema(t, file).Validate(value); err != nil {
		t.Errorf("%s: %v", o, err)
	}
}

// schema compiles one of testdata/schemas.
func schema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "schemas", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	document, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	strict(document)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	if err := c.AddResource(file, document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// strict makes of a schema in Kubernetes' form one by which unknown fields are wrong, as they are for the API server with strict validation.
func strict(node any) {
	m, ok := node.(map[string]any)
	if !ok {
		return
	}
	properties, _ := m["properties"].(map[string]any)
	_, open := m["additionalProperties"]
	if properties != nil && !open && m["x-kubernetes-preserve-unknown-fields"] != true {
		m["additionalProperties"] = false
	}
	if m["x-kubernetes-int-or-string"] == true {
		m["type"] = []any{"integer", "string"}
	}
	for _, p := range properties {
		strict(p)
	}
	strict(m["items"])
	strict(m["additionalProperties"])
}

// values are those that Kubernetes takes for types that are strings in Go.
var values = map[string][]string{
	"v1.Capability":                               {"ALL"},
	"v1.ConditionStatus":                          {},
	"v1.DNSPolicy":                                {"ClusterFirst", "Default", "None"},
	"v1.ConcurrencyPolicy":                        {"Allow", "Forbid", "Replace"},
	"v1.LabelSelectorOperator":                    {"In", "NotIn", "Exists", "DoesNotExist"},
	"v1.NodeSelectorOperator":                     {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"},
	"v1.PersistentVolumeAccessMode":               {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"},
	"v1.PersistentVolumeClaimRetentionPolicyType": {"Retain", "Delete"},
	"v1.PodFSGroupChangePolicy":                   {"OnRootMismatch", "Always"},
	"v1.PodManagementPolicyType":                  {"OrderedReady", "Parallel"},
	"v1.PolicyType":                               {"Ingress", "Egress"},
	"v1.Protocol":                                 {"TCP", "UDP", "SCTP"},
	"v1.PullPolicy":                               {"Always", "IfNotPresent", "Never"},
	"v1.RestartPolicy":                            {"Always", "OnFailure", "Never"},
	"v1.SeccompProfileType":                       {"RuntimeDefault", "Localhost", "Unconfined"},
	"v1.ServiceType":                              {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"},
	"v1.TaintEffect":                              {"NoSchedule", "PreferNoSchedule", "NoExecute"},
	"v1.TolerationOperator":                       {"Exists", "Equal"},
	"v1.UnhealthyPodEvictionPolicyType":           {"IfHealthyBudget", "AlwaysAllow"},
	"v1.UnsatisfiableConstraintAction":            {"DoNotSchedule", "ScheduleAnyway"},
	"v1.URIScheme":                                {"HTTP", "HTTPS"},
}

// free are types that are strings in Go and may be any.
var free = []string{"v1.ResourceName", "types.UID", "resource.Format"}

// enumerations holds that a value whose type is an enumeration is one of its values: Go's decoder takes any.
func enumerations(t *testing.T, where string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			enumerations(t, where, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				enumerations(t, where+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			enumerations(t, fmt.Sprintf("%s[%d]", where, i), v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			enumerations(t, fmt.Sprintf("%s[%v]", where, key), v.MapIndex(key))
		}
	case reflect.String:
		name := v.Type().String()
		if name == "string" || v.String() == "" || slices.Contains(free, name) {
			return
		}
		known, ok := values[name]
		if !ok {
			t.Errorf("%s is a %s: say in values what that may be", where, name)
		} else if !slices.Contains(known, v.String()) {
			t.Errorf("%s is %q: a %s is one of %s", where, v, name, strings.Join(known, ", "))
		}
	default:
	}
}

// TestStrictness: what is wrong is found.
func TestStrictness(t *testing.T) {
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte("spec: {container: []}"), &pod); err == nil {
		t.Error("a field that Kubernetes does not have is taken")
	}
	s := schema(t, "scaledobject.json")
	for name, spec := range map[string]string{
		"an unknown field":   `{"scaleTargetRef": {"name": "w"}, "triggers": [], "minReplicas": 1}`,
		"one in a trigger":   `{"scaleTargetRef": {"name": "w"}, "triggers": [{"type": "nats-jetstream", "metadata": {}, "lag": "1"}]}`,
		"no target":          `{"triggers": []}`,
		"a number as string": `{"scaleTargetRef": {"name": "w"}, "triggers": [], "minReplicaCount": "1"}`,
		"metadata no string": `{"scaleTargetRef": {"name": "w"}, "triggers": [{"type": "nats-jetstream", "metadata": {"lagThreshold": 10}}]}`,
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "w"}, "spec": ` + spec + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(value) == nil {
			t.Errorf("%s: a ScaledObject with it is taken", name)
		}
	}
}
