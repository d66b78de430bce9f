package main

import (
	"log/slog"

	"github.com/stipple-ai/stipple/internal/buildinfo"
	"github.com/stipple-ai/stipple/internal/infer/ort"
)

// version is that of the build, as telemetry and results tell it.
func version() string { return buildinfo.Read().Version }

// fullVersion is the build, and the version of ONNX Runtime where its library can be loaded: library, or the one beside the
// program.
func fullVersion(library string) string {
	r, err := ort.Open(ort.Options{Library: library, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return buildinfo.Read().String("no ONNX Runtime")
	}
	text := buildinfo.Read().String("ONNX Runtime " + r.Version())
	_ = r.Close() // the process ends
	return text
}
