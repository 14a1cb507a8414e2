"""What is published of our nodes: ids, inputs, outputs, in order. Saved workflows rely on it: later versions append."""

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
        "inputs": {"required": {"sampler_name": _SAMPLERS}, "optional": {**_OPTIONS, "cfg_pp": "BOOLEAN"}},
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
}

#: names in the host's sampler menu; each must stay, under whatever solver it then stands for
MENU = [
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
