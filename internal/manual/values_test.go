package manual

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompletion asks as the scripts of the shells do.
func TestCompletion(t *testing.T) {
	const noFiles, noSpace, extensions = ":4", ":6", ":8"
	for _, c := range []struct {
		typed []string
		want  string
	}{
		{[]string{"d"}, "draw\tDraw a thing\n" + noFiles},
		{[]string{"draw", "--sty"}, "--style\tplain, bold or both [$STYLE]\n" + noFiles},
		{[]string{"draw", "--style", ""}, "plain\nbold\tand heavy\n" + noSpace},
		{[]string{"draw", "--style", "plain,"}, "plain,bold\tand heavy\n" + noSpace},
		{[]string{"draw", "--style", "plain,b"}, "plain,bold\tand heavy\n" + noSpace},
		{[]string{"draw", "--from", ""}, "txt\n" + extensions},
		{[]string{"draw", "--nats-url", ""}, noFiles},
		{[]string{"draw", "ca"}, "cat\tan animal\ncar\n" + noFiles},
		{[]string{"draw", "cat", ""}, "car\ndog\n" + noFiles},
		{[]string{"completion", ""}, "bash\nzsh\nfish\n" + noFiles},
		{[]string{"help", ""}, "completion\tPrint what makes a shell complete commands and flags\ndraw\tDraw a thing\n" + noFiles},
		{[]string{"help", "--format", "m"}, "man\nmarkdown\n" + noFiles},
	} {
		t.Run(strings.Join(c.typed, " "), func(t *testing.T) {
			got := strings.TrimSpace(run(t, append([]string{"__complete"}, c.typed...)...))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestScripts(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o default -F __start_tool tool", "zsh": "#compdef tool", "fish": "complete -c tool"} {
		if got := run(t, "completion", shell); !strings.Contains(got, want) {
			t.Errorf("the script for %s lacks %q:\n%s", shell, want, got)
		}
	}
}

func TestMissing(t *testing.T) {
	table := Table{Flags: map[string]Values{"style": Anything(), "other --from": Anything(), "aws-secret-access-key": Anything(), "s3-bucket": Anything()}}
	if diff := cmp.Diff([]string{"draw --from", "draw --nats-url"}, table.Missing(tool())); diff != "" {
		t.Error(diff)
	}
}
