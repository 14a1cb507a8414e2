"""Fewstep Compare -> pictures, plot and table: solvers and schedules on the connected model, beside a converged run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .words import ALIASES, CATEGORY

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch import Tensor

    from ..samplers.compare import Progress
    from ..samplers.comparison import Comparison
    from ..samplers.noise_range import NoiseRange
    from ..samplers.settings import Candidate
    from .inside import Asked, Sampling, Work

#: defined on noise and on flow models
_SETTINGS = "auto auto 5,8,10\ndpmpp_2m,deis_tab2 beta,simple 5,8,10"
#: pictures of a setting that are shown where all settings have one number of calls
_SHOWN = 8


class FewstepCompare:
    NAME = "Fewstep Compare"
    CATEGORY = CATEGORY
    DESCRIPTION = (
        "Runs solvers and schedules from the same noise on your model, and measures how far each ends from where many "
        "calls lead. Says which one to use, and what cannot be told apart."
    )
    SEARCH_ALIASES = [*ALIASES, "compare", "grid", "benchmark", "比较"]
    RETURN_TYPES = ("IMAGE", "IMAGE", "STRING", "STRING", "STRING")
    RETURN_NAMES = ("grid", "plot", "sentence", "table", "csv")
    OUTPUT_TOOLTIPS = (
        "The pictures with their labels, the reference first.",
        "Error over model calls, a line for each solver and schedule.",
        "What to use, and what is as good.",
        "A line for each setting: its error with a 90 % interval, and its time.",
        "The same as comma-separated values.",
    )
    FUNCTION = "compare"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        from . import inputs

        settings = (
            "A setting in a line: solvers, schedules and numbers of calls, with commas, and options as name=value. Or "
            "profile:NAME and numbers of calls."
        )
        within = "Distance to the reference that is near enough. 0: 0.02 of the latents' standard deviation."
        return {
            "required": {
                "model": ("MODEL", {"tooltip": "The model that is called."}),
                "positive": ("CONDITIONING", {"tooltip": "What the pictures should show."}),
                "negative": ("CONDITIONING", {"tooltip": "What they should not show."}),
                "vae": ("VAE", {"tooltip": "Decodes the pictures of the grid."}),
                "latent_image": ("LATENT", {"tooltip": "An empty latent; its batch is the pictures of a model call."}),
                "seed": inputs.seed("Of the starting noise; not that of a profile in the settings.", default=1),
                "cfg": inputs.cfg("Strength of classifier-free guidance; 1 is none."),
                "settings": ("STRING", {"default": _SETTINGS, "multiline": True, "tooltip": settings}),
                "samples": (
                    "INT",
                    {
                        "default": 16,
                        "min": 1,
                        "max": 4096,
                        "tooltip": "Noises that every setting starts from. More tell smaller differences apart.",
                    },
                ),
            },
            "optional": {
                "reference_calls": (
                    "INT",
                    {
                        "default": 200,
                        "min": 4,
                        "max": 10000,
                        "advanced": True,
                        "tooltip": "Model calls of the run that is taken for the truth; half as many check it.",
                    },
                ),
                "within": (
                    "FLOAT",
                    {"default": 0.0, "min": 0.0, "max": 100.0, "step": 0.001, "advanced": True, "tooltip": within},
                ),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def IS_CHANGED(cls, settings: Any = None, **others: Any) -> Any:
        """Runs again where a profile was changed that it may name."""
        from ..samplers.profile_folder import PREFIX
        from . import profiles

        return profiles.stamp() if settings is None or PREFIX in settings else []

    def compare(
        self,
        model: Any,
        positive: Any,
        negative: Any,
        vae: Any,
        latent_image: dict[str, Any],
        seed: int,
        cfg: float,
        settings: str,
        samples: int,
        reference_calls: int = 200,
        within: float = 0.0,
        unique_id: str | None = None,
    ) -> tuple[Any, Any, str, str, str]:
        from ..samplers.settings import candidates
        from . import inputs, inside
        from .images import image

        where = inside.range_of(model)
        sampling = inside.Sampling(model, positive, negative, latent_image, cfg, seed)
        lines = inputs.read_lines(settings, "settings")
        with inputs.about("settings"):
            asked = candidates(lines, where, cfg)
        job = _Job(where, sampling, asked, reference_calls, within or None, unique_id)
        found = sampling.drive(where, sampling.rounded(samples), job.work)

        def decode(latents: Tensor) -> Tensor:
            return _pictures(vae, model, latents)

        columns = "calls" if len({row.calls for row in found.rows}) > 1 else "samples"
        grid = image(found.grid_picture(decode, columns))
        return grid, image(found.plot_picture()), found.sentence, str(found), found.csv()


def _pictures(vae: Any, model: Any, latents: Tensor) -> Tensor:
    """What the host would decode of a sampler's states at sigma 0; of a film its middle picture."""
    sampling = model.get_model_object("model_sampling")
    clean = sampling.inverse_noise_scaling(latents.new_zeros(()), latents)
    found: Tensor = vae.decode(model.model.process_latent_out(clean))
    return found[:, found.shape[1] // 2] if found.ndim == 5 else found


#: the last comparison, perhaps interrupted, and the `within` that it was given: what goes on from it makes neither its
#: reference nor its settings again
_kept: list[tuple[Comparison, float | None]] = []


@dataclass
class _Job:
    """One comparison within the host's sampling."""

    where: NoiseRange
    sampling: Sampling
    settings: list[Candidate]
    reference_calls: int
    within: float | None
    node: str | None
    told: str = ""

    def work(self, asked: Asked) -> Work[Comparison]:
        from ..samplers.samples import told
        from . import inside, tuning

        turns = self._turns(asked)
        seconds = inside.seconds_of_a_call(asked, self.where.sigma_max)

        def tell(progress: Progress) -> Progress:
            if progress.comparison is not None:
                _kept[:] = [(progress.comparison, self.within)]
            calls = progress.most // asked.batch
            text = progress.message or f"{calls:,} model calls, {tuning.duration(calls * seconds)}"
            if text != self.told:
                self.told = text
                inside.say(self.node, text)
            return progress

        return (yield from told(turns, tell))

    def _turns(self, asked: Asked) -> Generator[Progress, None, Comparison]:
        """The comparison, gone on with where the last one was the same but for its settings."""
        # what is near enough goes on too, where nothing else is given
        if _kept and (self.within is not None or _kept[0][1] is None):
            try:
                return (yield from self._begun(asked, _kept[0][0]))
            except ValueError as error:
                if "to go on with" not in str(error):
                    raise
        return (yield from self._begun(asked, None))

    def _begun(self, asked: Asked, resume: Comparison | None) -> Generator[Progress, None, Comparison]:
        from ..samplers.compare import comparing

        return comparing(
            asked.model,
            asked.noise,
            self.settings,
            frame=self.where.frame,
            sigma_max=self.where.sigma_max,
            sigma_min=self.where.sigma_min,
            extra_args=asked.extra_args,
            guidance=self.sampling.cfg,
            reference_calls=self.reference_calls,
            within=self.within,
            keep=_SHOWN,
            batch=asked.batch,
            conditions=self.sampling.key(),
            resume=resume,
        )
