"""The digest of a model's folder that stands in its stipple.json: docs/models.md."""

import hashlib

import onnx

PARTS = ("unet", "vae_decoder", "vae_decoder_fp32", "text_encoder", "text_encoder_2")
CONFIGS = ("unet", "vae_decoder", "text_encoder", "text_encoder_2")
TOKENIZER = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def files(folder):
    """The names of all files that a worker reads, stipple.json left out."""
    names = ["model_index.json", "scheduler/scheduler_config.json"]
    names += [f"{part}/config.json" for part in CONFIGS]
    names += [f"{tokenizer}/{name}" for tokenizer in ("tokenizer", "tokenizer_2") for name in TOKENIZER]
    names = {name for name in names if (folder / name).exists()}
    for part in PARTS:
        graph = folder / part / "model.onnx"
        if not graph.exists():
            continue
        names.add(f"{part}/model.onnx")
        for tensor in onnx.load(graph, load_external_data=False).graph.initializer:
            names |= {f"{part}/{entry.value}" for entry in tensor.external_data if entry.key == "location"}
    return sorted(names)


def digest(folder):
    """SHA-256 over a line for each file, as sha256sum prints it."""
    total = hashlib.sha256()
    for name in files(folder):
        with open(folder / name, "rb") as file:
            total.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n".encode())
    return total.hexdigest()
