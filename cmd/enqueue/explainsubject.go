package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/stipple-ai/stipple/internal/upload"
)

// subject is what an argument names: one of a file, an object and a job.
type subject struct {
	file        string
	bucket, key string // bucket "" is the one that is set
	job         target // index -1 for none; of an object, what its key says
}

// parseSubject reads IMAGE, KEY or JOB. What lies there as a file is a file.
func parseSubject(arg string) (subject, error) {
	s := subject{job: target{index: -1}}
	if rest, ok := strings.CutPrefix(arg, "s3://"); ok {
		if s.bucket, s.key, ok = strings.Cut(rest, "/"); !ok || s.bucket == "" || s.key == "" {
			return s, fmt.Errorf("%q is no object: it is s3://<bucket>/<key>", arg)
		}
		s.job = jobOfKey(s.key)
		return s, nil
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.Mode().IsRegular():
		s.file = arg
		return s, nil
	case err == nil:
		return s, fmt.Errorf("%q is no file: name a picture, as in %s", arg, path.Join(arg, "00000007.png"))
	case !errors.Is(err, fs.ErrNotExist) && !strings.Contains(arg, "/"):
		return s, err
	}
	if s.job = jobOfKey(arg); s.job.index >= 0 {
		s.key = arg
		return s, nil
	}
	if targets, err := parseTargets([]string{arg}); err == nil && targets[0].index >= 0 {
		s.job = targets[0]
		return s, nil
	}
	return s, fmt.Errorf("%q is no file that is there, no key of a picture (<batch>/<index>-<spec>.png) and no job (<batch>/<index>)", arg)
}

// jobOfKey is the job whose picture has a key, under whatever prefix; its index is -1 if no job's has.
func jobOfKey(key string) target {
	if k, ok := upload.ParseKey("", keyTail(key)); ok {
		return target{k.Batch, k.Index}
	}
	return target{index: -1}
}

// keyTail is a picture's key without its prefix: <batch>/<index>-<spec16>.<ext>.
func keyTail(key string) string {
	dir, name := path.Split(key)
	return path.Join(path.Base(dir), name)
}
