package ort

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

static int callInt(void *f) { return ((int (*)(void))f)(); }
static size_t callSize(void *f) { return ((size_t (*)(void))f)(); }
static int callOut(void *f, int *out) { return ((int (*)(int *))f)(out); }
static int callFlags(void *f, unsigned flags) { return ((int (*)(unsigned))f)(flags); }
static int callName(void *f, char *name, int n, int device) { return ((int (*)(char *, int, int))f)(name, n, device); }
static int callAttribute(void *f, int *out, int attribute, int device) { return ((int (*)(int *, int, int))f)(out, attribute, device); }
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unsafe"
)

// dynamic is a library that was loaded, for good: what ONNX Runtime loads after it finds it by its name.
type dynamic struct{ handle unsafe.Pointer }

func loadDynamic(name string) (dynamic, error) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	h := C.dlopen(c, C.RTLD_NOW|C.RTLD_GLOBAL)
	if h == nil {
		return dynamic{}, errors.New(strings.Join(strings.Fields(C.GoString(C.dlerror())), " "))
	}
	return dynamic{h}, nil
}

// symbol is a function's address, or nil.
func (d dynamic) symbol(name string) unsafe.Pointer {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.dlsym(d.handle, c)
}

// inspect loads what the provider needs and asks versions and the device; nothing of ONNX Runtime's is loaded. library is the path of libonnxruntime.
func inspect(library, provider string, device int) Inspection {
	own, needs := planProvider(library, provider)
	i := Inspection{Parts: own}
	for _, name := range needs {
		i.Parts = append(i.Parts, i.part(library, name, device))
	}
	i.compare()
	return i
}

func (i *Inspection) part(library, name string, device int) Part {
	p := Part{Name: name, Path: beside(library, name), Mend: supplier(name)}
	target := name
	if p.Path != "" {
		target = p.Path
	}
	d, err := loadDynamic(target)
	if err != nil {
		p.Err = fmt.Errorf("it cannot be loaded: %w", err)
		return p
	}
	switch {
	case strings.HasPrefix(name, "libcuda.so"):
		p.Version, p.Mend, p.Err = i.driver(d, device)
	case strings.HasPrefix(name, "libcudart.so"):
		p.Version = version(d.out("cudaRuntimeGetVersion"), 1000, 10)
	case strings.HasPrefix(name, "libcudnn.so"):
		if f := d.symbol("cudnnGetVersion"); f != nil {
			p.Version = version(int(C.callSize(f)), 10000, 100)
		}
	case strings.HasPrefix(name, "libnvinfer.so"):
		if f := d.symbol("getInferLibVersion"); f != nil {
			p.Version = version(int(C.callInt(f)), 10000, 100)
		}
	}
	return p
}

// out calls a function that writes a number; 0 where there is none or it fails.
func (d dynamic) out(name string) int {
	var n C.int
	if f := d.symbol(name); f == nil || C.callOut(f, &n) != 0 {
		return 0
	}
	return int(n)
}

// attributes of cuDeviceGetAttribute.
const (
	attributeMajor = 75
	attributeMinor = 76
)

// driver starts the driver and asks for the device. The version is that of CUDA, as far as the driver goes.
func (i *Inspection) driver(d dynamic, device int) (cuda, mend string, err error) {
	start, name, attribute := d.symbol("cuInit"), d.symbol("cuDeviceGetName"), d.symbol("cuDeviceGetAttribute")
	if start == nil || name == nil || attribute == nil {
		return "", supplier("libcuda.so"), errors.New("it is not NVIDIA's driver")
	}
	if code := int(C.callFlags(start, 0)); code != 0 {
		return "", "give this process a GPU: /dev/nvidia* must be there and readable (containers: --gpus, or the device plugin)", fmt.Errorf("the driver does not start (CUDA error %d)", code)
	}
	cuda = version(d.out("cuDriverGetVersion"), 1000, 10)
	count := d.out("cuDeviceGetCount")
	if device < 0 || device >= count {
		return cuda, "DEVICE counts from 0, over the devices in CUDA_VISIBLE_DEVICES", fmt.Errorf("DEVICE (--device) is %d, and there are %d devices here", device, count)
	}
	var text [256]C.char
	if C.callName(name, &text[0], C.int(len(text)), C.int(device)) == 0 {
		i.Device.Name = C.GoString(&text[0])
	}
	var major, minor C.int
	if C.callAttribute(attribute, &major, attributeMajor, C.int(device)) == 0 && C.callAttribute(attribute, &minor, attributeMinor, C.int(device)) == 0 {
		i.Device.Capability = fmt.Sprintf("%d.%d", major, minor)
	}
	i.Device.Driver = kernelDriver("/proc/driver/nvidia/version")
	return cuda, "", nil
}

var driverVersion = regexp.MustCompile(`(?:Kernel Module|Module for \S+)\s+(\d[\d.]*)`)

// kernelDriver is the version of the driver's kernel module, "" where the system does not say.
func kernelDriver(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	if m := driverVersion.FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return ""
}
