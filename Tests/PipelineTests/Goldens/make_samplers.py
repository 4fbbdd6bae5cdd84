"""Makes samplers.safetensors and randn.safetensors: what diffusers' schedulers and torch.randn do.

    python Tests/PipelineTests/Goldens/make_samplers.py

Needs torch, diffusers, safetensors, numpy. Every case runs a scheduler with a denoiser that is a formula
(see `denoise`), from the given noise, and keeps the sample after each step. The metadata has each case's
settings as JSON; `keys.CLASS` lists the settings that a scheduler class knows.
"""

import inspect
import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers.schedulers import scheduling_euler_ancestral_discrete, scheduling_lcm
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
COUNT = 12
STEPS = 25

generator = torch.Generator().manual_seed(1)
NOISE = torch.randn(COUNT, generator=generator)
IMAGE = torch.rand(COUNT, generator=generator) * 2 - 1
FRESH = torch.randn(STEPS, COUNT, generator=generator)

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
      "num_train_timesteps": 1000, "trained_betas": None}
SD15 = SD | {"_class_name": "PNDMScheduler", "clip_sample": False, "set_alpha_to_one": False,
             "skip_prk_steps": True, "steps_offset": 1}
SD21 = SD15 | {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
TURBO = SD | {"_class_name": "EulerDiscreteScheduler", "clip_sample": False, "interpolation_type": "linear",
              "prediction_type": "epsilon", "set_alpha_to_one": False, "sigma_max": None, "sigma_min": None,
              "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "trailing",
              "timestep_type": "discrete", "use_karras_sigmas": False}
LCM = SD | {"_class_name": "LCMScheduler", "clip_sample": False, "original_inference_steps": 50,
            "prediction_type": "epsilon", "set_alpha_to_one": True, "steps_offset": 0,
            "timestep_scaling": 10.0, "timestep_spacing": "leading"}
DPM = SD | {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver++",
            "lambda_min_clipped": float("-inf"), "solver_order": 2, "solver_type": "midpoint",
            "steps_offset": 1}
EULER_A = SD | {"_class_name": "EulerAncestralDiscreteScheduler", "steps_offset": 1}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}

LEADING = {"timestep_spacing": "leading"}
LINSPACE = {"timestep_spacing": "linspace"}
TRAILING = {"timestep_spacing": "trailing"}
V = {"prediction_type": "v_prediction"}
X0 = {"prediction_type": "sample"}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
ZERO = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
KARRAS = {"use_karras_sigmas": True}
LOWEST = {"final_sigmas_type": "sigma_min"}

# name: settings, steps, --sampler, strength
CASES = {
    "ddim-sd15": (SD15, 20, "ddim"),
    "ddim-sd15-4": (SD15, 4, "ddim"),
    "ddim-sd21": (SD21, 20, None),
    "ddim-sd21-7": (SD21 | TRAILING, 7, None),
    "ddim-linspace": (SD21 | LINSPACE | {"prediction_type": "epsilon"}, 20, None),
    "ddim-defaults": ({"_class_name": "DDIMScheduler"}, 20, None),
    "ddim-clip-sample": ({"_class_name": "DDIMScheduler", "clip_sample_range": 0.5} | X0, 10, None),
    "ddim-clip-v": ({"_class_name": "DDIMScheduler"} | V, 10, None),
    "ddim-cosine": ({"_class_name": "DDIMScheduler", "clip_sample": False} | COSINE | V, 20, None),
    "ddim-zero": (SD21 | ZERO, 20, None),
    "ddim-100": ({"_class_name": "DDIMScheduler", "num_train_timesteps": 100, "clip_sample": False}, 20, None),
    "ddim-image": (SD15, 20, "ddim", 0.5),
    "euler-sd15": (SD15, 20, "euler"),
    "euler-leading": (TURBO | LEADING, 20, None),
    "euler-sd21": (SD21, 20, "euler"),
    "euler-v-trailing": (TURBO | V, 20, None),
    "euler-sample": (TURBO | X0, 20, None),
    "euler-turbo-1": (TURBO, 1, None),
    "euler-turbo-4": (TURBO, 4, None),
    "euler-one-linspace": (TURBO | LINSPACE, 1, None),
    "euler-karras": (TURBO | LEADING | KARRAS, 20, None),
    "euler-karras-bounds": (TURBO | KARRAS | {"sigma_min": 0.1, "sigma_max": 10.0}, 8, None),
    "euler-lowest": (TURBO | LEADING | LOWEST, 20, None),
    "euler-cosine": ({"_class_name": "EulerDiscreteScheduler"} | COSINE | V | LEADING, 20, None),
    "euler-zero": (TURBO | ZERO | V, 20, None),
    "euler-image": (SD15, 20, "euler", 0.58),
    "euler-turbo-image": (TURBO, 2, None, 0.5),
    "euler-a-sd15": (SD15, 20, "euler-a"),
    "euler-a-sd21": (SD21, 20, "euler-a"),
    "euler-a-leading": (EULER_A | LEADING, 20, None),
    "euler-a-turbo-1": (TURBO, 1, "euler-a"),
    "euler-a-turbo-4": (TURBO, 4, "euler-a"),
    "euler-a-linear-v": ({"_class_name": "EulerAncestralDiscreteScheduler"} | V, 13, None),
    "euler-a-image": (EULER_A | LEADING, 20, None, 0.3),
    "dpm-sd15": (SD15, 20, "dpm++2m"),
    "dpm-sd15-stand-in": (SD15, 12, None),
    "dpm-sd15-karras": (SD15, 20, "dpm++2m-karras"),
    "dpm-sd21-karras": (SD21, 20, "dpm++2m-karras"),
    "dpm-own": (DPM, 20, None),
    "dpm-10": (DPM, 10, None),
    "dpm-1": (DPM, 1, None),
    "dpm-2": (DPM | LEADING, 2, None),
    "dpm-leading-v": (DPM | LEADING | V, 20, None),
    "dpm-trailing": (DPM | TRAILING, 20, None),
    "dpm-trailing-5": (DPM | TRAILING | X0, 5, None),
    "dpm-karras": (DPM | KARRAS, 20, None),
    "dpm-karras-8": (DPM | KARRAS | V, 8, None),
    "dpm-karras-cosine": (DPM | KARRAS | COSINE | V, 20, None),
    "dpm-lowest": (DPM | LOWEST, 20, None),
    "dpm-lowest-10": (DPM | LOWEST, 10, None),
    "dpm-lowest-euler": (DPM | LOWEST | {"euler_at_final": True}, 20, None),
    "dpm-lowest-higher": (DPM | LOWEST | {"lower_order_final": False}, 10, None),
    "dpm-lowest-karras": (DPM | LOWEST | KARRAS, 20, None),
    "dpm-order-1": (DPM | {"solver_order": 1}, 20, None),
    "dpm-zero": (DPM | ZERO | V, 20, None),
    "dpm-turbo-1": (TURBO, 1, "dpm++2m"),
    "dpm-image": (DPM | KARRAS, 20, None, 0.75),
    "lcm-1": (LCM, 1, None),
    "lcm-4": (LCM, 4, None),
    "lcm-8": (LCM, 8, None),
    "lcm-20": (LCM, 20, None),
    "lcm-sd15": (SD15, 4, "lcm"),
    "lcm-v": (LCM | V | {"original_inference_steps": 100}, 6, None),
    "lcm-clip": (LCM | X0 | {"clip_sample": True, "timestep_scaling": 0.01}, 6, None),
    "lcm-image": (LCM, 4, None, 0.5),
    "lcm-image-3": (LCM, 3, None, 0.3),
    "flow-4": (FLOW, 4, None),
    "flow-1": (FLOW | {"shift": 1.0}, 1, None),
    "flow-image": (FLOW, 10, None, 0.65),
}

SAMPLERS = {"ddim": ("DDIMScheduler", {}), "euler": ("EulerDiscreteScheduler", {}),
            "euler-a": ("EulerAncestralDiscreteScheduler", {}), "lcm": ("LCMScheduler", {}),
            "dpm++2m": ("DPMSolverMultistepScheduler", {}),
            "dpm++2m-karras": ("DPMSolverMultistepScheduler", KARRAS)}


def denoise(x, timestep):
    """A denoiser that is a formula: 0.1 x + sin(t / 100 + index)."""
    return 0.1 * x + torch.sin(float(timestep) * 0.01 + torch.arange(COUNT, dtype=torch.float64)).float()


def scheduler(settings, sampler):
    """The class that the settings name, or another made of the same settings as a pipeline would."""
    own = getattr(diffusers, settings["_class_name"])
    if sampler is None and settings["_class_name"] != "PNDMScheduler":
        return own.from_config(settings)
    name, extra = SAMPLERS[sampler or "dpm++2m"]
    return getattr(diffusers, name).from_config(own.from_config(settings).config, **extra)


def begin(made, steps, strength):
    """Sets timesteps as the image-to-image pipeline of that scheduler does."""
    if isinstance(made, diffusers.LCMScheduler):
        made.set_timesteps(steps, strength=strength)
        return made.timesteps
    made.set_timesteps(steps)
    first = max(steps - min(int(steps * strength), steps), 0)
    # Said in any case: where timesteps repeat, as with Karras levels of a cosine schedule, the library
    # otherwise starts at the second of them and runs past the end.
    if hasattr(made, "set_begin_index"):
        made.set_begin_index(first)
    return made.timesteps[first:]


def run(settings, steps, sampler, strength=1.0):
    made = scheduler(settings, sampler)
    timesteps = begin(made, steps, strength)
    if strength == 1.0:
        x = NOISE * getattr(made, "init_noise_sigma", 1.0)
    elif hasattr(made, "scale_noise"):
        x = made.scale_noise(IMAGE, timesteps[:1], NOISE)
    else:
        x = made.add_noise(IMAGE, NOISE, timesteps[:1])
    samples = [x]
    for index, timestep in enumerate(timesteps):
        fresh = lambda *_, **__: FRESH[index]
        scheduling_euler_ancestral_discrete.randn_tensor = fresh
        scheduling_lcm.randn_tensor = fresh
        scaled = made.scale_model_input(x, timestep) if hasattr(made, "scale_model_input") else x
        x = made.step(denoise(scaled, timestep), timestep, x, return_dict=False)[0]
        samples.append(x)
    return timesteps.numpy().astype(np.float32), torch.stack(samples).numpy().astype(np.float32)


def main():
    tensors = {"noise": NOISE.numpy(), "image": IMAGE.numpy(), "fresh": FRESH.numpy()}
    metadata = {}
    for name, (settings, steps, sampler, *strength) in CASES.items():
        tensors[name + ".timesteps"], tensors[name + ".samples"] = run(settings, steps, sampler, *strength)
        assert np.isfinite(tensors[name + ".samples"]).all(), name
        metadata[name] = json.dumps({"settings": settings, "steps": steps, "sampler": sampler,
                                     "strength": strength[0] if strength else 1.0})
    for name in ["DDIMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
                 "DPMSolverMultistepScheduler", "LCMScheduler", "FlowMatchEulerDiscreteScheduler"]:
        parameters = list(inspect.signature(getattr(diffusers, name).__init__).parameters)[1:]
        metadata["keys." + name] = json.dumps({"keys": parameters})
    save_file(tensors, HERE / "samplers.safetensors", metadata)
    random = {}
    for seed in [0, 42, 2**40 + 7]:
        for count in [1, 15, 16, 17, 1000] + ([16384] if seed == 42 else []):
            made = torch.Generator().manual_seed(seed)
            random[f"{seed}.{count}"] = torch.randn(count, generator=made).numpy()
    # Several draws of one generator: a number left over from a small draw waits for the next small one.
    made = torch.Generator().manual_seed(5)
    for index, count in enumerate([3, 20, 1, 16, 7, 33, 2]):
        random[f"draws.{index}.{count}"] = torch.randn(count, generator=made).numpy()
    save_file(random, HERE / "randn.safetensors")


if __name__ == "__main__":
    main()
