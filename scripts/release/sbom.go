package main

import (
	"encoding/json"
	"fmt"
)

// component is one of CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).
type component struct {
	Type     string          `json:"type"`
	Ref      string          `json:"bom-ref"`
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Purl     string          `json:"purl,omitempty"`
	Licences []licenceChoice `json:"licenses,omitempty"`
}

type licenceChoice struct {
	Licence licenceID `json:"license"`
}

type licenceID struct {
	ID string `json:"id"`
}

// bill is a bill of materials. It has no serial number and no time, so that equal releases have equal ones.
type bill struct {
	Format      string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    metadata    `json:"metadata"`
	Components  []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

// materials is the bill of a release for a platform.
func materials(version, platform string, modules []module) ([]byte, error) {
	b := bill{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{component{
		Type: "application", Ref: "stipple", Name: "stipple", Version: version,
		Purl: fmt.Sprintf("pkg:golang/github.com/stipple-ai/stipple@%s?platform=%s", version, platform), Licences: []licenceChoice{{licenceID{"Apache-2.0"}}},
	}}}
	for _, m := range modules {
		kind := "golang"
		if m.Path == onnxRuntime {
			kind = "pypi" // where its library is from
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, Purl: fmt.Sprintf("pkg:%s/%s@%s", kind, m.Path, m.Version)}
		c.Ref = c.Purl
		for _, l := range m.licences() {
			c.Licences = append(c.Licences, licenceChoice{licenceID{l}})
		}
		b.Components = append(b.Components, c)
	}
	return json.MarshalIndent(b, "", "  ")
}
