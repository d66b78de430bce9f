package main

import (
	"strings"
	"testing"
)

func TestSumOf(t *testing.T) {
	const text = `# HELP worker_inference_batch_size Rows
worker_inference_batch_size_bucket{model_name="a",le="1"} 3
worker_inference_batch_size_sum{model_name="a"} 30
worker_inference_batch_size_sum{model_name="b c"} 1.2e+06
worker_inference_batch_size_summary 7
worker_inference_batch_size_count{model_name="a"} 3
`
	if got, err := sumOf(strings.NewReader(text), rowsMetric); err != nil || got != 1_200_030 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := sumOf(strings.NewReader(rowsMetric+" many\n"), rowsMetric); err == nil {
		t.Error("many is a number")
	}
}
