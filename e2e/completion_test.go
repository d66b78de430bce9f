package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCompletion presses Tab in bash: the script that enqueue prints, with the functions that bash-completion brings.
func TestCompletion(t *testing.T) {
	w := newWorld(t)
	w.worker("w")
	w.enqueue("a red apple", "--batch", "monday", "--wait")
	for _, c := range []struct{ typed, want string }{
		{"enqueue canc", "cancel"},
		{"enqueue wait mon", "monday"},
		{"enqueue --priority ", "high low normal"},
		{"enqueue dlq sh", "show"},
		{"enqueue --model ", "sd15"},
		{"worker --provider c", "cpu cuda"},
	} {
		words := strings.Split(c.typed, " ")
		press := `
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
__ltrim_colon_completions() { :; }
program=$1
source <("$program" completion bash)
COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() { :; }
"__start_$program"
printf '%s\n' "${COMPREPLY[@]%% *}" | sort | tr '\n' ' '`
		p := start(t, w.dir, "bash", w.environment("PATH="+filepath.Dir(given.enqueue)+":/usr/bin:/bin"), "/bin/bash", append([]string{"-c", press, "bash"}, words...)...)
		if code := p.exit(time.Minute); code != 0 || strings.TrimSpace(p.out()) != c.want {
			t.Errorf("%q and Tab: exit code %d, %q, want %q; %s", c.typed, code, p.out(), c.want, p.errs())
		}
	}
}
