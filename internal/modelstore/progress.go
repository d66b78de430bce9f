package modelstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Progress is how far a download is.
type Progress struct {
	Source      string // without secrets
	Done, Total int64  // bytes, those of an earlier try included; Total grows where the source does not tell sizes before
	FilesDone   int
	Files       int
	PerSecond   float64 // bytes, since the download began
}

// meter counts a download's bytes and files.
type meter struct {
	done, total, earlier atomic.Int64
	filesDone            atomic.Int64
}

const (
	tellEvery = 250 * time.Millisecond
	logEvery  = 10 * time.Second
)

// tell reports to Config.Progress, or to the log, until ctx ends; to the former once more then.
func (m *meter) tell(ctx context.Context, c Config, src source, files int) {
	begin := time.Now()
	logged := begin
	state := func() Progress {
		p := Progress{Source: src.String(), Done: m.done.Load(), Total: m.total.Load(), FilesDone: int(m.filesDone.Load()), Files: files}
		p.PerSecond = float64(p.Done-m.earlier.Load()) / max(time.Since(begin).Seconds(), 1e-3)
		return p
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		p := state()
		if c.Progress != nil {
			c.Progress(p)
		}
		if c.Progress == nil && time.Since(logged) >= logEvery {
			logged = time.Now()
			c.Logger.Info("downloading a model", p.attrs()...)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if c.Progress != nil {
				c.Progress(state())
			}
			return
		}
	}
}

func (p Progress) attrs() []any {
	return []any{
		slog.String("model", p.Source), slog.Int64("bytes", p.Done), slog.Int64("of", p.Total),
		slog.Int("files", p.FilesDone), slog.Int("of_files", p.Files), slog.String("rate", Bytes(int64(p.PerSecond))+"/s"),
	}
}

// Bytes prints a size for people, as 3.4 GB.
func Bytes(n int64) string {
	v, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB"}
	for v >= 999.5 && unit < len(units)-1 {
		v /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", v, units[unit])
}
