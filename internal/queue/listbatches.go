package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ListBatches returns all batches, those first that were begun last. An entry that cannot be read is logged and
// left out. It needs no right to make consumers.
func (c *Client) ListBatches(ctx context.Context) ([]Batch, error) {
	stream, prefix := "KV_"+c.names.BatchesBucket(), "$KV."+c.names.BatchesBucket()+"."
	subjects, err := c.subjects(ctx, "listing batches", stream, prefix+"*") // and not <batch>.<index>
	if err != nil {
		return nil, err
	}
	var all []Batch
	for some := range slices.Chunk(subjects, lastOfMost) {
		var read []Batch
		err := c.try(ctx, "reading batches", func(ctx context.Context) error {
			entries, err := c.lastOf(ctx, stream, some)
			if err != nil {
				return err
			}
			read = read[:0]
			for _, entry := range entries {
				if entry.Header.Get("KV-Operation") != "" {
					continue // deleted
				}
				b := Batch{ID: strings.TrimPrefix(entry.Subject, prefix), revision: entry.Sequence}
				if err := json.Unmarshal(entry.Data, &b); err != nil {
					c.log.Warn("a damaged entry of a batch is left out", slog.String("batch", b.ID), slog.Any("error", err))
					continue
				}
				read = append(read, b)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, read...)
	}
	slices.SortFunc(all, func(a, b Batch) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID)) })
	return all, nil
}

// subjects returns the subjects of a stream's messages that match a filter, sorted.
func (c *Client) subjects(ctx context.Context, doing, stream, filter string) ([]string, error) {
	var found []string
	err := c.try(ctx, doing, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
		if err != nil {
			return err
		}
		found = slices.Sorted(maps.Keys(info.State.Subjects))
		return nil
	})
	return found, err
}
