"""`make export-test`: gpubench.py in its small form, on a CPU: that the table says what it must, not how fast anything is."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import gpubench

HERE = pathlib.Path(__file__).parent
WORKER = os.environ.get("WORKER", str(HERE.parent.parent / "bin" / "worker"))
HEAD = ["model", "what", "rows", "images/s", "of diffusers'", "ms a step", "first image, s", "memory, GiB", "grown, MiB", "watts"]


def cells(text):
    """The rows of the table that text ends with, head first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]


class Bench(unittest.TestCase):
    def test_turbo(self):
        with tempfile.TemporaryDirectory() as out:
            flags = ["--models", "turbo", "--device", "cpu", "--size", "tiny", "--rows", "4", "--seconds", "1", "--images", "2", "--no-compile"]
            run = subprocess.run([sys.executable, "-W", "ignore", HERE / "gpubench.py", "--worker", WORKER, "--out", out, *flags], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            report = json.loads((pathlib.Path(out) / "bench-gpu.json").read_text())
        self.assertIn("against PyTorch in float32: differs by", run.stderr)
        self.assertEqual([report[key] for key in ("size", "device", "provider")], ["tiny", "cpu", "cpu"])

        head, *rows = cells(run.stdout)
        self.assertEqual(head, HEAD)
        self.assertEqual([row[:3] for row in rows], [["turbo", "diffusers", "–"], ["turbo", "stipple, cpu", "1"], ["turbo", "stipple, cpu", "4"]], run.stdout)
        diffusers, alone, together = runs = report["results"]["turbo"]
        for row, figures in zip(rows, runs, strict=True):
            with self.subTest(row[1:3]):
                self.assertNotIn("error", figures)
                self.assertAlmostEqual(float(row[4]), figures["images_per_second"] / diffusers["images_per_second"], delta=0.006)
                self.assertGreater(figures["first_image_s"], 0.05)
                self.assertTrue(20 << 20 < figures["memory_bytes"] < 64 << 30, figures)
                # The steps of so many pictures fill the time of all lanes at most; ten times that is a wrong unit, not a busy machine.
                lanes = 1 if figures is diffusers else os.cpu_count()
                busy = figures["images_per_second"] * figures["step_ms"] / 1000 / figures.get("rows_mean", 1) / lanes
                self.assertTrue(0.001 < busy < 10, figures)
                self.assertEqual(row[9], "–")  # a CPU tells no watts
        self.assertGreaterEqual(diffusers["images"], 2)
        self.assertEqual(alone["rows_mean"], 1)
        self.assertTrue(1 < together["rows_mean"] <= 4, together)  # that is what the load is for


class Table(unittest.TestCase):
    def test_failures(self):
        ran = {"images_per_second": 3.0, "step_ms": 10.0, "first_image_s": 1.0, "memory_bytes": 1 << 30, "memory_grown_bytes": -(1 << 20), "watts": 250.4}
        _, *rows = cells(gpubench.table({
            "sd15": [{"what": "diffusers"} | ran | {"images_per_second": 2.0}, {"what": "diffusers, torch.compile"} | ran, {"what": "stipple, cuda", "rows": 8, "error": "out of memory"},
                     {"what": "stipple, cuda", "rows": 16} | ran | {"images_per_second": 6.0, "memory_grown_bytes": None, "watts": None}],
            "sdxl": [{"what": "diffusers", "error": "no card"}, {"what": "stipple, cuda", "rows": 2} | ran],
        }))
        self.assertEqual(rows, [
            ["sd15", "diffusers", "–", "2", "0.67", "10.00", "1.0", "1.00", "-1", "250"],
            ["sd15", "diffusers, torch.compile", "–", "3", "1.00", "10.00", "1.0", "1.00", "-1", "250"],
            ["sd15", "stipple, cuda", "8", "failed: out of memory", "", "", "", "", "", ""],
            ["sd15", "stipple, cuda", "16", "6", "2.00", "10.00", "1.0", "1.00", "–", "–"],
            ["sdxl", "diffusers", "–", "failed: no card", "", "", "", "", "", ""],
            ["sdxl", "stipple, cuda", "2", "3", "–", "10.00", "1.0", "1.00", "-1", "250"],
        ])

    def test_meter(self):
        meter = gpubench.Meter("cuda", 0)
        meter.memory, meter.watts = [9, 10, 11] + [20] * 24 + [50, 60, 70], [60.0, 300.0, 310.0]
        self.assertEqual(meter.figures(), {"memory_bytes": 70, "memory_grown_bytes": 40, "watts": 300.0})  # from the second tenth: the first is the load
        meter.memory, meter.watts = [5] * 9, []
        self.assertEqual(meter.figures(), {"memory_bytes": 5, "memory_grown_bytes": None, "watts": None})


if __name__ == "__main__":
    unittest.main(verbosity=2)
