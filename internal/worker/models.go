package worker

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stipple-ai/stipple/internal/modelstore"
	"github.com/stipple-ai/stipple/internal/queue"
)

// ModelPath is a model to serve: its name in jobs, and the folder of its pipeline, or the URL that a command brings it from before a worker runs.
type ModelPath struct{ Name, Dir string }

var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ParseModels reads MODELS: folders or URLs (internal/modelstore), comma-separated, each `name=place` or a place whose last part is the name. Two names that
// are one token in the queue's subjects (`.` stands there as `_`) are refused.
func ParseModels(s string) ([]ModelPath, error) {
	var models []ModelPath
	var errs []error
	byToken := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, dir, named := strings.Cut(part, "=")
		if !named || strings.Contains(name, "/") { // a URL may have a = of its own
			name, dir = filepath.Base(filepath.Clean(part)), part
			if modelstore.Remote(part) {
				name = modelstore.Name(part)
			}
		}
		if modelstore.Remote(dir) {
			if err := modelstore.Check(dir); err != nil {
				errs = append(errs, fmt.Errorf("models: %w", err))
				continue
			}
		}
		switch other, taken := byToken[queue.ModelToken(name)]; {
		case !modelName.MatchString(name):
			errs = append(errs, fmt.Errorf("models: %q is not a model name (letters, digits, `.`, `_` and `-`, at most 64): give it one as name=path", name))
		case dir == "":
			errs = append(errs, fmt.Errorf("models: %s has no path: write name=path", name))
		case taken:
			errs = append(errs, fmt.Errorf("models: %s and %s are one name in the queue's subjects (%s): rename one as name=path", other, name, queue.ModelToken(name)))
		default:
			byToken[queue.ModelToken(name)] = name
			models = append(models, ModelPath{Name: name, Dir: dir})
		}
	}
	if len(models) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("models: none given: set MODELS (--models) to the folder of a pipeline, for example models/tiny-emoji, or to a URL as hf://org/repo"))
	}
	return models, errors.Join(errs...)
}
