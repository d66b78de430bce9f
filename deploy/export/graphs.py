"""The graphs of a pipeline, traced with PyTorch. What other exporters leave out is here: a timestep for each row, in float32, so that pictures at
different steps share a call; all layers of the text encoders, for SDXL and clip_skip."""

import tempfile

import onnx
import torch

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


def save(model, folder):
    """Write a graph to folder/model.onnx, with its weights beside it where they are large."""
    large = sum(len(weight.raw_data) for weight in model.graph.initializer) > MOST
    for old in ("model.onnx", "model.onnx_data"):
        (folder / old).unlink(missing_ok=True)
    onnx.save(model, folder / "model.onnx", save_as_external_data=large, all_tensors_to_one_file=True, location="model.onnx_data")
    for file in folder.iterdir():
        file.chmod(0o644)  # onnx makes the weights readable for their owner alone


def write(folder, module, inputs, outputs):
    """Export module to folder/model.onnx; inputs and outputs are names with their open axes, inputs with an example too."""
    folder.mkdir(parents=True, exist_ok=True)
    axes = {name: dict(enumerate(names)) for name, (names, _) in inputs.items()} | {name: dict(enumerate(names)) for name, names in outputs.items()}
    axes = {name: {i: axis for i, axis in of.items() if axis} for name, of in axes.items()}
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, torch.no_grad():
        traced = f"{scratch}/model.onnx"  # with a file for each weight beside it where all together are too large
        torch.onnx.export(module.eval(), tuple(example for _, example in inputs.values()), traced, input_names=list(inputs), output_names=list(outputs),
                          dynamic_axes=axes, opset_version=17, dynamo=False)
        model = onnx.load(traced)
    save(model, folder)


def text_encoder(folder, encoder):
    layers = encoder.config.num_hidden_layers
    pooled = "text_embeds" if encoder.config.architectures[0].endswith("WithProjection") else "pooler_output"
    hidden = ("batch_size", "sequence_length")
    device = next(encoder.parameters()).device
    write(folder, TextEncoder(encoder), {"input_ids": (hidden, torch.zeros(ROWS, LENGTH, dtype=torch.long, device=device))},
          {"last_hidden_state": hidden, pooled: ("batch_size",)} | {f"hidden_states.{i}": hidden for i in range(layers + 1)})
    encoder.config.save_pretrained(folder)


def unet(folder, model):
    config, kind = model.config, {"dtype": model.dtype, "device": model.device}
    size = ("batch_size", None, "height", "width")
    side = 1 << len(config.down_block_types)
    inputs = {
        "sample": (size, torch.randn(ROWS, config.in_channels, 2 * side, 2 * side, **kind)),
        "timestep": (("batch_size",), torch.tensor([1.0, 999.0], device=model.device)),
        "encoder_hidden_states": (("batch_size", "sequence_length"), torch.randn(ROWS, LENGTH, config.cross_attention_dim, **kind)),
    }
    if config.time_cond_proj_dim:
        inputs["timestep_cond"] = (("batch_size",), torch.randn(ROWS, config.time_cond_proj_dim, **kind))
    if config.addition_embed_type == "text_time":
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        inputs["text_embeds"] = (("batch_size",), torch.randn(ROWS, width, **kind))
        inputs["time_ids"] = (("batch_size",), torch.full((ROWS, 6), 512, **kind))
    write(folder, UNet(model, list(inputs)), inputs, {"out_sample": size})
    model.save_config(folder)


def vae_decoder(folder, vae):
    latents = torch.randn(ROWS, vae.config.latent_channels, 16, 16, dtype=vae.dtype, device=vae.device)
    size = ("batch_size", None, "height", "width")
    write(folder, Decoder(vae), {"latent_sample": (("batch_size", None, "latent_height", "latent_width"), latents)}, {"sample": size})
    vae.save_config(folder)
