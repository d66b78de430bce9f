"""Rebuild a diffusers pipeline in PyTorch from a folder in the ONNX layout, to ask diffusers what a picture must be.

TorchScript's exporter names nodes by their module, so a module's weights are the inputs of its nodes: those of Conv and LayerNormalization as
they are, a Linear's from its MatMul (transposed) and Add, a GroupNorm's affine part from its Mul and Add.
"""
import json
import os
import sys
from types import SimpleNamespace

import diffusers
import numpy as np
import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from onnx import numpy_helper
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


def weights(path):
    """The state dict of the module that was exported to path."""
    graph = onnx.load(path).graph
    tensors = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:  # weights that are equal are stored once
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    state = {n.removeprefix("m."): a for n, a in tensors.items() if n.startswith("m.")}
    for node in graph.node:
        scope = node.name.removeprefix("/m/").removeprefix("/").rsplit("/", 1)[0].replace("/", ".")
        given = [tensors[n] for n in node.input if n in tensors]
        if node.op_type in ("Conv", "LayerNormalization"):
            state |= zip((scope + ".weight", scope + ".bias"), given)
        elif node.op_type == "MatMul" and given:
            state[scope + ".weight"] = given[0].T
        elif node.op_type in ("Mul", "Add") and given and given[0].ndim > 0:
            state[scope + (".weight" if node.op_type == "Mul" else ".bias")] = given[0].reshape(-1)
        elif node.op_type == "Gemm":
            state |= {scope + ".weight": given[0], scope + ".bias": given[1]}
    return {k: torch.from_numpy(np.array(v, dtype=np.float32)) for k, v in state.items()}


def load(model, path, optional=()):
    state = weights(path)
    own = model.state_dict()
    missing = [k for k in own if k not in state and not any(o in k for o in optional)]
    assert not missing, missing
    model.load_state_dict({k: v for k, v in state.items() if k in own}, strict=False)
    return model.eval()


def config(folder, part):
    with open(f"{folder}/{part}/config.json") as file:
        return json.load(file)


def text_encoder(folder, part="text_encoder"):
    kind = CLIPTextModelWithProjection if part == "text_encoder_2" else CLIPTextModel
    model = load(kind(CLIPTextConfig.from_dict(config(folder, part))), f"{folder}/{part}/model.onnx", optional=("position_ids",))
    if not hasattr(model, "text_model"):  # transformers 5 has the norm where diffusers 0.42 does not look for it
        object.__setattr__(model, "text_model", SimpleNamespace(final_layer_norm=model.final_layer_norm))
    return model


def pipeline(folder):
    """The folder as a diffusers pipeline, of Stable Diffusion or SDXL."""
    parts = {"vae": load(AutoencoderKL.from_config(config(folder, "vae_decoder")), f"{folder}/vae_decoder/model.onnx", optional=("encoder.", "quant_conv.")),
             "unet": load(UNet2DConditionModel.from_config(config(folder, "unet")), f"{folder}/unet/model.onnx")}
    with open(f"{folder}/scheduler/scheduler_config.json") as file:
        scheduler = json.load(file)
    parts["scheduler"] = getattr(diffusers, scheduler["_class_name"]).from_config(scheduler)
    for suffix in ("", "_2"):
        if os.path.isdir(f"{folder}/text_encoder{suffix}"):
            parts["text_encoder" + suffix] = text_encoder(folder, "text_encoder" + suffix)
            parts["tokenizer" + suffix] = CLIPTokenizer.from_pretrained(f"{folder}/tokenizer{suffix}")
    if "text_encoder_2" in parts:
        pipe = diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
    else:
        pipe = diffusers.StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, case, **more):
    """The case's picture as bytes of 0 to 255."""
    names = ("prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "width", "height")
    generator = torch.Generator("cpu").manual_seed(case["seed"])
    picture = pipe(**{n: case[n] for n in names if n in case}, **more, generator=generator, output_type="np").images[0]
    return np.rint(picture * 255).astype(np.uint8)


if __name__ == "__main__":  # how close a rebuilt pipeline comes to the pictures of the one that was exported
    folder = sys.argv[1]
    pipe = pipeline(folder)
    with open(f"{folder}/cases.json") as file:
        for case in json.load(file):
            if "scheduler" not in case:
                want = np.array(Image.open(f"{folder}/{case['image']}").convert("RGB")).astype(int)
                print(case["image"], "largest difference", np.abs(draw(pipe, case) - want).max())
