package main

import (
	"github.com/stipple-ai/stipple/internal/gallery"
	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// tracesOf sorts the spans of a collector by trace id, as the gallery takes them.
func tracesOf(spans []otlpd.Span) map[string][]gallery.Span {
	traces := make(map[string][]gallery.Span)
	for _, s := range spans {
		traces[s.TraceID] = append(traces[s.TraceID], gallery.Span{
			ID: s.SpanID, Parent: s.ParentID, Name: s.Name, Kind: s.Kind, Start: s.Start, End: s.End,
			Failed: s.Status.Code == "ERROR", Message: s.Status.Message, Attributes: s.Attributes,
		})
	}
	return traces
}
