package main

import "github.com/stipple-ai/stipple/internal/manual"

// completions says what a shell completes. A flag that takes text and is not in it fails a test.
func completions() manual.Table {
	anything := manual.Anything()
	return manual.Table{Flags: map[string]manual.Values{
		"models":          manual.Folders(),
		"model-cache":     manual.Folders(),
		"hf-endpoint":     anything,
		"hf-token":        anything,
		"onnxruntime-lib": manual.Files(),
		"log-level":       manual.Words("debug", "info", "warn", "error"),
		"data":            manual.Folders(),
		"out":             manual.Folders(),
		"nats-addr":       anything,
		"s3-addr":         anything,
		"otlp-addr":       anything,
		"http-addr":       anything,
		"page-addr":       anything,
	}}
}
