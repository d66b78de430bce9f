package upload

import (
	"fmt"
	"strconv"
	"strings"
)

// parameters is the text that Stable Diffusion's web interfaces write into a file and read back: the prompt, the
// negative prompt on a line of its own, and a last line of settings.
func parameters(p Picture, m Meta) string {
	var b strings.Builder
	b.WriteString(m.Prompt)
	if m.NegativePrompt != "" {
		fmt.Fprintf(&b, "\nNegative prompt: %s", m.NegativePrompt)
	}
	sampler, schedule := samplerName(m.Scheduler)
	settings := []struct{ name, value string }{
		{"Steps", strconv.Itoa(m.Steps)},
		{"Sampler", sampler},
		{"Schedule type", schedule},
		{"CFG scale", strconv.FormatFloat(m.Guidance, 'f', -1, 64)},
		{"Seed", strconv.FormatUint(m.Seed, 10)},
		{"Size", fmt.Sprintf("%dx%d", p.Width, p.Height)},
		{"Model hash", modelHash(m.ModelDigest)},
		{"Model", m.Model},
	}
	separator := "\n"
	for _, s := range settings {
		if s.value != "" {
			fmt.Fprintf(&b, "%s%s: %s", separator, s.name, s.value)
			separator = ", "
		}
	}
	return b.String()
}

// modelHash is the short form those tools show: the first ten digits of the digest.
func modelHash(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(10, len(digest))]
}

// samplerName splits a job's scheduler into the sampler and schedule names those tools know. A name they have no
// word for stays as it is.
func samplerName(scheduler string) (sampler, schedule string) {
	base := scheduler
	for suffix, name := range map[string]string{"_karras": "Karras", "_exponential": "Exponential", "_beta": "Beta"} {
		if s, ok := strings.CutSuffix(scheduler, suffix); ok {
			base, schedule = s, name
		}
	}
	names := map[string]string{
		"ddim": "DDIM", "ddpm": "DDPM", "pndm": "PLMS", "lms": "LMS", "euler": "Euler", "euler_a": "Euler a",
		"heun": "Heun", "dpm2": "DPM2", "dpm2_a": "DPM2 a", "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE",
		"dpmpp_3m": "DPM++ 3M", "dpmpp_2s": "DPM++ 2S", "deis": "DEIS", "unipc": "UniPC", "lcm": "LCM", "tcd": "TCD",
		"flow_euler": "Euler",
	}
	if name, ok := names[base]; ok {
		return name, schedule
	}
	return scheduler, ""
}
