"""What is published of our doors: ids, inputs, outputs, labels, in order. Saved work relies on it: later ones add."""

from __future__ import annotations

from typing import Any

_OPTIONS = {
    "variant": ["default", "general", "paper", "taylor", "official"],
    "nodes": ["schedule", "paper"],
    "split": ["even", "official"],
    "last": ["auto", "regular", "denoise"],
    "final": ["auto", "on", "off"],
    "start": ["auto", "euler", "2s"],
    "form": ["noise", "data"],
}
#: came after cfg_pp was published
_LATER = {
    "eta": "FLOAT",
    "s_noise": "FLOAT",
    "rtol": "FLOAT",
    "atol": "FLOAT",
    "controller": ["papers", "k_diffusion"],
    "h_init": "FLOAT",
    "safety": "FLOAT",
    "max_calls": "FLOAT",
    "statistics": "STRING",
}
_SAMPLERS, _SCHEDULERS = "a solver id", "a schedule id"

#: input -> its type, the choices that it had when it was published, or which table it lists
SNAPSHOT: dict[str, dict[str, Any]] = {
    "FewstepKSampler": {
        "inputs": {
            "required": {
                "model": "MODEL",
                "seed": "INT",
                "steps": "INT",
                "cfg": "FLOAT",
                "sampler_name": _SAMPLERS,
                "scheduler": _SCHEDULERS,
                "positive": "CONDITIONING",
                "negative": "CONDITIONING",
                "latent_image": "LATENT",
                "denoise": "FLOAT",
            },
            "optional": {
                "add_noise": ["enable", "disable"],
                "start_at_step": "INT",
                "end_at_step": "INT",
                "return_with_leftover_noise": ["disable", "enable"],
                "options": "STRING",
                "cfg_pp": "BOOLEAN",
            },
        },
        "outputs": ["LATENT", "LATENT", "STRING"],
    },
    "FewstepSampler": {
        "inputs": {"required": {"sampler_name": _SAMPLERS}, "optional": {**_OPTIONS, "cfg_pp": "BOOLEAN", **_LATER}},
        "outputs": ["SAMPLER"],
    },
    "FewstepScheduler": {
        "inputs": {
            "required": {"model": "MODEL", "scheduler": _SCHEDULERS, "steps": "INT", "denoise": "FLOAT"},
            "optional": {"options": "STRING"},
        },
        "outputs": ["SIGMAS"],
    },
    "FewstepSigmasInfo": {
        "inputs": {"required": {"sigmas": "SIGMAS"}, "optional": {"model": "MODEL", "sampler": "SAMPLER"}},
        "outputs": ["STRING", "IMAGE"],
    },
    "FewstepDemoModel": {
        "inputs": {
            "required": {"network": ["vp", "flow"], "positive_class": ["one of each", "trouser"]},
            "optional": {"negative_class": ["none", "trouser"]},
        },
        "outputs": ["MODEL", "CONDITIONING", "CONDITIONING", "VAE"],
    },
    "FewstepTune": {
        "inputs": {
            "required": {
                "model": "MODEL",
                "positive": "CONDITIONING",
                "negative": "CONDITIONING",
                "latent_image": "LATENT",
                "cfg": "FLOAT",
                "calls": "STRING",
                "samples": "INT",
                "seed": "INT",
                "name": "STRING",
                "run": ["count only", "tune"],
            },
            "optional": {"options": "STRING"},
        },
        "outputs": ["STRING", "STRING"],
    },
    "FewstepTunedSampler": {
        "inputs": {
            "required": {"model": "MODEL", "profile": ["(by name)"], "steps": "INT"},
            "optional": {"name": "STRING", "check_model": "BOOLEAN"},
        },
        "outputs": ["SAMPLER", "SIGMAS", "STRING"],
    },
    "FewstepCompare": {
        "inputs": {
            "required": {
                "model": "MODEL",
                "positive": "CONDITIONING",
                "negative": "CONDITIONING",
                "vae": "VAE",
                "latent_image": "LATENT",
                "seed": "INT",
                "cfg": "FLOAT",
                "settings": "STRING",
                "samples": "INT",
            },
            "optional": {"reference_calls": "INT", "within": "FLOAT"},
        },
        "outputs": ["IMAGE", "IMAGE", "STRING", "STRING", "STRING"],
    },
}

#: names in the host's sampler menu; each must stay, under whatever solver it then stands for
MENU = [
    "fewstep_auto",
    "fewstep_dpmpp_3m",
    "fewstep_dpmpp_2s",
    "fewstep_dpmpp_3s",
    "fewstep_dpm_solver_2m",
    "fewstep_dpm_solver_3m",
    "fewstep_dpm_solver_2s",
    "fewstep_dpm_solver_3s",
    "fewstep_deis_tab1",
    "fewstep_deis_tab2",
    "fewstep_deis_tab3",
    "fewstep_deis_rhoab3",
    "fewstep_deis_rhork_kutta3",
    "fewstep_deis_rhork_rk4",
    "fewstep_flow_ab2",
    "fewstep_flow_ab3",
    "fewstep_flow_ab4",
]

#: positions of the values in the A1111 family's API
WEBUI_FIELDS = ["variant", "start", "final", "last", "form", "nodes", "split", "thresholding"]

#: names in the A1111 family's menus, API and infotext
WEBUI_SAMPLERS = [
    "Fewstep Auto",
    "Fewstep DDIM solver",
    "Fewstep DPM-Solver 1S",
    "Fewstep DPM++ 1S",
    "Fewstep DPM-Solver 2S",
    "Fewstep DPM-Solver 3S",
    "Fewstep DPM++ 2S",
    "Fewstep DPM++ 3S",
    "Fewstep DPM-Solver 2M",
    "Fewstep DPM-Solver 3M",
    "Fewstep DPM++ 2M",
    "Fewstep DPM++ 3M",
    "Fewstep DEIS tAB0",
    "Fewstep DEIS tAB1",
    "Fewstep DEIS tAB2",
    "Fewstep DEIS tAB3",
    "Fewstep DEIS rhoAB0",
    "Fewstep DEIS rhoAB1",
    "Fewstep DEIS rhoAB2",
    "Fewstep DEIS rhoAB3",
    "Fewstep DEIS rhoRK Heun",
    "Fewstep DEIS rhoRK Midpoint",
    "Fewstep DEIS rhoRK Kutta3",
    "Fewstep DEIS rhoRK RK4",
    "Fewstep Flow AB1",
    "Fewstep Flow AB2",
    "Fewstep Flow AB3",
    "Fewstep Flow AB4",
]
WEBUI_SCHEDULES = [
    "Fewstep Auto",
    "Fewstep Karras",
    "Fewstep Exponential",
    "Fewstep Polyexponential",
    "Fewstep Rho power",
    "Fewstep Time uniform",
    "Fewstep Time quadratic",
    "Fewstep Time power",
    "Fewstep SGM uniform",
    "Fewstep DDIM uniform",
    "Fewstep Simple",
    "Fewstep Beta",
    "Fewstep KL optimal",
    "Fewstep Linear-quadratic",
    "Fewstep Laplace",
    "Fewstep VP",
    "Fewstep Flow shift",
    "Fewstep Align Your Steps",
]
