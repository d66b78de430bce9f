"""Writes the pipeline folder "free", whose graphs do next to nothing: what is left of a job's cost is the worker's own.

python free.py SD15 OUT takes the tokenizer, scheduler and configuration of the golden sd15 folder. Needs onnx 1.19.
"""
import json
import pathlib
import shutil
import sys

import onnx
from onnx import TensorProto, helper, numpy_helper
import numpy as np

source, out = map(pathlib.Path, sys.argv[1:])
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64
HIDDEN = json.loads((source / "text_encoder/config.json").read_text())["hidden_size"]


def constant(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


def save(folder, nodes, inputs, outputs, constants):
    graph = helper.make_graph(
        nodes, folder,
        [helper.make_tensor_value_info(*v) for v in inputs],
        [helper.make_tensor_value_info(*v) for v in outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    (out / folder).mkdir(parents=True, exist_ok=True)
    onnx.save(model, out / folder / "model.onnx")
    shutil.copy(source / folder / "config.json", out / folder)


for name in ("tokenizer", "scheduler"):
    shutil.copytree(source / name, out / name, dirs_exist_ok=True)
shutil.copy(source / "model_index.json", out)

# Token ids, each repeated to the width of an embedding.
save("text_encoder",
     [helper.make_node("Cast", ["input_ids"], ["ids"], to=FLOAT),
      helper.make_node("Unsqueeze", ["ids", "last"], ["column"]),
      helper.make_node("Tile", ["column", "times"], ["last_hidden_state"])],
     [("input_ids", TensorProto.INT32, ["rows", 77])],
     [("last_hidden_state", FLOAT, ["rows", 77, HIDDEN])],
     [constant("last", [2], np.int64), constant("times", [1, 1, HIDDEN], np.int64)])

# The noise is the latents themselves; the other inputs are only asked for.
save("unet",
     [helper.make_node("ReduceMean", ["encoder_hidden_states"], ["text"], axes=[1, 2], keepdims=0),
      helper.make_node("Cast", ["timestep"], ["time"], to=FLOAT),
      helper.make_node("Add", ["text", "time"], ["both"]),
      helper.make_node("Mul", ["both", "zero"], ["nothing"]),
      helper.make_node("Reshape", ["nothing", "row"], ["nothings"]),
      helper.make_node("Add", ["sample", "nothings"], ["out_sample"])],
     [("sample", FLOAT, ["rows", 4, "height", "width"]), ("timestep", FLOAT, ["rows"]),
      ("encoder_hidden_states", FLOAT, ["rows", 77, HIDDEN])],
     [("out_sample", FLOAT, ["rows", 4, "height", "width"])],
     [constant("zero", [0], np.float32), constant("row", [-1, 1, 1, 1], np.int64)])

# Three of the four channels, every value eight pixels wide and high.
save("vae_decoder",
     [helper.make_node("Slice", ["latent_sample", "start", "end", "axis"], ["rgb"]),
      helper.make_node("Resize", ["rgb", "", "scales"], ["sample"], mode="nearest")],
     [("latent_sample", FLOAT, [1, 4, "height", "width"])],
     [("sample", FLOAT, [1, 3, "height8", "width8"])],
     [constant("start", [0], np.int64), constant("end", [3], np.int64), constant("axis", [1], np.int64),
      constant("scales", [1, 1, 8, 8], np.float32)])
