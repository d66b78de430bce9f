package modelstore

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Remote reports whether a model's place in MODELS is a URL, and so one for [Store.Fetch], and not a folder.
func Remote(place string) bool { return strings.Contains(place, "://") }

// Name is the name that a model has by its URL: the last part of the path, without revision and archive's suffix. "" where there is none.
func Name(place string) string {
	src, err := parse(place)
	if err != nil {
		return ""
	}
	return src.name()
}

// Check reports what is wrong with a model's URL.
func Check(place string) error {
	_, err := parse(place)
	return err
}

// kind is a way to reach a model.
type kind string

// The kinds of sources.
const (
	kindHub     kind = "hf"      // hf://org/repo[@revision][/path]
	kindBucket  kind = "s3"      // s3://bucket/prefix
	kindFolder  kind = "folder"  // https://host/path/, with a SHA256SUMS
	kindArchive kind = "archive" // https://host/path.tar.gz
)

// source is where a model comes from.
type source struct {
	kind     kind
	repo     string // hub: org/repo
	revision string // hub: a branch, tag or commit
	bucket   string
	path     string   // hub, bucket: the model's folder, "" for all of it; no slash at either end
	url      *url.URL // folder, archive
}

const sourcesAre = "a model is a folder, hf://org/repo, hf://org/repo@revision/path, s3://bucket/prefix, or https:// with an archive (.tar, .tar.gz, .tgz, .tar.zst, .zip) or a folder that has a SHA256SUMS"

func parse(s string) (source, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return source{}, fmt.Errorf("%q is no URL: %s", s, sourcesAre)
	}
	switch scheme {
	case "hf":
		return parseHub(rest)
	case "s3":
		bucket, prefix, _ := strings.Cut(rest, "/")
		prefix = strings.Trim(prefix, "/")
		if !bucketName.MatchString(bucket) || (prefix != "" && !fs.ValidPath(prefix)) {
			return source{}, fmt.Errorf("%q names no bucket and prefix: write s3://bucket/prefix", s)
		}
		return source{kind: kindBucket, bucket: bucket, path: prefix}, nil
	case "http", "https":
		return parseWeb(s)
	default:
		return source{}, fmt.Errorf("%s:// is not a way to a model: %s", scheme, sourcesAre)
	}
}

var (
	repoName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$`)
	commit     = regexp.MustCompile(`^[0-9a-f]{40}$`)
	reference  = regexp.MustCompile(`^refs/[a-z]+/[^/]+`) // refs/pr/1, refs/convert/onnx: the one kind of revision with slashes that need no %2F
)

func parseHub(rest string) (source, error) {
	s := source{kind: kindHub, revision: "main"}
	bad := func(what string) (source, error) {
		return source{}, fmt.Errorf("hf://%s %s: write hf://org/repo, hf://org/repo@revision or hf://org/repo@revision/path (a slash in the revision as %%2F)", rest, what)
	}
	before, after, pinned := strings.Cut(rest, "@")
	if pinned {
		s.repo = before
		revision, folder, _ := strings.Cut(after, "/")
		if ref := reference.FindString(after); ref != "" {
			revision, folder = ref, strings.TrimPrefix(after[len(ref):], "/")
		}
		var err error
		if s.revision, err = url.PathUnescape(revision); err != nil || !validRevision(s.revision) {
			return bad("has a revision that is none")
		}
		s.path = strings.Trim(folder, "/")
	} else {
		parts := strings.SplitN(rest, "/", 3)
		s.repo = strings.Join(parts[:min(2, len(parts))], "/")
		if len(parts) == 3 {
			s.path = strings.Trim(parts[2], "/")
		}
	}
	if !repoName.MatchString(s.repo) || strings.Contains(s.repo, "..") {
		return bad("names no repository")
	}
	if s.path != "" && !fs.ValidPath(s.path) {
		return bad("has a path that leads elsewhere")
	}
	return s, nil
}

func validRevision(r string) bool {
	odd := func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`~^:?*[\`, c) } // as git has it
	return r != "" && len(r) <= 255 && r[0] != '-' && fs.ValidPath(r) && r != "." && !strings.Contains(r, "..") && !strings.ContainsFunc(r, odd)
}

// archives are the suffixes of the archives that can be unpacked.
var archives = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip"}

func parseWeb(s string) (source, error) {
	u, err := url.Parse(s)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // without the URL, which may hold a secret
		}
		return source{}, fmt.Errorf("a model's URL is none: %w", err)
	}
	if u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		u.RawQuery = "" // a signature, more likely than not
		return source{}, fmt.Errorf("%q is no URL of a model: write https://host/path", u.Redacted())
	}
	src := source{kind: kindFolder, url: u}
	if src.suffix() != "" {
		src.kind = kindArchive
		return src, nil
	}
	u.Path = strings.TrimRight(u.Path, "/") + "/"
	u.RawPath = ""
	if u.RawQuery != "" {
		u.RawQuery = "" // as above
		return source{}, fmt.Errorf("%q is a folder, and so may have no query: only archives (%s) may", u.Redacted(), strings.Join(archives, ", "))
	}
	return src, nil
}

// suffix is the archive's, or "".
func (s source) suffix() string {
	for _, suffix := range archives {
		if strings.HasSuffix(strings.ToLower(s.url.Path), suffix) {
			return suffix
		}
	}
	return ""
}

func (s source) name() string {
	switch {
	case s.path != "":
		return path.Base(s.path)
	case s.kind == kindHub:
		return path.Base(s.repo)
	case s.kind == kindBucket:
		return s.bucket
	}
	name := path.Base(strings.TrimRight(s.url.Path, "/"))
	if s.kind == kindArchive {
		name = name[:len(name)-len(s.suffix())]
	}
	if name == "." || name == "/" {
		return ""
	}
	return name
}

// String is the source for messages: without user, password and query, which may be secrets.
func (s source) String() string {
	switch s.kind {
	case kindHub:
		return s.place() + "@" + s.revision + optional("/", s.path)
	case kindBucket:
		return s.place() + optional("/", s.path)
	default:
		return s.place()
	}
}

// place is what the cache knows the source by, revision and what changes from time to time aside.
func (s source) place() string {
	switch s.kind {
	case kindHub:
		return "hf://" + s.repo
	case kindBucket:
		return "s3://" + s.bucket
	}
	return (&url.URL{Scheme: s.url.Scheme, Host: s.url.Host, Path: s.url.Path}).String()
}

// pinned is the version that the source names for good, or "".
func (s source) pinned() string {
	if s.kind == kindHub && commit.MatchString(s.revision) {
		return s.revision
	}
	return ""
}

func optional(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}
