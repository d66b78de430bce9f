"""Fused attention, norms and convolutions, by ONNX Runtime's own optimizer. It makes operations that one provider has and another lacks: a graph for
CUDA does not load on a CPU. Text encoders are left alone: clip_skip needs the final norm's weights by their name, and they take no time."""

import pathlib
import tempfile

import graphs
import onnx

# What CUDA's provider has and a CPU's has not.
CUDA_ALONE = ("group_norm", "skip_group_norm", "nhwc_conv", "bias_splitgelu", "packed_qkv", "packed_kv", "bias_add")


def fuse(source, target, provider, float16):
    """Optimize source/model.onnx, which is in float32, for a provider (cuda or cpu), convert it to float16 where asked, and write target/model.onnx. A graph that was
    traced in float16 is not fused: casts stand between what the optimizer looks for. Returns the operations that came of it, with their numbers."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    kind = "unet" if target.name == "unet" else "vae"
    options = FusionOptions(kind)
    for name in CUDA_ALONE:
        setattr(options, f"enable_{name}", provider == "cuda" and getattr(options, f"enable_{name}"))
    # opt_level 0: what ONNX Runtime fuses by itself, it does at load, for the provider that it has there.
    model = optimize_model(str(source / "model.onnx"), model_type=kind, opt_level=0, optimization_options=options, use_gpu=provider == "cuda")
    if float16:
        # Sines of timesteps and sizes stay in float32, as in diffusers: 999.5 is no number in float16, nor is its sine.
        exact = [node.name for node in model.model.graph.node if "time_proj" in node.name]
        model.convert_float_to_float16(keep_io_types=["timestep"], node_block_list=exact, op_block_list=[])
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # Through a file: the optimizer's own way to save leaves weights in memory that belong beside the graph.
        out = pathlib.Path(scratch) / "model.onnx"
        model.save_model_to_file(str(out), use_external_data_format=True)
        graphs.save(onnx.load(out), target)
    fused = {}
    for node in model.model.graph.node:
        if node.domain == "com.microsoft":
            fused[node.op_type] = fused.get(node.op_type, 0) + 1
    return fused
