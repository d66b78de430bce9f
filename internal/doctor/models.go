package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stipple-ai/stipple/internal/infer/ort"
)

// lookAtModels opens the runtime and loads each model as a worker does, which shows at once whether the provider works.
// It returns the digests of those that load.
func (c Config) lookAtModels(ctx context.Context) (checks []Check, digests map[string]string) {
	checks, ok := c.lookAtProvider()
	if !ok {
		return checks, nil
	}
	rt, err := ort.Open(c.Runtime)
	if err != nil {
		mend := "set PROVIDER to cpu, cuda or tensorrt, and the other settings of the runtime to what worker -h says"
		if errors.Is(err, ort.ErrLibrary) {
			mend = "put ONNX Runtime's library (1.28.0; `make ort` fetches it) beside the program, or set ONNXRUNTIME_LIB to its file"
		}
		return append(checks, failed(AreaModels, "runtime", err.Error(), mend)), nil
	}
	defer func() {
		if err := rt.Close(); err != nil {
			checks = append(checks, failed(AreaModels, "runtime", "closing it: "+err.Error(), "this is an error of the program: report it"))
		}
	}()
	checks = append(checks, Check{AreaModels, "runtime", OK, "ONNX Runtime " + rt.Version() + ", provider " + cmp.Or(rt.Provider(), "cpu"), ""})
	switch {
	case len(c.Models) == 0 && len(c.Settings) > 0:
		return append(checks, Check{AreaModels, "MODELS", Skipped, "see settings above", ""}), nil
	case len(c.Models) == 0:
		return append(checks, failed(AreaModels, "MODELS", "none given", "set MODELS to the folder of a pipeline, for example models/tiny-emoji")), nil
	}
	digests = map[string]string{}
	for _, m := range c.Models {
		check := Check{Area: AreaModels, Name: m.Name, Status: OK}
		if m.Absent != nil {
			checks = append(checks, m.absent())
			continue
		}
		digest, detail, err := load(ctx, rt, m)
		switch {
		case ctx.Err() != nil:
			check.Status, check.Detail = Skipped, "interrupted"
		case errors.Is(err, ort.ErrLibrary):
			check.Status, check.Detail = Failed, err.Error()
			check.Mend = fmt.Sprintf("install what provider %s needs, or set PROVIDER=cpu", rt.Provider())
		case err != nil:
			check.Status, check.Detail = Failed, err.Error()
			check.Mend = "MODELS must name a folder with a pipeline in ONNX, as deploy/export and optimum write it: mend the file that is named, or export the model again"
			if m.Source != "" {
				check.Mend = fmt.Sprintf("it was whole when it was downloaded: remove %s, and the next start downloads it again", m.Dir)
			}
		default:
			check.Detail = detail
			digests[m.Name] = digest
		}
		checks = append(checks, check)
	}
	return checks, digests
}

// load loads a model and lets it go.
func load(ctx context.Context, rt *ort.Runtime, m Model) (digest, detail string, err error) {
	p, err := rt.Load(ctx, m.Dir)
	if err != nil {
		return "", "", err
	}
	info := p.Info()
	detail = fmt.Sprintf("%s, %d×%d, digest %.12s", m.Dir, info.Width, info.Height, p.Digest())
	return p.Digest(), detail, p.Close()
}

// absent is the check of a model that is not here.
func (m Model) absent() Check {
	if m.Later {
		return Check{AreaModels, m.Name, Warning, m.Absent.Error(), "a worker downloads it before it is ready; `worker warm` does so beforehand"}
	}
	return failed(AreaModels, m.Name, m.Absent.Error(), "correct MODELS, or the settings of where it comes from: HF_ENDPOINT, HF_TOKEN, AWS_ENDPOINT_URL_S3, STIPPLE_MODEL_CACHE")
}

// lookAtProvider tells what a GPU's provider needs, with versions; on a CPU there is nothing to tell. ok is whether it can work.
func (c Config) lookAtProvider() (checks []Check, ok bool) {
	if c.FellBack != nil {
		checks = append(checks, Check{AreaModels, "provider", Warning, "PROVIDER_FALLBACK: the CPU is used, since " + c.FellBack.Error(), "mend what is missing; a CPU takes a hundred times as long"})
	}
	found, err := ort.Inspect(c.Runtime)
	for _, p := range found.Parts {
		check := Check{AreaModels, p.Name, OK, strings.TrimSpace(p.Version + " " + p.Path), ""}
		if p.Err != nil {
			check.Status, check.Detail, check.Mend = Failed, p.Err.Error(), p.Mend
		}
		checks = append(checks, check)
	}
	if d := found.Device; d.Name != "" {
		checks = append(checks, Check{AreaModels, fmt.Sprintf("device %d", c.Runtime.Device), OK, fmt.Sprintf("%s, compute capability %s, driver %s", d.Name, d.Capability, cmp.Or(d.Driver, "unknown")), ""})
	}
	if err != nil && len(found.Parts) == 0 { // the library itself is missing, which Open says better
		return checks, true
	}
	return checks, err == nil
}
