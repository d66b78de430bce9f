package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/gpu"
	"github.com/stipple-ai/stipple/internal/infer/tune"
)

// memory reads what this process holds, and, of a GPU, what is in use on the device by whomever. What the system does not tell stays 0: it is one column of a table.
func memory(ctx context.Context, onGPU bool, device int, visible string) tune.Memory {
	var m tune.Memory
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		m.Resident = residentOf(string(statm))
	}
	if onGPU {
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

// deviceMemory is the memory in use on a device. CUDA numbers the devices that visible lists (CUDA_VISIBLE_DEVICES: numbers, or beginnings of UUIDs), the driver's tool all
// of them.
func deviceMemory(ctx context.Context, device int, visible string) int64 {
	id := strconv.Itoa(device)
	if list := strings.Split(visible, ","); visible != "" && device < len(list) {
		id = strings.TrimSpace(list[device])
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	devices, err := gpu.Read(ctx, "")
	if err != nil {
		return 0
	}
	for i, d := range devices {
		if (id == strconv.Itoa(i) || (strings.HasPrefix(id, "GPU-") && strings.HasPrefix(d.UUID, id))) && d.MemoryUsed != nil {
			return int64(*d.MemoryUsed)
		}
	}
	return 0
}
