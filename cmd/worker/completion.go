package main

import (
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/infer/schedule"
	"github.com/stipple-ai/stipple/internal/manual"
	"github.com/stipple-ai/stipple/internal/upload"
)

// completions says what a shell completes. A flag that takes text and is not in it fails a test.
func completions() manual.Table {
	anything := manual.Anything()
	return manual.Table{
		Flags: map[string]manual.Values{
			"models": manual.Folders(),
			"model":  manual.Folders(),

			"model-cache": manual.Folders(),
			"hf-endpoint": anything,
			"hf-token":    anything,

			"nats-url":          anything,
			"nats-creds":        manual.Files("creds"),
			"nats-nkey":         manual.Files(),
			"nats-ca":           manual.Files("pem", "crt"),
			"nats-inbox-prefix": anything,
			"queue-prefix":      anything,

			"s3-bucket":           anything,
			"s3-prefix":           anything,
			"s3-tags":             anything,
			"s3-sse":              manual.Words("AES256", "aws:kms", "aws:kms:dsse"),
			"s3-sse-kms-key-id":   anything,
			"s3-addressing-style": manual.Words(upload.AddressingAuto, upload.AddressingPath, upload.AddressingVirtual),
			"metadata":            manual.Words("full", "minimal", "none"),

			"onnxruntime-lib": manual.Files(),
			"provider":        manual.Words(ort.Providers...),
			"arena-limit":     anything,
			"row-shapes":      anything,

			"provider-options":  anything,
			"provider-fallback": manual.Words("cpu"),
			"engine-cache":      manual.Folders(),
			"engine-sides":      anything,

			"scheduler": manual.Words(schedule.Names()...),
			"rows":      anything,
			"lanes":     anything,

			"http-addr":   anything,
			"worker-name": anything,
			"log-level":   manual.Words("debug", "info", "warn", "error"),
			"log-format":  manual.Words("json", "text"),
		},
	}
}
