package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/stipple-ai/stipple/internal/doctor"
	"github.com/stipple-ai/stipple/internal/modelflags"
	"github.com/stipple-ai/stipple/internal/modelstore"
	"github.com/stipple-ai/stipple/internal/worker"
)

// look is a model for the doctor, which downloads nothing.
func look(ctx context.Context, s *modelflags.Sources, m worker.ModelPath) doctor.Model {
	d := doctor.Model{Name: m.Name, Dir: m.Dir}
	if !modelstore.Remote(m.Dir) {
		return d
	}
	store, err := s.Open(slog.New(slog.DiscardHandler), nil)
	if err != nil {
		d.Absent = err
		return d
	}
	defer store.Close()
	found, err := store.Look(ctx, m.Dir)
	d.Source, d.Dir = m.Dir, found.Dir
	switch missing := found.Bytes - found.Have; {
	case err != nil:
		d.Absent = err
	case found.Dir != "":
	case found.Refused != nil:
		d.Absent = found.Refused
	case found.Free >= 0 && missing > found.Free:
		d.Absent = fmt.Errorf("%s are to be downloaded, and the cache has room for %s: make room, or set STIPPLE_MODEL_CACHE (--model-cache)", modelstore.Bytes(missing), modelstore.Bytes(found.Free))
	default:
		d.Later = true
		d.Absent = fmt.Errorf("not downloaded yet: %d files, %s, of which %s are here, at version %.12s", found.Files, modelstore.Bytes(found.Bytes), modelstore.Bytes(found.Have), found.Version)
	}
	return d
}
