package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/gowebpki/jcs"
)

// Spec16 returns the first 16 hexadecimal digits of the SHA-256 over the canonical JSON (RFC 8785) of what the
// picture depends on: model, prompt, negative_prompt, num_inference_steps, guidance_scale, seed, width, height,
// scheduler, format and quality. The seed is resolved and a decimal string; fields that the job leaves out are
// left out. So the key of an image is known before it is drawn, and a worker's defaults are no part of it.
//
// It fails only for a job that Encode refuses.
func (j Job) Spec16() (string, error) {
	canonical, err := j.CanonicalSpec()
	if err != nil {
		return "", fmt.Errorf("hashing job %s: %w", j.Identity(), err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:8]), nil
}

// CanonicalSpec returns the canonical JSON that Spec16 hashes: what the picture depends on, and nothing else of the job.
func (j Job) CanonicalSpec() ([]byte, error) {
	if err := j.validate(); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(struct {
		Model             string   `json:"model"`
		Prompt            *string  `json:"prompt,omitempty"`
		NegativePrompt    *string  `json:"negative_prompt,omitempty"`
		NumInferenceSteps *int     `json:"num_inference_steps,omitempty"`
		GuidanceScale     *float64 `json:"guidance_scale,omitempty"`
		Seed              string   `json:"seed"`
		Width             *int     `json:"width,omitempty"`
		Height            *int     `json:"height,omitempty"`
		Scheduler         *string  `json:"scheduler,omitempty"`
		Format            *string  `json:"format,omitempty"`
		Quality           *int     `json:"quality,omitempty"`
	}{
		j.Model, j.Prompt, j.NegativePrompt, j.NumInferenceSteps, j.GuidanceScale,
		strconv.FormatUint(j.SeedOrDefault(), 10), j.Width, j.Height, j.Scheduler, j.Format, j.Quality,
	})
	if err != nil {
		return nil, err
	}
	return jcs.Transform(plain)
}
