"""Write graphs/: UNets of a few operations, for what the golden pipelines cannot show. python graphs.py (onnx 1.23.2)

Each answers sample · timestep + mean(encoder_hidden_states), so that a test sees what reached the graph.
"""
import os

import onnx

out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "graphs")

UNET = """
<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]>
unet ({elem}[b, 4, h, w] sample, {timestep} timestep, {elem}[b, s, 32] encoder_hidden_states) => ({elem}[b, 4, h, w] out_sample)
<int64[3] image = {{1, 2, 3}}, int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] last = {{3}}, float[1] f1 = {{1.0}}, float[4, 3, 3, 4] kernel = {{{kernel}}}>
{{
  x = Cast<to = 1>(sample)
  text = Cast<to = 1>(encoder_hidden_states)
  {time}
  factor = Unsqueeze(t, image)
  product = Mul(x, factor)
  mean = ReduceMean<axes = [1, 2], keepdims = 1>(text)
  offset = Unsqueeze(mean, last)
  sum = Add(product, offset)
  {end}
  out_sample = Cast<to = {to}>(y)
}}
"""

PLAIN = "t = Cast<to = 1>(timestep)"
SCALAR = "t0 = Cast<to = 1>(timestep)\n t = Unsqueeze(t0, zero)"
SAME = "y = Identity(sum)"


def write(name, timestep, time=PLAIN, end=SAME, elem="float", to=1, opset=17):
    text = UNET.format(timestep=timestep, time=time, end=end, elem=elem, to=to, opset=opset, kernel=", ".join(["0.0"] * 144))
    model = onnx.parser.parse_model(text)
    if "kernel" not in end:
        del model.graph.initializer[[i.name for i in model.graph.initializer].index("kernel")]
    onnx.save(model, os.path.join(out, name + ".onnx"))


os.makedirs(out, exist_ok=True)
for elem, kind in (("int64", "int64"), ("int32", "int32"), ("float32", "float"), ("float16", "float16")):
    write(elem, f"{kind}[b]")
for elem, kind in (("int64", "int64"), ("float32", "float")):
    write(f"scalar_{elem}", kind, SCALAR)
write("single_int64", "int64[1]")
write("half", "float16[b]", elem="float16", to=10)
# Exports of a model that was traced with one timestep: the first stands for all; two of them fail; two rows fail.
write("first_timestep", "int64[b]", "first = Slice(timestep, zero, one, zero)\n t = Cast<to = 1>(first)")
write("one_timestep", "int64[b]", "first = Reshape(timestep, one)\n t = Cast<to = 1>(first)")
write("one_row", "int64[b]", end="row = Squeeze(sum, zero)\n y = Unsqueeze(row, zero)")
# What cannot run: logarithms of what is not positive, a future opset, an operation of the CUDA provider.
write("nan", "int64[b]", end="size = Abs(sum)\n minus = Neg(size)\n less = Sub(minus, f1)\n y = Log(less)")
write("opset_99", "int64[b]", opset=99)
write("gpu_operation", "int64[b]",
      end="rows = Transpose<perm = [0, 2, 3, 1]>(sum)\n z = com.microsoft.NhwcConv<pads = [1, 1, 1, 1]>(rows, kernel)\n y = Transpose<perm = [0, 3, 1, 2]>(z)")

# A decoder that makes each latent a square of its first three channels: its tiles know nothing of each other and lose nothing.
VAE = """
<ir_version: 8, opset_import: ["" : 17]>
vae (float[b, 4, h, w] latent_sample) => (float[b, 3, hh, ww] sample)
<float[4] scales = {1.0, 1.0, 8.0, 8.0}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}>
{
  rgb = Slice(latent_sample, zero, three, one)
  sample = Resize<mode = "nearest", nearest_mode = "floor", coordinate_transformation_mode = "asymmetric">(rgb, , scales)
}
"""
onnx.save(onnx.parser.parse_model(VAE), os.path.join(out, "vae.onnx"))
