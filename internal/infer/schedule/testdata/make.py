"""Writes from_config.json and options.json: runs of diffusers 0.42.1 (torch 2.15.0, CPU, float32) on the toy model of README.md."""
import inspect, json, os, sys, warnings
import numpy as np, torch, diffusers

warnings.simplefilter("ignore")
diffusers.utils.logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))

CLASSES = {
    "ddim": "DDIMScheduler", "ddpm": "DDPMScheduler", "deis": "DEISMultistepScheduler", "dpm2": "KDPM2DiscreteScheduler",
    "dpm2_a": "KDPM2AncestralDiscreteScheduler", "dpmpp_2m": "DPMSolverMultistepScheduler", "dpmpp_2m_sde": "DPMSolverMultistepScheduler",
    "dpmpp_2s": "DPMSolverSinglestepScheduler", "dpmpp_3m": "DPMSolverMultistepScheduler", "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler", "heun": "HeunDiscreteScheduler", "lcm": "LCMScheduler", "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler", "tcd": "TCDScheduler", "unipc": "UniPCMultistepScheduler", "flow_euler": "FlowMatchEulerDiscreteScheduler",
}
SET = {
    "dpmpp_2m": dict(algorithm_type="dpmsolver++", solver_order=2), "dpmpp_2m_sde": dict(algorithm_type="sde-dpmsolver++", solver_order=2),
    "dpmpp_2s": dict(algorithm_type="dpmsolver++", solver_order=2), "dpmpp_3m": dict(algorithm_type="dpmsolver++", solver_order=3),
}


def toy(x, t):
    return 0.35 * x + 0.15 * torch.sin(3 * x + t / 250) + 0.02 * torch.cos(t / 70)


def run(s, steps, seed, **kw):
    s.set_timesteps(**kw) if kw else s.set_timesteps(steps)
    sigma = float(getattr(s, "init_noise_sigma", 1.0))
    x = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(seed)) * sigma
    noise = torch.Generator().manual_seed(1000 + seed)
    more = {"generator": noise} if "generator" in inspect.signature(s.step).parameters else {}
    for t in s.timesteps:
        scaled = s.scale_model_input(x, t) if hasattr(s, "scale_model_input") else x
        x = s.step(toy(scaled, t.to(torch.float32)), t, x, return_dict=False, **more)[0]
    sigmas = getattr(s, "sigmas", None) if type(s).__name__ not in ("DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LCMScheduler", "TCDScheduler") else None
    f = lambda v: [float(f"{a:.9g}") for a in v]
    end = x.flatten().numpy().astype(np.float64)
    return dict(steps=steps, seed=seed, init_noise_sigma=float(f"{sigma:.9g}"), timesteps=f(s.timesteps.tolist()), sigmas=f(sigmas.tolist()) if sigmas is not None else None,
                model_calls=len(s.timesteps), end=f(end[:8]) + f([end.mean(), end.std(ddof=1)]))


def from_config(models):
    """Every job name laid over the scheduler_config.json of every model."""
    out = []
    for model, config in models.items():
        for name, cls in sorted(CLASSES.items()):
            if name == "flow_euler":
                continue
            cls = getattr(diffusers, cls)
            known = inspect.signature(cls.__init__).parameters
            for suffix in ("", "karras", "exponential", "beta"):
                if suffix and "use_karras_sigmas" not in known:
                    continue
                if suffix in ("exponential", "beta") and model != "sdxl":
                    continue
                over = dict(SET.get(name, {}), **({f"use_{suffix}_sigmas": True} if suffix else {}))
                try:
                    r = run(cls.from_config(config, **over), 6, 42)
                except (NotImplementedError, ValueError, IndexError) as e:
                    print("skipped", model, name, suffix, repr(e)[:80], file=sys.stderr)
                    continue
                out.append(dict(model=model, name=name + ("_" + suffix if suffix else ""), **r))
    return out


SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
V = dict(SD, prediction_type="v_prediction")
ZERO = dict(V, rescale_betas_zero_snr=True, timestep_spacing="trailing")
FLOW = dict(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0)
OPTIONS = [
    ("DDIMScheduler", {}), ("DDIMScheduler", dict(SD, clip_sample=True, clip_sample_range=0.8)), ("DDIMScheduler", dict(SD, clip_sample=False, thresholding=True, sample_max_value=1.5)),
    ("DDIMScheduler", dict(SD, prediction_type="sample", clip_sample=False)), ("DDIMScheduler", dict(beta_schedule="squaredcos_cap_v2", timestep_spacing="linspace")),
    ("DDIMScheduler", dict(trained_betas=[0.001 * (i + 1) for i in range(50)], num_train_timesteps=50, clip_sample=False)),
    ("DDPMScheduler", {}), ("DDPMScheduler", dict(SD, variance_type="fixed_large", timestep_spacing="trailing", clip_sample=False)), ("DDPMScheduler", dict(SD, variance_type="fixed_small_log", thresholding=True)),
    ("DDPMScheduler", dict(V, timestep_spacing="linspace", clip_sample=False)), ("DDPMScheduler", dict(ZERO, clip_sample=False)),
    ("PNDMScheduler", {}), ("PNDMScheduler", dict(V, skip_prk_steps=False)), ("PNDMScheduler", dict(SD, skip_prk_steps=True, timestep_spacing="linspace", set_alpha_to_one=True)),
    ("PNDMScheduler", dict(SD, skip_prk_steps=True, timestep_spacing="trailing")),
    ("EulerDiscreteScheduler", {}), ("EulerDiscreteScheduler", ZERO), ("EulerDiscreteScheduler", dict(V, timestep_type="continuous", sigma_min=0.002, sigma_max=80.0, use_karras_sigmas=True)),
    ("EulerDiscreteScheduler", dict(SD, interpolation_type="log_linear")), ("EulerDiscreteScheduler", dict(SD, final_sigmas_type="sigma_min", timestep_spacing="trailing")),
    ("EulerDiscreteScheduler", dict(SD, prediction_type="sample")), ("EulerDiscreteScheduler", dict(SD, use_beta_sigmas=True)),
    ("EulerAncestralDiscreteScheduler", {}), ("EulerAncestralDiscreteScheduler", ZERO),
    ("LMSDiscreteScheduler", dict(SD, sigma_min=0.1, sigma_max=10.0, use_karras_sigmas=True)), ("LMSDiscreteScheduler", dict(SD, sigma_min=0.1, sigma_max=10.0, use_exponential_sigmas=True)),
    ("LMSDiscreteScheduler", dict(V, use_beta_sigmas=True, timestep_spacing="trailing")), ("LMSDiscreteScheduler", dict(SD, prediction_type="sample")),
    ("HeunDiscreteScheduler", dict(V, use_exponential_sigmas=True)), ("HeunDiscreteScheduler", dict(SD, use_beta_sigmas=True, clip_sample=True)), ("HeunDiscreteScheduler", dict(SD, prediction_type="sample", timestep_spacing="trailing")),
    ("KDPM2DiscreteScheduler", dict(V, use_karras_sigmas=True)), ("KDPM2DiscreteScheduler", dict(SD, use_exponential_sigmas=True, timestep_spacing="leading", steps_offset=1)), ("KDPM2DiscreteScheduler", dict(SD, use_beta_sigmas=True)),
    ("KDPM2AncestralDiscreteScheduler", dict(V, use_karras_sigmas=True)), ("KDPM2AncestralDiscreteScheduler", dict(SD, use_exponential_sigmas=True, timestep_spacing="trailing")),
    ("LCMScheduler", dict(clip_sample=True)), ("LCMScheduler", dict(thresholding=True)), ("LCMScheduler", dict(prediction_type="v_prediction", original_inference_steps=100)), ("LCMScheduler", dict(ZERO, prediction_type="sample")),
    ("TCDScheduler", dict(prediction_type="v_prediction")), ("TCDScheduler", dict(prediction_type="sample", original_inference_steps=20)), ("TCDScheduler", ZERO),
    ("FlowMatchEulerDiscreteScheduler", {}), ("FlowMatchEulerDiscreteScheduler", dict(shift=3.0, use_karras_sigmas=True)), ("FlowMatchEulerDiscreteScheduler", dict(shift=2.0, use_exponential_sigmas=True)),
    ("FlowMatchEulerDiscreteScheduler", dict(use_beta_sigmas=True)), ("FlowMatchEulerDiscreteScheduler", dict(shift_terminal=0.1, stochastic_sampling=True)), ("FlowMatchEulerDiscreteScheduler", dict(invert_sigmas=True)),
]
for cls in ("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"):
    for order in (1, 2, 3):
        for solver in ("midpoint", "heun"):
            for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
                if ("Single" in cls, order, solver, algorithm) == (True, 3, "heun", "sde-dpmsolver++"):
                    continue  # it diverges, and float32 is off by 2e-3 in diffusers itself
                OPTIONS.append((cls, dict(SD, solver_order=order, solver_type=solver, algorithm_type=algorithm, lower_order_final=order == 2)))
            OPTIONS.append((cls, dict(V, solver_order=order, solver_type=solver, algorithm_type="dpmsolver", final_sigmas_type="sigma_min")))
            if order < 3 and "Multi" in cls:
                OPTIONS.append((cls, dict(SD, solver_order=order, solver_type=solver, algorithm_type="sde-dpmsolver", final_sigmas_type="sigma_min")))
    OPTIONS += [(cls, dict(SD, lambda_min_clipped=-5.1)), (cls, dict(V, use_exponential_sigmas=True, lower_order_final=True)), (cls, dict(SD, use_beta_sigmas=True)), (cls, FLOW), (cls, dict(SD, thresholding=True, sample_max_value=2.0)),
                (cls, dict(beta_schedule="squaredcos_cap_v2")), (cls, dict(SD, prediction_type="sample", sigma_min=0.1, sigma_max=9.0, use_karras_sigmas=True))]
OPTIONS += [("DPMSolverMultistepScheduler", dict(SD, use_lu_lambdas=True)), ("DPMSolverMultistepScheduler", ZERO), ("DPMSolverMultistepScheduler", dict(SD, timestep_spacing="trailing")),
            ("DPMSolverMultistepScheduler", dict(SD, algorithm_type="dpmsolver", final_sigmas_type="sigma_min", thresholding=True))]
for order in (1, 2, 3):
    for solver in ("bh1", "bh2"):
        # bh1 to level 0 is NaN in diffusers
        OPTIONS.append(("UniPCMultistepScheduler", dict(SD, solver_order=order, solver_type=solver, final_sigmas_type="sigma_min" if solver == "bh1" else "zero")))
        OPTIONS.append(("UniPCMultistepScheduler", dict(V, solver_order=order, solver_type=solver, predict_x0=False, final_sigmas_type="sigma_min")))
    OPTIONS.append(("DEISMultistepScheduler", dict(V, solver_order=order)))
    OPTIONS.append(("DEISMultistepScheduler", dict(SD, solver_order=order, use_karras_sigmas=True)))
OPTIONS += [("UniPCMultistepScheduler", dict(SD, disable_corrector=[0, 2])), ("UniPCMultistepScheduler", FLOW), ("UniPCMultistepScheduler", ZERO), ("UniPCMultistepScheduler", dict(SD, thresholding=True)),
            ("UniPCMultistepScheduler", dict(SD, use_karras_sigmas=True, final_sigmas_type="sigma_min")), ("UniPCMultistepScheduler", dict(FLOW, shift_terminal=0.1)), ("UniPCMultistepScheduler", dict(SD, use_exponential_sigmas=True)),
            ("UniPCMultistepScheduler", dict(SD, use_beta_sigmas=True)), ("UniPCMultistepScheduler", dict(SD, prediction_type="sample", timestep_spacing="leading", steps_offset=1)),
            ("DEISMultistepScheduler", FLOW), ("DEISMultistepScheduler", dict(SD, thresholding=True)), ("DEISMultistepScheduler", dict(SD, use_exponential_sigmas=True)), ("DEISMultistepScheduler", dict(SD, use_beta_sigmas=True)),
            ("DEISMultistepScheduler", dict(SD, prediction_type="sample", timestep_spacing="trailing"))]
OPTIONS += [("DPMSolverMultistepScheduler", dict(prediction_type="v_prediction", rescale_betas_zero_snr=True, use_lu_lambdas=True))]
# numpy.arange has a timestep too many, of which the levels' lower bound is left
OPTIONS += [(cls, dict(SD, num_train_timesteps=300, timestep_spacing="trailing", use_karras_sigmas=True), 7) for cls in ("EulerDiscreteScheduler", "LMSDiscreteScheduler")]


def options():
    """Fields that the models' configurations leave alone, at few and at more steps."""
    out = []
    for cls, config, *counts in OPTIONS:
        for steps in counts or (9, 16):
            s = getattr(diffusers, cls).from_config(config)
            try:
                out.append(dict(scheduler=cls, config=config, **run(s, steps, 7)))
            except Exception as e:
                print("skipped", cls, config, steps, repr(e)[:120], file=sys.stderr)
    return out


def write(name, runs):
    with open(os.path.join(HERE, name), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in runs) + "\n]\n")


if __name__ == "__main__":
    models = {}
    for path in sorted(os.listdir(os.path.join(HERE, "models"))):
        models[path.removesuffix(".json")] = json.load(open(os.path.join(HERE, "models", path)))
    write("from_config.json", from_config(models))
    write("options.json", options())
    defaults = {}
    for cls in sorted(set(CLASSES.values())):
        p = inspect.signature(getattr(diffusers, cls).__init__).parameters
        defaults[cls] = {k: (str(v.default).replace("inf", "Infinity") if v.default == -float("inf") else v.default) for k, v in p.items() if k != "self"}
    json.dump(defaults, open(os.path.join(HERE, "defaults.json"), "w"), indent=1, sort_keys=True)
