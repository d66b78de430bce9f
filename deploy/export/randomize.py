"""Pipelines of the real families' shapes with random weights, made here without a download: what they draw is noise, and they cost what the real ones cost. `tiny`
ones have the same parts, types and inputs, and nearly no weights."""

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, LatentConsistencyModelPipeline, LCMScheduler,
                       PNDMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

FAMILIES = ("sd15", "sd21", "sdxl", "turbo", "lcm")
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CROSS, PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")


def tokenizer():
    """Every byte is a token: a prompt's length counts here, not its meaning."""
    # Printable letters that stand for the bytes, as in GPT-2's vocabulary, which CLIP's is built on.
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in kept] + [chr(256 + i) for i in range(256 - len(kept))]
    vocabulary = letters + [letter + "</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer({token: i for i, token in enumerate(vocabulary)}, [], model_max_length=77)


def text(tiny, words, width, layers, heads, activation, projection, kind=CLIPTextModel):
    if tiny:
        width, layers, heads, projection = 32, 3, 2, 32
    end = words.eos_token_id
    return kind(CLIPTextConfig(vocab_size=len(words) if tiny else 49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
                               max_position_embeddings=77, hidden_act=activation, projection_dim=projection, bos_token_id=words.bos_token_id, eos_token_id=end, pad_token_id=end,
                               architectures=[kind.__name__]))


def vae(tiny, scaling, size):
    widths = (32, 32, 32, 32) if tiny else (128, 256, 512, 512)
    blocks = len(widths)
    return AutoencoderKL(block_out_channels=widths, down_block_types=("DownEncoderBlock2D",) * blocks, up_block_types=("UpDecoderBlock2D",) * blocks,
                         layers_per_block=1 if tiny else 2, latent_channels=4, sample_size=size, scaling_factor=scaling)


def unet(tiny, size, widths, attends, **more):
    """attends says which blocks have cross-attention, from the outermost in."""
    if tiny:
        widths = tuple(32 * min(2, i + 1) for i in range(len(widths)))
    kinds = [CROSS if cross else PLAIN for cross in attends]
    return UNet2DConditionModel(sample_size=size, block_out_channels=widths, layers_per_block=1 if tiny else 2,
                                down_block_types=tuple(down for down, _ in kinds), up_block_types=tuple(up for _, up in reversed(kinds)), **more)


def side(tiny, size):
    """Latents each way."""
    return 16 if tiny else size


def sd1(tiny, pipeline, scheduler, **more):
    words = tokenizer()
    encoder = text(tiny, words, 768, 12, 12, "quick_gelu", 768)
    size = side(tiny, 64)
    denoiser = unet(tiny, size, (320, 640, 1280, 1280), (True, True, True, False), cross_attention_dim=encoder.config.hidden_size, attention_head_dim=8, **more)
    return pipeline(vae=vae(tiny, 0.18215, 8 * size), text_encoder=encoder, tokenizer=words, unet=denoiser, scheduler=scheduler, safety_checker=None, feature_extractor=None,
                    requires_safety_checker=False)


def sd15(tiny):
    return sd1(tiny, StableDiffusionPipeline, PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1))


def lcm(tiny):
    return sd1(tiny, LatentConsistencyModelPipeline, LCMScheduler(**BETAS), time_cond_proj_dim=32 if tiny else 256)


def sd21(tiny):
    words = tokenizer()
    encoder = text(tiny, words, 1024, 23, 16, "gelu", 512)
    size = side(tiny, 96)
    denoiser = unet(tiny, size, (320, 640, 1280, 1280), (True, True, True, False), cross_attention_dim=encoder.config.hidden_size,
                    attention_head_dim=(2, 4, 4, 4) if tiny else (5, 10, 20, 20), use_linear_projection=True)
    scheduler = DDIMScheduler(**BETAS, prediction_type="v_prediction", steps_offset=1, clip_sample=False, set_alpha_to_one=False)
    return StableDiffusionPipeline(vae=vae(tiny, 0.18215, 8 * size), text_encoder=encoder, tokenizer=words, unet=denoiser, scheduler=scheduler, safety_checker=None,
                                   feature_extractor=None, requires_safety_checker=False)


def sdxl(tiny, size=128, scheduler=None):
    words = tokenizer()
    first = text(tiny, words, 768, 12, 12, "quick_gelu", 768)
    second = text(tiny, words, 1280, 32, 20, "gelu", 1280, CLIPTextModelWithProjection)
    size, times = side(tiny, size), 8 if tiny else 256
    denoiser = unet(tiny, size, (320, 640, 1280), (False, True, True), cross_attention_dim=first.config.hidden_size + second.config.hidden_size,
                    transformer_layers_per_block=(1, 1, 2) if tiny else (1, 2, 10), attention_head_dim=(2, 4, 4) if tiny else (5, 10, 20), use_linear_projection=True,
                    addition_embed_type="text_time", addition_time_embed_dim=times, projection_class_embeddings_input_dim=second.config.projection_dim + 6 * times)
    return StableDiffusionXLPipeline(vae=vae(tiny, 0.13025, 8 * size), text_encoder=first, text_encoder_2=second, tokenizer=words, tokenizer_2=tokenizer(), unet=denoiser,
                                     scheduler=scheduler or EulerDiscreteScheduler(**BETAS, steps_offset=1), add_watermarker=False)


def turbo(tiny):
    """SDXL-Turbo: SDXL at 512², in one step."""
    return sdxl(tiny, 64, EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing"))


def random_pipeline(family, tiny=False, seed=0):
    """A pipeline of the family with the same random weights each time."""
    torch.manual_seed(seed)
    return {"sd15": sd15, "sd21": sd21, "sdxl": sdxl, "turbo": turbo, "lcm": lcm}[family](tiny)
