"""Does an exported folder draw what PyTorch draws? The same diffusers pipeline draws one prompt twice: by its own parts, and with the exported graphs in
their places. The whole of an export is in it: names, shapes, types, both text encoders, every step's timestep."""

import numpy
import torch

PROMPT, NEGATIVE = "a photograph of an astronaut riding a horse", "blurry"


class Graph:
    """A graph in the place of a module's forward."""

    def __init__(self, folder, part, provider):
        import onnxruntime  # its newer versions upload what they learn of a machine; requirements.txt pins one that does not

        providers = {"cpu": ["CPUExecutionProvider"], "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]}[provider]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(folder / part / "model.onnx"), options, providers=providers)
        self.types = {i.name: {"tensor(float16)": numpy.float16, "tensor(float)": numpy.float32, "tensor(int64)": numpy.int64}[i.type] for i in self.session.get_inputs()}

    def __call__(self, **inputs):
        feeds = {name: inputs[name].detach().cpu().numpy().astype(kind) for name, kind in self.types.items()}
        names = [output.name for output in self.session.get_outputs()]
        return {name: torch.from_numpy(value) for name, value in zip(names, self.session.run(names, feeds))}


def use_graphs(pipe, folder, provider):
    """Put the graphs of folder in the place of pipe's modules."""
    unet, decoder = Graph(folder, "unet", provider), Graph(folder, "vae_decoder", provider)

    def denoise(sample, timestep, encoder_hidden_states, timestep_cond=None, added_cond_kwargs=None, return_dict=True, **_):
        rows = sample.shape[0]
        out = unet(sample=sample, timestep=torch.as_tensor(timestep, dtype=torch.float32).reshape(-1).expand(rows), encoder_hidden_states=encoder_hidden_states,
                   timestep_cond=timestep_cond, **(added_cond_kwargs or {}))
        return (out["out_sample"].to(sample),)

    def decode(latents, return_dict=True, **_):
        return (next(iter(decoder(latent_sample=latents).values())).to(latents),)

    pipe.unet.forward, pipe.vae.decode = denoise, decode
    for name in ("text_encoder", "text_encoder_2"):
        if (encoder := getattr(pipe, name, None)) is not None:
            encoder.forward = text_forward(Graph(folder, name, provider), encoder)


def text_forward(graph, encoder):
    from transformers.modeling_outputs import BaseModelOutputWithPooling
    from transformers.models.clip.modeling_clip import CLIPTextModelOutput

    def forward(input_ids=None, **_):
        out = {name: value.to(encoder.device) for name, value in graph(input_ids=input_ids).items()}
        hidden = tuple(out[f"hidden_states.{i}"] for i in range(encoder.config.num_hidden_layers + 1))
        if "text_embeds" in out:
            return CLIPTextModelOutput(text_embeds=out["text_embeds"], last_hidden_state=out["last_hidden_state"], hidden_states=hidden)
        return BaseModelOutputWithPooling(last_hidden_state=out["last_hidden_state"], pooler_output=out["pooler_output"], hidden_states=hidden)

    return forward


def draw(pipe, steps, guidance):
    """One picture as float values of 0 to 255, [height, width, 3]."""
    extra = {} if type(pipe).__name__ == "LatentConsistencyModelPipeline" else {"negative_prompt": NEGATIVE}
    images = pipe(PROMPT, num_inference_steps=steps, guidance_scale=guidance, generator=torch.Generator("cpu").manual_seed(42), output_type="np", **extra).images
    return images[0] * 255


def compare(pipe, folder, provider, steps, guidance):
    """The difference of the two pictures, in 1/255: its mean, the share of values above 1, the largest; and how far the picture's own values spread, since a flat
    one would show nothing."""
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        own = draw(pipe, steps, guidance)
        use_graphs(pipe, folder, provider)
        graphs = draw(pipe, steps, guidance)
    if not (numpy.isfinite(own).all() and numpy.isfinite(graphs).all()):
        raise SystemExit("a picture has values that are no numbers: export the VAE in float32, or one that is made for float16 (--vae)")
    apart = numpy.abs(own - graphs)
    return float(apart.mean()), float((apart > 1).mean()), float(apart.max()), float(own.std())
