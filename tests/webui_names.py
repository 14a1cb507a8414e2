"""Sampler and schedule names of A1111, Forge and reForge, read from their sources: what our own must not meet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """samplers; schedules as (name, label, *aliases); folds_case: it compares ends of names in lower case."""

    commit: str
    samplers: tuple[str, ...]
    schedules: tuple[tuple[str, ...], ...]
    folds_case: bool = False

    def understands(self, sampler: str, more: tuple[tuple[str, ...], ...] = ()) -> str:
        """The sampler that this host takes a text for: it cuts every schedule's word from the end, one after another.

        Its function is get_sampler_and_scheduler (modules/sd_samplers.py); `more` are schedules of extensions.
        """

        def fold(text: str) -> str:
            return text.lower() if self.folds_case else text

        for name, label, *aliases in (*self.schedules, *more):
            for word in (label, name, *aliases):
                if fold(sampler).endswith(fold(f" {word}")):
                    sampler = sampler[: -len(word) - 1]
                    break
        return sampler


def _split(text: str) -> tuple[str, ...]:
    return tuple(" ".join(each.split()) for each in text.split("|"))


def _pairs(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(each.split("=")) for each in _split(text))


_SAMPLERS = _split(
    """DPM++ 2M | DPM++ SDE | DPM++ 2M SDE | DPM++ 2M SDE Heun | DPM++ 2S a | DPM++ 3M SDE | Euler a | Euler | LMS
    | Heun | DPM2 | DPM2 a | DPM fast | DPM adaptive | Restart | DDIM | DDIM CFG++ | PLMS | UniPC | LCM"""
)
_SCHEDULES = _pairs(
    """automatic=Automatic | uniform=Uniform | karras=Karras | exponential=Exponential | polyexponential=Polyexponential
    | sgm_uniform=SGM Uniform=SGMUniform | kl_optimal=KL Optimal | align_your_steps=Align Your Steps | simple=Simple
    | normal=Normal | ddim=DDIM | beta=Beta"""
)
_FORGE_SCHEDULES = _pairs(
    """turbo=Turbo | align_your_steps_GITS=Align Your Steps GITS | align_your_steps_11=Align Your Steps 11
    | align_your_steps_32=Align Your Steps 32"""
)

HOSTS = {
    "a1111": Names("82a973c0", _SAMPLERS, _SCHEDULES),
    "forge": Names(
        "dfdcbab6",
        (*_SAMPLERS, *_split("HeunPP2 | IPNDM | IPNDM_V | DEIS | DDPM")),
        (*_SCHEDULES, *_FORGE_SCHEDULES),
    ),
    "reforge": Names(
        "3b56b268",
        (
            *(name for name in _SAMPLERS if name != "DDIM CFG++"),
            *_split(
                """Euler A2 | Euler Dy | Euler SMEA Dy | Euler Negative | Euler Negative Dy | DPM++ SDE Classic | ER SDE
                | Kohaku_LoNyu_Yog | Euler CFG++ | Euler Ancestral CFG++ | DPM++ 2S Ancestral CFG++ | DPM++ 2M CFG++
                | DPM++ SDE CFG++ | DPM++ 3M SDE CFG++ | Euler DY CFG++ | Euler SMEA DY CFG++ | Euler A DY CFG++
                | DPM++ 2M DY CFG++ | RES Multistep | RES Multistep CFG++ | RES Multistep Ancestral
                | RES Multistep Ancestral CFG++ | Gradient Estimation | Gradient Estimation CFG++ | SEEDS 2 DP
                | SEEDS 3 DP | SA-Solver | SA-Solver-Pece | DPM++ 2M DY | DPM++ 3M DY | DPM++ 3M SDE DY | DDPM | HeunPP2
                | IPNDM | IPNDM_V | DEIS | RES Solver | ODE (Bosh3) | ODE (Fehlberg2) | ODE (Adaptive Heun)
                | ODE (Dopri5) | ODE Custom | Euler A Turbo | DPM++ 2M Turbo | DPM++ 2M SDE Turbo | Euler Comfy
                | Euler A Comfy | Euler A Comfy RF | Heun Comfy | DPM++ 2S Ancestral Comfy | DPM++ 2S Ancestral Comfy RF
                | DPM++ SDE Comfy | DPM++ 2M Comfy | DPM++ 2M SDE Comfy | DPM++ 3M SDE Comfy
                | DPM++ 2S Ancestral CFG++ Dyn | DPM++ 2S Ancestral CFG++ Intern | Custom Sampler"""
            ),
        ),
        (
            *_SCHEDULES,
            *_FORGE_SCHEDULES,
            *_pairs(
                """sinusoidal_sf=Sinusoidal SF | invcosinusoidal_sf=Invcosinusoidal SF
                | react_cosinusoidal_dynsf=React Cosinusoidal DynSF | align_your_steps_custom=Align Your Steps Custom
                | cosine=Cosine | cosine-exponential blend=Cosine-exponential Blend | phi=Phi | laplace=Laplace
                | karras dynamic=Karras Dynamic"""
            ),
        ),
        folds_case=True,
    ),
}
