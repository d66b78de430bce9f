package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/otel"
)

// Warmed is a model that works.
type Warmed struct {
	Name, Digest string
	Rows         []int // the row counts that its calls are padded to
}

// Warm loads every model as Run does before it is ready, which makes whatever a provider keeps for the next time (TensorRT: engines), and lets them go. It
// connects to nothing. told, which may be nil, hears of each model when it is warm, with the time that took.
func Warm(ctx context.Context, cfg Config, told func(Warmed, time.Duration)) (err error) {
	cfg, err = cfg.Normalize()
	if err != nil {
		return &ConfigError{err}
	}
	t, err := otel.Setup(ctx, otel.Options{Getenv: func(string) string { return "" }, Logger: slog.New(slog.DiscardHandler), ServiceVersion: cfg.Version})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Shutdown(context.WithoutCancel(ctx))) }()
	rt, err := ort.Open(cfg.Runtime)
	if err != nil {
		return &ConfigError{err}
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	lanes := infer.NewLanes(cfg.Lanes)
	defer lanes.Close()
	all := cfg.Models
	for _, path := range all { // one by one: a card has room for one, not always for all
		begin := time.Now()
		cfg.Models = []ModelPath{path}
		models, err := loadModels(ctx, cfg, rt, lanes, t, func(string, error) {})
		if err != nil {
			return &ConfigError{err}
		}
		if told != nil {
			told(Warmed{Name: path.Name, Digest: models[0].digest, Rows: models[0].shapes}, time.Since(begin))
		}
		if err := closeModels(models); err != nil {
			return err
		}
	}
	return nil
}
