"""`make export-test`: every family, tiny, is exported, checked against PyTorch, and drawn with by the worker. Minutes, and not a part of `make test`."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
WORKER = os.environ.get("WORKER", str(HERE.parent.parent / "bin" / "worker"))


class Export(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)

    def export(self, family, *flags):
        out = self.root / family
        run = subprocess.run([sys.executable, "-W", "ignore", HERE / "export.py", out, "--random", family, "--tiny", *flags], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        return out, run.stderr

    def warm(self, out, *flags):
        run = subprocess.run([WORKER, "warm", "--models", out, *flags], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(f"{out.name} is {'whole' if flags else 'warm'}", run.stdout)

    def family(self, family, expected, *flags):
        out, said = self.export(family, *flags)
        self.assertIn("against PyTorch in float32", said)
        own = json.loads((out / "stipple.json").read_text())
        digest = own.pop("digest")
        self.assertEqual((len(digest), own), (64, expected))
        self.warm(out)
        return out, said

    def test_sd15(self):
        out, _ = self.family("sd15", {})
        graph = (out / "unet" / "model.onnx").read_bytes()
        (out / "unet" / "model.onnx").write_bytes(graph[:-1] + bytes([graph[-1] ^ 1]))  # the digest sees one bit
        run = subprocess.run([WORKER, "warm", "--download", "--models", out], capture_output=True, text=True)
        self.assertEqual(run.returncode, 2, run.stdout)

    def test_sd21(self):
        out, said = self.export("sd21", "--fuse", "cuda")
        self.assertIn("GroupNorm", said)
        self.warm(out, "--download")  # a CPU has no such operations: whole, and not loaded

    def test_sdxl(self):
        out, _ = self.family("sdxl", {"guidance_scale": 5.0}, "--float16", "--vae-float16")
        self.assertTrue((out / "vae_decoder_fp32" / "model.onnx").exists())

    def test_turbo(self):
        _, said = self.family("turbo", {"num_inference_steps": 1, "guidance_scale": 0.0}, "--float16", "--fuse", "cpu")
        self.assertIn("Attention", said)

    def test_lcm(self):
        self.family("lcm", {"num_inference_steps": 4, "guidance_scale": 8.5})

    def test_clip_skip(self):
        self.family("sd15", {"num_inference_steps": 7, "clip_skip": 1}, "--steps", "7", "--clip-skip", "1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
