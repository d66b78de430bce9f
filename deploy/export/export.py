"""Export a Stable Diffusion pipeline (1.x, 2.x, SDXL, Turbo, LCM) from diffusers to the folder that the worker reads: docs/models.md.

    pip install -r deploy/export/requirements.txt
    python deploy/export/export.py stabilityai/sdxl-turbo models/sdxl-turbo --float16 --steps 1 --guidance 0

MODEL is a folder in diffusers' layout or a name on the Hugging Face Hub. What other exporters leave out is here: a timestep for each row, in
float32, so that pictures at different steps share a call; all layers of the text encoders, for SDXL and clip_skip.
"""

import argparse
import json
import pathlib
import tempfile

import onnx
import torch
from diffusers import DiffusionPipeline

PIPELINES = {"StableDiffusionPipeline", "StableDiffusionXLPipeline", "LatentConsistencyModelPipeline"}
ROWS, LENGTH = 2, 77  # of the traced inputs; both stay open
MOST = 1 << 30  # bytes of weights in model.onnx itself; a file of protobuf ends at 2 GiB


class TextEncoder(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        encoder.set_attn_implementation("eager")  # the fused one is traced with its scale in float32, also in float16
        self.encoder = encoder

    def forward(self, input_ids):
        out = self.encoder(input_ids=input_ids, output_hidden_states=True)
        pooled = out.text_embeds if "text_embeds" in out else out.pooler_output
        return out.last_hidden_state, pooled, *out.hidden_states


class UNet(torch.nn.Module):
    def __init__(self, unet, names):
        super().__init__()
        self.unet, self.names = unet, names

    def forward(self, *inputs):
        given = dict(zip(self.names, inputs))
        added = {name: given.pop(name) for name in ("text_embeds", "time_ids") if name in given}
        return self.unet(**given, added_cond_kwargs=added or None, return_dict=False)[0]


class Decoder(torch.nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample):
        return self.vae.decode(latent_sample, return_dict=False)[0]


def write(folder, module, inputs, outputs):
    """Export module to folder/model.onnx; inputs and outputs are names with their open axes, inputs with an example too."""
    folder.mkdir(parents=True, exist_ok=True)
    axes = {name: dict(enumerate(names)) for name, (names, _) in inputs.items()} | {name: dict(enumerate(names)) for name, names in outputs.items()}
    axes = {name: {i: axis for i, axis in of.items() if axis} for name, of in axes.items()}
    with tempfile.TemporaryDirectory(dir=folder) as scratch, torch.no_grad():
        traced = f"{scratch}/model.onnx"  # with a file for each weight beside it where all together are too large
        torch.onnx.export(module.eval(), tuple(example for _, example in inputs.values()), traced, input_names=list(inputs), output_names=list(outputs),
                          dynamic_axes=axes, opset_version=17, dynamo=False)
        model = onnx.load(traced)
    large = sum(len(weight.raw_data) for weight in model.graph.initializer) > MOST
    for old in ("model.onnx", "model.onnx_data"):
        (folder / old).unlink(missing_ok=True)
    onnx.save(model, folder / "model.onnx", save_as_external_data=large, all_tensors_to_one_file=True, location="model.onnx_data")
    for file in folder.iterdir():
        file.chmod(0o644)  # onnx makes the weights readable for their owner alone


def text_encoder(folder, encoder):
    layers = encoder.config.num_hidden_layers
    pooled = "text_embeds" if encoder.config.architectures[0].endswith("WithProjection") else "pooler_output"
    hidden = ("batch_size", "sequence_length")
    write(folder, TextEncoder(encoder), {"input_ids": (hidden, torch.zeros(ROWS, LENGTH, dtype=torch.long))},
          {"last_hidden_state": hidden, pooled: ("batch_size",)} | {f"hidden_states.{i}": hidden for i in range(layers + 1)})
    encoder.config.save_pretrained(folder)


def unet(folder, model):
    config, kind = model.config, model.dtype
    size = ("batch_size", None, "height", "width")
    side = 1 << len(config.down_block_types)
    inputs = {
        "sample": (size, torch.randn(ROWS, config.in_channels, 2 * side, 2 * side, dtype=kind)),
        "timestep": (("batch_size",), torch.tensor([1.0, 999.0])),
        "encoder_hidden_states": (("batch_size", "sequence_length"), torch.randn(ROWS, LENGTH, config.cross_attention_dim, dtype=kind)),
    }
    if config.time_cond_proj_dim:
        inputs["timestep_cond"] = (("batch_size",), torch.randn(ROWS, config.time_cond_proj_dim, dtype=kind))
    if config.addition_embed_type == "text_time":
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        inputs["text_embeds"] = (("batch_size",), torch.randn(ROWS, width, dtype=kind))
        inputs["time_ids"] = (("batch_size",), torch.full((ROWS, 6), 512, dtype=kind))
    write(folder, UNet(model, list(inputs)), inputs, {"out_sample": size})
    model.save_config(folder)


def vae_decoder(folder, vae):
    latents = torch.randn(ROWS, vae.config.latent_channels, 16, 16, dtype=vae.dtype)
    size = ("batch_size", None, "height", "width")
    write(folder, Decoder(vae), {"latent_sample": (("batch_size", None, "latent_height", "latent_width"), latents)}, {"sample": size})
    vae.save_config(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help="a folder in diffusers' layout, or a name on the Hub")
    parser.add_argument("out", type=pathlib.Path, help="the folder to write; its last part is the model's name in jobs")
    parser.add_argument("--float16", action="store_true", help="UNet and text encoders in float16, for GPUs; the VAE stays in float32, since SDXL's overflows")
    parser.add_argument("--variant", help="the variant of the weights to read, such as fp16")
    parser.add_argument("--steps", type=int, help="num_inference_steps of jobs that name none (stipple.json)")
    parser.add_argument("--guidance", type=float, help="guidance_scale of jobs that name none (stipple.json)")
    parser.add_argument("--clip-skip", type=int, help="how many of the text encoder's last layers to leave out (stipple.json)")
    args = parser.parse_args()

    pipe = DiffusionPipeline.from_pretrained(args.model, variant=args.variant, torch_dtype=torch.float32)
    if type(pipe).__name__ not in PIPELINES:
        parser.error(f"{args.model} is a {type(pipe).__name__}: the worker draws with {', '.join(sorted(PIPELINES))}")
    vae_decoder(args.out / "vae_decoder", pipe.vae)
    if args.float16:
        pipe.unet.half()
    unet(args.out / "unet", pipe.unet)
    for i in ("", "_2"):
        if encoder := getattr(pipe, "text_encoder" + i, None):
            text_encoder(args.out / f"text_encoder{i}", encoder.half() if args.float16 else encoder)
            getattr(pipe, "tokenizer" + i).save_pretrained(args.out / f"tokenizer{i}")
    pipe.scheduler.save_pretrained(args.out / "scheduler")
    pipe.save_config(args.out)  # model_index.json

    own = {"num_inference_steps": args.steps, "guidance_scale": args.guidance, "clip_skip": args.clip_skip}
    if type(pipe).__name__ == "LatentConsistencyModelPipeline":  # its own defaults
        own = {"num_inference_steps": 4, "guidance_scale": 8.5} | {name: value for name, value in own.items() if value is not None}
    own = {name: value for name, value in own.items() if value is not None}
    if own:
        (args.out / "stipple.json").write_text(json.dumps(own, indent=1) + "\n")


if __name__ == "__main__":
    main()
