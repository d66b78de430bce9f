package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/infer/tune"
)

// memory reads what this process holds, and, of a GPU, what is in use on the device by whomever. What the system does not tell stays 0: it is one column of a table.
func memory(ctx context.Context, gpu bool, device int, visible string) tune.Memory {
	var m tune.Memory
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		m.Resident = residentOf(string(statm))
	}
	if gpu {
		m.Device = deviceMemory(ctx, device, visible)
	}
	return m
}

// residentOf reads the resident pages of /proc/self/statm, its second number, in bytes.
func residentOf(statm string) int64 {
	fields := strings.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// deviceMemory asks the driver's own tool, which lies beside every NVIDIA driver. CUDA numbers the devices that visible lists (CUDA_VISIBLE_DEVICES), the tool all of them.
func deviceMemory(ctx context.Context, device int, visible string) int64 {
	id := strconv.Itoa(device)
	if list := strings.Split(visible, ","); visible != "" && device < len(list) {
		id = strings.TrimSpace(list[device])
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--id="+id, "--query-gpu=memory.used", "--format=csv,noheader,nounits").Output()
	if err != nil {
		return 0
	}
	used, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0
	}
	return used << 20
}
