"""stipple beside PyTorch diffusers on one card, in one run: `make bench-gpu`. Models of the real shapes with random weights (randomize.py), so nothing is
downloaded. Each program has the card to itself; nvidia-smi is read beside it for memory and watts. It prints a table, and writes all figures as JSON.

    python gpubench.py --worker bin/worker --models sd15,sdxl,turbo --device cuda --out bench-gpu
    python gpubench.py --worker bin/worker --models turbo --device cpu --size tiny --out /tmp/bench
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
STEPS = {"sd15": (20, 7.5), "sd21": (20, 7.5), "sdxl": (20, 5.0), "turbo": (1, 0.0), "lcm": (4, 8.5)}  # num_inference_steps, guidance_scale


class Meter:
    """What nvidia-smi says of a device while something runs: watts and memory, twice a second. On a CPU, the memory of a process."""

    def __init__(self, device, index, pid=None):
        self.device, self.index, self.pid = device, index, pid
        self.watts, self.memory, self.ended = [], [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        while not self.ended.is_set():
            try:
                self.read()
            except (OSError, ValueError, subprocess.SubprocessError):
                pass  # the process has just ended, or the driver does not tell: the columns stay empty
            self.ended.wait(0.5)

    def read(self):
        if self.device == "cuda":
            out = subprocess.run(["nvidia-smi", f"--id={self.index}", "--query-gpu=power.draw,memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True).stdout
            watts, memory = out.strip().split(",")
            self.memory.append(float(memory) * (1 << 20))
            self.watts.append(float(watts))
        elif self.pid:
            self.memory.append(int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    def figures(self):
        tenth = max(1, len(self.memory) // 10)
        grown = sum(self.memory[-tenth:]) / tenth - sum(self.memory[tenth:2 * tenth]) / tenth if len(self.memory) >= 10 else None
        # The median: while a process loads, a card rests.
        return {"memory_bytes": max(self.memory, default=None), "memory_grown_bytes": grown, "watts": statistics.median(self.watts) if self.watts else None}


def time_calls(module, wait):
    """The list to which every call of module from now on adds its seconds. wait returns once the device has nothing to do."""
    took, call = [], module.forward

    def forward(*args, **kwargs):
        wait()
        begin = time.perf_counter()
        out = call(*args, **kwargs)
        wait()
        took.append(time.perf_counter() - begin)
        return out

    module.forward = forward
    return took


def torch_child(args):
    """Run in a process of its own: one family with diffusers, as users run it. Prints JSON."""
    begin = time.perf_counter()
    import torch
    from randomize import random_pipeline

    kind = torch.float16 if args.device == "cuda" else torch.float32
    device = f"cuda:{args.index}" if args.device == "cuda" else "cpu"
    making = time.perf_counter()
    pipe = random_pipeline(args.child, args.size == "tiny")
    begin += time.perf_counter() - making  # a user's weights are not made but read, which this leaves out
    pipe.to(device, kind)
    if args.child in ("sdxl", "turbo") and kind == torch.float16:
        pipe.vae.to(torch.float32)  # it overflows in float16; diffusers does the same by force_upcast
        decode = pipe.vae.decode
        pipe.vae.decode = lambda latents, **kw: decode(latents.float(), **kw)
    pipe.set_progress_bar_config(disable=True)
    if args.compile:
        pipe.unet = torch.compile(pipe.unet, mode="default" if device == "cpu" else "max-autotune", fullgraph=True)
    steps, guidance = STEPS[args.child]

    def draw(seed):
        pipe(f"a photograph of an astronaut riding a horse, number {seed}", num_inference_steps=steps, guidance_scale=guidance, generator=torch.Generator("cpu").manual_seed(seed))

    with torch.inference_mode():
        draw(0)
        first = time.perf_counter() - begin
        draw(1)
        with Meter(args.device, args.index, os.getpid()) as meter:
            start, n = time.perf_counter(), 0
            while n < args.images or time.perf_counter() - start < args.seconds:
                draw(2 + n)
                n += 1
            took = time.perf_counter() - start
        # Steps are timed in pictures of their own: to wait for the device between them would hold up those that are counted.
        calls = time_calls(pipe.unet, lambda: torch.cuda.synchronize(device) if args.device == "cuda" else None)
        for i in range(3):
            draw(i)
    print(json.dumps({"images_per_second": n / took, "step_ms": 1000 * statistics.median(calls), "first_image_s": first, "images": n} | meter.figures()))


def run_torch(args, family, compiled):
    command = [sys.executable, __file__, "--child", family, "--device", args.device, "--index", str(args.index), "--size", args.size, "--images", str(args.images), "--seconds", str(args.seconds)]
    out = subprocess.run(command + (["--compile"] if compiled else []), capture_output=True, text=True, cwd=HERE)
    if out.returncode:
        return {"error": out.stderr.strip().splitlines()[-1] if out.stderr.strip() else f"ended with {out.returncode}"}
    return json.loads(out.stdout.strip().splitlines()[-1])


def worker(args, model, extra):
    """One `worker bench`, with its memory and watts. Each setting is one process, so that one's memory is not the next one's."""
    steps, guidance = STEPS[model.name]
    command = [str(args.worker), "bench", "--model", str(model), "--provider", args.provider, "--device", str(args.index), "--lanes", "1" if args.device == "cuda" else str(os.cpu_count()),
               "--steps", str(steps), "--guidance", str(guidance), "--json", *extra]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with Meter(args.device, args.index, process.pid) as meter:
        out, err = process.communicate()
    took = time.perf_counter() - begin
    if process.returncode:
        return {"error": err.strip().splitlines()[-1] if err.strip() else f"ended with {process.returncode}"}
    best = json.loads(out)["settings"][0]
    if best.get("error"):
        return {"error": best["error"]}
    return {"images_per_second": best["images_per_second"], "step_ms": best["step_ms"], "rows_mean": best["rows_mean"], "process_s": took} | meter.figures()


def run_stipple(args, model):
    steps, guidance = STEPS[model.name]
    alone = 2 if guidance > 1 and model.name != "lcm" else 1  # rows of one picture
    rows = [alone] + [n for n in args.rows if n > alone]
    # A whole process: start, load, warm-up, one picture and the bare loop's one, so rather more than the first picture takes.
    first = worker(args, model, ["--rows", str(alone), "--rounds", "1", "--duration", "1ms", "--images", "1"])
    results = []
    for n in rows:
        r = worker(args, model, ["--rows", str(n), "--rounds", "1", "--duration", f"{args.seconds}s", "--images", str(args.images)])
        r["rows"], r["first_image_s"] = n, first.get("process_s")
        results.append(r)
    return results


def cell(value, form="{:.3g}"):
    return "–" if value is None else form.format(value)


def table(results):
    lines = ["| model | what | rows | images/s | of diffusers' | ms a step | first image, s | memory, GiB | grown, MiB | watts |", "|---|---|---|---|---|---|---|---|---|---|"]
    for family, runs in results.items():
        base = max((r.get("images_per_second") or 0 for r in runs if r["what"].startswith("diffusers")), default=0)
        for r in runs:
            if r.get("error"):
                lines.append(f"| {family} | {r['what']} | {r.get('rows', '–')} | failed: {r['error'][:120]} | | | | | | |")
                continue
            gib = r["memory_bytes"] and r["memory_bytes"] / (1 << 30)
            grown = r["memory_grown_bytes"] is not None and r["memory_grown_bytes"] / (1 << 20)
            lines.append(f"| {family} | {r['what']} | {r.get('rows', '–')} | {r['images_per_second']:.3g} | {cell(base and r['images_per_second'] / base or None, '{:.2f}')} | {r['step_ms']:.2f} | "
                         f"{cell(r.get('first_image_s'), '{:.1f}')} | {cell(gib, '{:.2f}')} | {cell(None if grown is False else grown, '{:.0f}')} | {cell(r['watts'], '{:.0f}')} |")
    return "\n".join(lines)


def where(args):
    if args.device == "cpu":
        return f"{os.cpu_count()} CPU cores"
    out = subprocess.run(["nvidia-smi", f"--id={args.index}", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True, check=True).stdout
    return out.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--worker", type=pathlib.Path)
    parser.add_argument("--models", default="sd15,sdxl,turbo")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--index", type=int, default=0, help="of the device")
    parser.add_argument("--provider", help="of stipple; default cuda, or cpu")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--rows", type=lambda s: [int(n) for n in s.split(",")], default=[4, 8, 16, 32], help="loads beside one picture at a time: UNet rows in one call")
    parser.add_argument("--seconds", type=int, default=60, help="least time for each measurement")
    parser.add_argument("--images", type=int, default=20, help="least pictures for each")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--out", type=pathlib.Path, help="folder for models and figures")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return torch_child(args)
    if not args.worker or not args.out:
        parser.error("--worker and --out are needed")
    args.worker, args.out = args.worker.resolve(), args.out.resolve()
    args.provider = args.provider or args.device
    results = {}
    for family in args.models.split(","):
        model = args.out / "models" / args.size / args.device / family
        if not (model / "stipple.json").exists():  # it is written last
            kind = ["--float16", "--fuse", "cuda"] if args.device == "cuda" else []
            check = "no" if args.size == "full" else "cpu"  # at full size a CPU would take an hour to draw one
            subprocess.run([sys.executable, "-W", "ignore", str(HERE / "export.py"), str(model), "--random", family, *(["--tiny"] if args.size == "tiny" else []), *kind, "--check", check], check=True)
        runs = [{"what": "diffusers"} | run_torch(args, family, False)]
        if not args.no_compile:
            runs.append({"what": "diffusers, torch.compile"} | run_torch(args, family, True))
        for r in run_stipple(args, model):
            runs.append({"what": f"stipple, {args.provider}"} | r)
        results[family] = runs
        print(table({family: runs}), file=sys.stderr)
    report = {"where": where(args), "size": args.size, "device": args.device, "provider": args.provider, "results": results}
    (args.out / "bench-gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{report['where']}, {args.size} models, {time.strftime('%Y-%m-%d')}; random weights, one process at a time on the device\n\n{table(results)}")


if __name__ == "__main__":
    main()
