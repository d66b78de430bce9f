// Package gpu reads what NVIDIA's driver says of its devices, through the nvidia-smi that comes with it: the
// container runtime brings both or neither, and nothing has to be linked.
package gpu

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Device is one GPU at one moment. What a device does not tell is nil.
type Device struct {
	UUID, Model, Driver string
	Utilization         *float64 // 0 to 1: share of the time in which a kernel ran
	MemoryUsed          *float64 // bytes
	MemoryTotal         *float64 // bytes
	Temperature         *float64 // degrees Celsius
	Power               *float64 // watts
	Errors              *float64 // uncorrected memory errors since the driver was loaded
}

// columns are what is asked for, in the order of Device.
const columns = "uuid,name,driver_version,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw,ecc.errors.uncorrected.volatile.total"

const (
	waitDelay = time.Second // for what a wrapper in the program's place has started, when the program has been killed
	longest   = 1024        // bytes of a complaint
)

// Read asks command, "" for nvidia-smi from the path, for every device that this process may see. It takes tens of
// milliseconds and more: not for the path of a job.
func Read(ctx context.Context, command string) ([]Device, error) {
	if command == "" {
		command = "nvidia-smi"
	}
	smi := exec.CommandContext(ctx, command, "--query-gpu="+columns, "--format=csv,noheader,nounits")
	smi.WaitDelay = waitDelay
	out, err := smi.Output()
	if err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if said := bytes.TrimSpace(out); ok && len(exit.Stderr) > 0 {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		} else if ok && len(said) > 0 { // where it says that it has no driver
			err = fmt.Errorf("%w: %s", err, said[:min(len(said), longest)])
		}
		return nil, fmt.Errorf("asking %s for the devices: %w", command, err)
	}
	return parse(out)
}

// parse reads the table.
func parse(table []byte) ([]Device, error) {
	r := csv.NewReader(bytes.NewReader(table))
	r.FieldsPerRecord, r.TrimLeadingSpace = strings.Count(columns, ",")+1, true
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading the table of devices: %w", err)
	}
	var all []Device
	for _, row := range rows {
		const percent, mebibyte = .01, 1 << 20
		all = append(all, Device{
			UUID: row[0], Model: row[1], Driver: row[2],
			Utilization: number(row[3], percent), MemoryUsed: number(row[4], mebibyte), MemoryTotal: number(row[5], mebibyte),
			Temperature: number(row[6], 1), Power: number(row[7], 1), Errors: number(row[8], 1),
		})
	}
	return all, nil
}

// number is a value in another unit; nil for `[N/A]`, `[Not Supported]` and their like.
func number(s string, unit float64) *float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || v != v || v < 0 {
		return nil
	}
	return new(v * unit)
}
