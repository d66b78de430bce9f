// Package buildinfo says which build of stipple a program is.
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Set by the linker, for builds from a tree without version control (scripts/release.sh, deploy/Dockerfile):
//
//	go build -ldflags "-X github.com/stipple-ai/stipple/internal/buildinfo.version=v0.1.0 -X …buildinfo.commit=0123abcd"
//
// Empty, the go command's own stamps say it.
var version, commit string

// Info is a build.
type Info struct {
	Version  string // v0.1.0, a pseudo-version of the commit, or devel
	Commit   string // as many hex digits as are known; "" where the build does not know
	Modified bool   // the tree differed from the commit
	Go       string // go1.26.0
	Platform string // linux/amd64
}

// Read returns the build of the running program.
func Read() Info {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return from(info, version, commit)
}

// from lays what the linker was told over what the go command has stamped.
func from(info *debug.BuildInfo, version, commit string) Info {
	b := Info{Version: version, Commit: commit, Go: cmp.Or(info.GoVersion, runtime.Version()), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	b.Version = cmp.Or(b.Version, "devel")
	if commit != "" {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// shownCommit is how many digits of a commit tell it from others.
const shownCommit = 12

// String is the build in one line; more is what else a program knows of itself.
func (b Info) String(more ...string) string {
	var parts []string
	if c := b.Commit; c != "" {
		c = c[:min(len(c), shownCommit)]
		if b.Modified {
			c += " with changes"
		}
		parts = append(parts, "commit "+c)
	}
	parts = append(parts, b.Go, b.Platform)
	return fmt.Sprintf("%s (%s)", b.Version, strings.Join(append(parts, more...), ", "))
}
