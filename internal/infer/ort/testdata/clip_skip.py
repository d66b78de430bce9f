"""Draw the cases of clip_skip/ with diffusers: python clip_skip.py (diffusers 0.42.1, transformers 5.23.0, torch 2.15.0, onnx 1.23.2)."""
import json
import os

from PIL import Image

import rebuild

here = os.path.dirname(os.path.abspath(__file__))
pipelines = os.path.join(here, "../../../../testdata/pipelines")
out = os.path.join(here, "clip_skip")
cases = []
for model, clip_skip, case in (
    ("sd15", 1, {"prompt": "a photo of a red fox in the snow", "negative_prompt": "blurry, low quality", "seed": 3, "guidance_scale": 7.5}),
    ("sd15", 2, {"prompt": "A castle on a hill, sunset, masterpiece", "seed": 4, "guidance_scale": 5.0}),
    ("sdxl", 1, {"prompt": "a photo of a red fox in the snow", "negative_prompt": "blurry, low quality", "seed": 5, "guidance_scale": 6.0}),
):
    case |= {"num_inference_steps": 4, "width": 128, "height": 128}
    name = f"{model}_{clip_skip}.png"
    Image.fromarray(rebuild.draw(rebuild.pipeline(os.path.join(pipelines, model)), case, clip_skip=clip_skip)).save(os.path.join(out, name))
    cases.append({"model": model, "clip_skip": clip_skip, "image": name} | case)
with open(os.path.join(out, "cases.json"), "w") as file:
    json.dump(cases, file, indent=1)
    file.write("\n")
