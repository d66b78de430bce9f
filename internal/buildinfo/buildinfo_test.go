package buildinfo

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestFrom(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	stamped := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "true"}}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	for _, c := range []struct {
		name            string
		main            string
		settings        []debug.BuildSetting
		version, commit string
		want            string
	}{
		{"release by tag", "v0.1.0", stamped[:2], "", "", "v0.1.0 (commit 0123456789ab, go1.26.0, " + platform + ")"},
		{"between releases", "v0.1.1-0.20260102150405-0123456789ab+dirty", stamped, "", "", "v0.1.1-0.20260102150405-0123456789ab+dirty (commit 0123456789ab with changes, go1.26.0, " + platform + ")"},
		{"without version control", "(devel)", nil, "", "", "devel (go1.26.0, " + platform + ")"},
		{"no module", "", nil, "", "", "devel (go1.26.0, " + platform + ")"},
		{"linker", "(devel)", nil, "v0.1.0", "0123abcd", "v0.1.0 (commit 0123abcd, go1.26.0, " + platform + ")"},
		{"linker wins", "v0.0.1", stamped, "v0.1.0", "89abcdef", "v0.1.0 (commit 89abcdef, go1.26.0, " + platform + ")"},
	} {
		t.Run(c.name, func(t *testing.T) {
			info := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: c.main}, Settings: c.settings}
			if got := from(info, c.version, c.commit).String(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRead(t *testing.T) {
	b := Read()
	if b.Version == "" || !strings.HasPrefix(b.Go, "go") {
		t.Errorf("got %+v", b)
	}
	if got := b.String("ONNX Runtime 1.28.0"); !strings.HasSuffix(got, "ONNX Runtime 1.28.0)") {
		t.Errorf("got %s", got)
	}
}
