package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/infer/ort"
)

// providerFlags are the settings of a GPU's provider beside PROVIDER and DEVICE.
type providerFlags struct {
	options, fallback, cache, sides string
}

func (p *providerFlags) define(fs *pflag.FlagSet) {
	fs.StringVar(&p.options, "provider-options", "", "options of CUDA and TensorRT by ONNX Runtime's names: name=value pairs, comma-separated, as gpu_mem_limit=20GiB (docs/gpu.md)")
	fs.StringVar(&p.fallback, "provider-fallback", "", "cpu: draw on the CPU, with a warning, where the provider cannot work; default: that is an error")
	fs.StringVar(&p.cache, "engine-cache", "", "folder for TensorRT's engines and timings; default: stipple/engines in the user's cache ($XDG_CACHE_HOME or ~/.cache)")
	fs.StringVar(&p.sides, "engine-sides", "", "shortest and longest side in pixels of the pictures that TensorRT's engines are built for, as 512-1024; others are refused; default: the model's own size alone")
}

// apply judges the flags and completes o. A provider that cannot work is replaced by the CPU where that was asked for: fellBack is why.
func (p *providerFlags) apply(o *ort.Options) (fellBack error, _ error) {
	var errs []error
	var err error
	if o.ProviderOptions, err = ort.ParseProviderOptions(p.options); err != nil {
		errs = append(errs, fmt.Errorf("PROVIDER_OPTIONS (--provider-options): %w", err))
	}
	if o.EngineSides, err = parseSides(p.sides); err != nil {
		errs = append(errs, fmt.Errorf("ENGINE_SIDES (--engine-sides) is %q: %w", p.sides, err))
	}
	if p.fallback != "" && p.fallback != "cpu" {
		errs = append(errs, fmt.Errorf("PROVIDER_FALLBACK (--provider-fallback) is %q: must be cpu, or left out", p.fallback))
	}
	if o.EngineCache = p.cache; p.cache == "" && o.Provider == "tensorrt" {
		cache, err := os.UserCacheDir()
		if err != nil {
			errs = append(errs, fmt.Errorf("no folder to keep engines in (%w): set ENGINE_CACHE (--engine-cache)", err))
		}
		o.EngineCache = filepath.Join(cache, "stipple", "engines")
	}
	if len(errs) == 0 && p.fallback == "cpu" {
		if _, err := ort.Inspect(*o); err != nil {
			o.Provider, o.ProviderOptions = "cpu", nil
			return err, nil
		}
	}
	return nil, errors.Join(errs...)
}

// parseSides reads 512-1024, or one number for both; "" is zero.
func parseSides(s string) (sides [2]int, err error) {
	if s == "" {
		return sides, nil
	}
	shortest, longest, two := strings.Cut(s, "-")
	if !two {
		longest = shortest
	}
	for i, part := range []string{shortest, longest} {
		if sides[i], err = strconv.Atoi(strings.TrimSpace(part)); err != nil {
			break
		}
	}
	if err != nil || sides[0] < 8 || sides[1] < sides[0] {
		return [2]int{}, errors.New("must be two numbers of pixels, the shorter side first, as 512-1024")
	}
	return sides, nil
}
