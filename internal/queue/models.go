package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Model is an entry of the registry: what a worker serves under a name. The first worker that serves a model
// writes it, and enqueue refuses jobs for models that nobody wrote.
type Model struct {
	Name     string        `json:"name"`
	Digest   string        `json:"digest"` // of the model's files; the same name and digest draw the same picture
	Defaults ModelDefaults `json:"defaults"`
	Limits   ModelLimits   `json:"limits"`
}

// ModelDefaults are the values of the fields that a job leaves out.
type ModelDefaults struct {
	NumInferenceSteps int     `json:"num_inference_steps"`
	GuidanceScale     float64 `json:"guidance_scale"`
	Width             int     `json:"width"` // pixels
	Height            int     `json:"height"`
	Scheduler         string  `json:"scheduler"` // a job name or a diffusers class name
}

// ModelLimits are what the model's jobs must keep to beyond the rules of every job.
type ModelLimits struct {
	SizeMultiple int `json:"size_multiple"` // width and height are multiples of it: the VAE's scale factor
	MaxWidth     int `json:"max_width"`     // pixels
	MaxHeight    int `json:"max_height"`
}

// ErrModelConflict is another model under a name or subject token that is taken.
var ErrModelConflict = errors.New("another model is registered")

// RegisterModel writes m into the registry. An entry with the same digest is left as it is. One with another
// digest is replaced if replace is set (MODEL_REPLACE); else the error is ErrModelConflict and names both
// digests, because two workers would draw different pictures for the same job. A name whose subject token
// another name has taken is ErrModelConflict either way: their jobs would reach each other's workers.
func (c *Client) RegisterModel(ctx context.Context, m Model, replace bool) error {
	if why := modelProblem(m.Name, quote); why != "" {
		return fmt.Errorf("registering a model: its name %s", why)
	}
	if m.Digest == "" {
		return fmt.Errorf("registering model %s: it has no digest", m.Name)
	}
	names, err := c.modelNames(ctx)
	if err != nil {
		return err
	}
	for _, other := range names {
		if other != m.Name && ModelToken(other) == ModelToken(m.Name) {
			return fmt.Errorf("registering model %s: %w under the same subjects: %s; rename one of them", m.Name, ErrModelConflict, other)
		}
	}
	kv, err := c.bucket(ctx, c.names.ModelsBucket())
	if err != nil {
		return err
	}
	value, err := marshal(m)
	if err != nil {
		return fmt.Errorf("registering model %s: %w", m.Name, err)
	}
	var conflict error
	err = c.try(ctx, "registering model "+m.Name, func(ctx context.Context) error {
		conflict = nil
		_, err := kv.Create(ctx, m.Name, value)
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
		entry, err := kv.Get(ctx, m.Name)
		if errors.Is(err, jetstream.ErrKeyNotFound) { // a replica that lags behind, or it was deleted in between
			return fmt.Errorf("%w: %w", errAgain, err)
		}
		if err != nil {
			return err
		}
		var have Model
		if err := json.Unmarshal(entry.Value(), &have); err != nil && !replace {
			return fmt.Errorf("the entry is damaged: %w; set MODEL_REPLACE=true to write it anew", err)
		}
		switch {
		case have.Digest == m.Digest:
			return nil
		case !replace:
			conflict = fmt.Errorf("registering model %s: %w under this name: its digest is %s, this one's %s; rename one of them, or set MODEL_REPLACE=true",
				m.Name, ErrModelConflict, have.Digest, m.Digest)
			return nil
		}
		_, err = kv.Update(ctx, m.Name, value, entry.Revision())
		return again(err)
	})
	return errors.Join(err, conflict)
}

// ListModels returns the registry, by name.
func (c *Client) ListModels(ctx context.Context) ([]Model, error) {
	names, err := c.modelNames(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := c.bucket(ctx, c.names.ModelsBucket())
	if err != nil {
		return nil, err
	}
	var models []Model
	for _, name := range names {
		err := c.try(ctx, "reading model "+name, func(ctx context.Context) error {
			entry, err := kv.Get(ctx, name)
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				return nil // deleted
			}
			if err != nil {
				return err
			}
			var m Model
			if err := json.Unmarshal(entry.Value(), &m); err != nil {
				return fmt.Errorf("its entry is damaged: %w; a worker with MODEL_REPLACE=true writes it anew", err)
			}
			m.Name = name
			models = append(models, m)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return models, nil
}

// modelNames returns the names in the registry, sorted; some may be of deleted entries. It asks for the
// subjects of the bucket's stream, which needs no right to make consumers.
func (c *Client) modelNames(ctx context.Context) ([]string, error) {
	bucket := c.names.ModelsBucket()
	prefix := "$KV." + bucket + "."
	var names []string
	err := c.try(ctx, "listing models", func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, "KV_"+bucket)
		if err != nil {
			return err
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
		if err != nil {
			return err
		}
		names = nil
		for subject := range info.State.Subjects {
			names = append(names, strings.TrimPrefix(subject, prefix))
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}
