package ops

import (
	"testing"

	"github.com/stipple-ai/stipple/internal/queue"
)

func TestCommand(t *testing.T) {
	for want, j := range map[string]queue.Job{
		`enqueue --model m --seeds 7 -- 'a cat'`: {Model: "m", Seed: new(queue.Seed(7)), Prompt: new("a cat")},
		`enqueue --seeds 18446744073709551615 --steps 30 --guidance-scale 2.5 --width 512 --height 768 --scheduler euler_a --negative-prompt 'it'\''s snow' --format jpeg --quality 80 -- --wait`: {
			Seed: new(queue.Seed(1<<64 - 1)), NumInferenceSteps: new(30), GuidanceScale: new(2.5), Width: new(512), Height: new(768), Scheduler: new("euler_a"),
			NegativePrompt: new("it's snow"), Format: new("jpeg"), Quality: new(80), Prompt: new("--wait"),
		},
		`enqueue --seeds 3267637839 -- ''`: {BatchID: "b", Index: 1},
	} {
		if got := Command(j); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"": "''", "a": "a", "1..8": "1..8", "a cat": "'a cat'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "a\nb": "'a\nb'", "é": "'é'", "--x=1": "--x=1", "*": "'*'", "~": "'~'",
	} {
		if got := ShellWord(in); got != want {
			t.Errorf("ShellWord(%q) = %s, want %s", in, got, want)
		}
	}
}
