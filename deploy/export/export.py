"""Export a Stable Diffusion pipeline (1.x, 2.x, SDXL, Turbo, LCM) from diffusers to the folder that the worker reads: docs/models.md.

    pip install -r deploy/export/requirements.txt
    python deploy/export/export.py stabilityai/sdxl-turbo models/sdxl-turbo --float16 --fuse cuda
    python deploy/export/export.py --random sdxl --tiny models/toy

MODEL is a folder in diffusers' layout or a name on the Hugging Face Hub; --random makes one of a family's shape here.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import compare
import digest
import fuse
import graphs
import randomize
import torch
import transformers
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.utils import logging

PIPELINES = {"StableDiffusionPipeline", "StableDiffusionXLPipeline", "LatentConsistencyModelPipeline"}

# The most by which a picture may differ from PyTorch's, in 1/255: on average, and the share of values that differ by more than 1.
BOUNDS = {False: (0.1, 0.001), True: (2.0, 1.0)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", nargs="?", help="a folder in diffusers' layout, or a name on the Hub")
    parser.add_argument("out", type=pathlib.Path, help="the folder to write; its last part is the model's name in jobs")
    parser.add_argument("--random", choices=randomize.FAMILIES, help="instead of MODEL: random weights in a family's shape, without a download")
    parser.add_argument("--tiny", action="store_true", help="with --random: the same parts, and nearly no weights")
    parser.add_argument("--float16", action="store_true", help="UNet and text encoders in float16, for GPUs; the VAE stays in float32, since SDXL's overflows")
    parser.add_argument("--fuse", choices=("cuda", "cpu"), help="fuse attention and norms of UNet and VAE for a provider; a graph for CUDA does not load on a CPU")
    parser.add_argument("--vae", help="take the VAE from another folder or repository, as madebyollin/sdxl-vae-fp16-fix")
    parser.add_argument("--vae-float16", action="store_true", help="the VAE in float16: for one that is made for it; one in float32 is written beside it, for pictures that overflow all the same")
    parser.add_argument("--variant", help="the variant of the weights to read, such as fp16")
    parser.add_argument("--steps", type=int, help="num_inference_steps of jobs that name none (stipple.json); default the family's")
    parser.add_argument("--guidance", type=float, help="guidance_scale of jobs that name none (stipple.json); default the family's")
    parser.add_argument("--clip-skip", type=int, help="how many of the text encoder's last layers to leave out (stipple.json)")
    parser.add_argument("--check", choices=("cpu", "cuda", "no"), default="cpu", help="where one prompt is drawn with PyTorch and with the graphs, and compared (cpu)")
    args = parser.parse_args()
    if bool(args.model) == bool(args.random):
        parser.error("name a model, or --random a family")
    return parser, args


def defaults(pipe, family):
    """num_inference_steps and guidance_scale of the pipeline's family, by what its own files say."""
    spacing = pipe.scheduler.config.get("timestep_spacing")
    if type(pipe).__name__ == "LatentConsistencyModelPipeline":
        return {"num_inference_steps": 4, "guidance_scale": 8.5}
    if type(pipe.scheduler).__name__ == "LCMScheduler":  # LCM-LoRA, merged
        return {"num_inference_steps": 4, "guidance_scale": 1.0}
    if "turbo" in family.lower() and spacing == "trailing":
        return {"num_inference_steps": 1, "guidance_scale": 0.0}
    if type(pipe).__name__ == "StableDiffusionXLPipeline":
        return {"guidance_scale": 5.0}
    return {}


def export(pipe, args, plain):
    """Write all parts of pipe, whose modules end up in the types that were asked for. UNet and VAE go to plain, in float32, where they are to be fused: finish
    makes the rest of them."""
    args.out.mkdir(parents=True, exist_ok=True)
    to = plain if args.fuse else args.out
    if args.vae_float16:
        graphs.vae_decoder(to / "vae_decoder_fp32", pipe.vae)
        if not args.fuse:
            pipe.vae.half()
    graphs.vae_decoder(to / "vae_decoder", pipe.vae)
    if args.float16 and not args.fuse:
        pipe.unet.half()
    graphs.unet(to / "unet", pipe.unet)
    if args.float16:
        pipe.unet.half()
    if args.vae_float16:
        pipe.vae.half()
    for i in ("", "_2"):
        if encoder := getattr(pipe, "text_encoder" + i, None):
            graphs.text_encoder(args.out / f"text_encoder{i}", encoder.half() if args.float16 else encoder)
            getattr(pipe, "tokenizer" + i).save_pretrained(args.out / f"tokenizer{i}")
    pipe.scheduler.save_pretrained(args.out / "scheduler")
    pipe.save_config(args.out)  # model_index.json


def finish(args, plain, provider):
    """Fuse what export left in plain."""
    for part in sorted(path.name for path in plain.iterdir()):
        target = args.out / part
        target.mkdir(exist_ok=True)
        shutil.copy(plain / part / "config.json", target)
        half = args.float16 if part == "unet" else args.vae_float16 and part == "vae_decoder"
        print(f"{part}: fused for {provider}: {fuse.fuse(plain / part, target, provider, half)}", file=sys.stderr)


def check(pipe, args, own):
    """Draw one prompt with PyTorch in float32 and with the graphs, and end where they differ by more than they may."""
    device = args.check
    pipe.to(device, torch.float32)  # of float16's weights, so that only the arithmetic differs
    mean, above, most, spread = compare.compare(pipe, args.out, device, own.get("num_inference_steps", 4), own.get("guidance_scale", 7.5))
    bound = BOUNDS[args.float16 or args.vae_float16]
    print(f"against PyTorch in float32: differs by {mean:.4f}/255 on average, in {100 * above:.3f} % of the values by more than 1/255, at most by {most:.2f}/255; "
          f"the picture itself spreads by {spread:.1f}/255", file=sys.stderr)
    if mean > bound[0] or above > bound[1]:
        raise SystemExit(f"the export does not draw what PyTorch draws: at most {bound[0]}/255 on average and {100 * bound[1]} % above 1/255 are expected")


def main():
    parser, args = arguments()
    logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    if args.random:
        pipe = randomize.random_pipeline(args.random, args.tiny)
    else:
        pipe = DiffusionPipeline.from_pretrained(args.model, variant=args.variant, torch_dtype=torch.float32)
    if type(pipe).__name__ not in PIPELINES:
        parser.error(f"{args.model} is a {type(pipe).__name__}: the worker draws with {', '.join(sorted(PIPELINES))}")
    if args.vae:
        pipe.vae = AutoencoderKL.from_pretrained(args.vae, torch_dtype=torch.float32)
    own = defaults(pipe, args.random or args.model)
    own |= {name: value for name, value in (("num_inference_steps", args.steps), ("guidance_scale", args.guidance), ("clip_skip", args.clip_skip)) if value is not None}

    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as scratch:
        plain = pathlib.Path(scratch)
        export(pipe, args, plain)
        if args.fuse == "cuda" and args.check == "cpu":  # what is fused for CUDA does not load there: the same, fused for a CPU, is compared before
            finish(args, plain, "cpu")
            check(pipe, args, own)
        if args.fuse:
            finish(args, plain, args.fuse)
    if args.check == args.fuse or (args.check != "no" and args.fuse != "cuda"):
        check(pipe, args, own)
    own["digest"] = digest.digest(args.out)
    (args.out / "stipple.json").write_text(json.dumps(own, indent=1) + "\n")


if __name__ == "__main__":
    main()
