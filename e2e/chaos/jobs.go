package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// modelName is the name under which the workers serve the golden pipeline.
const modelName = "sd15"

// job is one job: where it goes, and its body without what names the batch.
type job struct {
	priority string
	fields   map[string]any
}

// samplers are the schedulers that the golden pipeline takes, two of them with other spacings of noise.
func samplers() []string {
	return []string{
		"", "ddim", "ddpm", "pndm", "lms", "euler", "euler_a", "heun", "dpm2", "dpm2_a", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_2m_sde", "dpmpp_3m",
		"dpmpp_2s", "deis", "unipc", "lcm", "tcd", "euler_karras",
	}
}

// drawJobs draws n jobs: 4 to 50 steps, all samplers, with and without guidance, seeds of up to 64 bits, a few prompts and
// sizes, all priorities.
func drawJobs(seed uint64, n int) []job {
	r := rand.New(rand.NewPCG(seed, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	jobs := make([]job, n)
	for i := range jobs {
		f := map[string]any{
			"version": 1, "model": modelName, "num_inference_steps": 4 + r.IntN(47),
			"prompt": pick("a red fox in the snow", "a lighthouse", "", "a bowl of plums, oil on canvas", "two boats"),
		}
		switch r.IntN(4) {
		case 0:
			f["guidance_scale"] = 1
		case 1:
			f["guidance_scale"] = float64(10+r.IntN(140)) / 10
			f["negative_prompt"] = pick("blurry", "text, watermark")
		}
		if s := samplers()[r.IntN(len(samplers()))]; s != "" {
			f["scheduler"] = s
		}
		// Each job has a seed of its own: two jobs with one picture would hide that they were mixed up.
		s := uint64(i)
		if r.IntN(4) == 0 {
			s |= 1<<63 | r.Uint64()<<32
		}
		f["seed"] = strconv.FormatUint(s, 10)
		if r.IntN(6) == 0 {
			size := [][2]int{{64, 96}, {96, 64}, {32, 64}}[r.IntN(3)]
			f["width"], f["height"] = size[0], size[1]
		}
		jobs[i] = job{priority: pick("high", "normal", "normal", "low"), fields: f}
	}
	return jobs
}

// message is the job on the wire: its subject, id and body in a batch.
func (j job) message(batch string, index int) (subject, id string, body []byte, err error) {
	body, err = json.Marshal(j.fields)
	return strings.Join([]string{"jobs", j.priority, modelName, batch}, "."), fmt.Sprintf("%s/%d", batch, index), body, err
}
