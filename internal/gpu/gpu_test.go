package gpu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const table = `GPU-1f2e, NVIDIA H200, 570.124.06, 37, 1024, 143771, 41, 121.55, 0
GPU-9a8b, "NVIDIA A2, 16GB", 570.124.06, [N/A], 0, 16380, 35, [Not Supported], [N/A]
`

func want() []Device {
	return []Device{
		{UUID: "GPU-1f2e", Model: "NVIDIA H200", Driver: "570.124.06", Utilization: new(.37), MemoryUsed: new(1024. * (1 << 20)), MemoryTotal: new(143771. * (1 << 20)),
			Temperature: new(41.), Power: new(121.55), Errors: new(0.)},
		{UUID: "GPU-9a8b", Model: "NVIDIA A2, 16GB", Driver: "570.124.06", MemoryUsed: new(0.), MemoryTotal: new(16380. * (1 << 20)), Temperature: new(35.)},
	}
}

// program writes a shell script that stands for nvidia-smi: it checks what it is asked.
func program(t *testing.T, body string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "smi")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRead(t *testing.T) {
	got, err := Read(t.Context(), program(t, `[ "$1" = "--query-gpu=`+columns+`" ] && [ "$2" = "--format=csv,noheader,nounits" ] || exit 9
cat <<'E'
`+table+`E
`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadFails(t *testing.T) {
	for name, tt := range map[string]struct{ command, says string }{
		"not there":  {filepath.Join(t.TempDir(), "none"), "none"},
		"no driver":  {program(t, "echo 'NVIDIA-SMI has failed'; exit 9"), "exit status 9: NVIDIA-SMI has failed"},
		"no library": {program(t, "echo GPU-1f2e; echo 'libnvidia-ml.so is missing' >&2; exit 127"), "exit status 127: libnvidia-ml.so is missing"},
		"no devices": {program(t, "echo 'No devices were found'"), "table"},
	} {
		got, err := Read(t.Context(), tt.command)
		if err == nil || !strings.Contains(err.Error(), tt.says) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// FuzzParse: whatever a program prints, no value is negative or no number.
func FuzzParse(f *testing.F) {
	f.Add([]byte(table))
	f.Add([]byte("a,b,c,nan,-1,inf,1e999,0x1p-2,\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parse(b)
		if err != nil && all != nil {
			t.Errorf("devices beside the error %v", err)
		}
		for _, d := range all {
			for _, v := range []*float64{d.Utilization, d.MemoryUsed, d.MemoryTotal, d.Temperature, d.Power, d.Errors} {
				if v != nil && !(*v >= 0) {
					t.Errorf("device %+v", d)
				}
			}
		}
	})
}
