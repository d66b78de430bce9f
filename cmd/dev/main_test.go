package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/s3d"
)

func TestMain(m *testing.M) {
	var ignore []goleak.Option
	for _, name := range s3d.Lingering() {
		ignore = append(ignore, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, ignore...)
}
