"""Fewstep Tune -> profile: plans fitted to the connected model, under its own prompt, guidance and size."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .words import ALIASES, CATEGORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..samplers.profile import Profile
    from ..samplers.task import Task
    from ..samplers.tune import Progress
    from .inside import Asked, Work

_COUNT, _TUNE = "count only", "tune"


class FewstepTune:
    NAME = "Fewstep Tune"
    CATEGORY = CATEGORY
    DESCRIPTION = (
        "Fits the noise levels and weights of a few calls to your model, its prompt and its guidance, and keeps them "
        "as a profile for Fewstep Tuned Sampler. A plan is taken only where it is better on noise of its own."
    )
    SEARCH_ALIASES = [*ALIASES, "tune", "profile", "optimize", "调优"]
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("profile", "report")
    OUTPUT_TOOLTIPS = ("The profile's name, for Fewstep Tuned Sampler.", "The cost, and the gain at each number.")
    FUNCTION = "tune"
    OUTPUT_NODE = True  # what it makes is a file

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        from . import inputs

        return {
            "required": {
                "model": ("MODEL", {"tooltip": "The model that is tuned for, as it will be sampled: with its LoRAs."}),
                "positive": ("CONDITIONING", {"tooltip": "A prompt of the kind that the profile is for."}),
                "negative": ("CONDITIONING", {"tooltip": "What the pictures should not show."}),
                "latent_image": ("LATENT", {"tooltip": "An empty latent of the size and the batch to tune for."}),
                "cfg": inputs.cfg("Strength of guidance that is tuned for; 1 is none."),
                "calls": (
                    "STRING",
                    {"default": "5, 6, 8, 10", "tooltip": "Numbers of model calls; a plan is made for each."},
                ),
                "samples": (
                    "INT",
                    {
                        "default": 32,
                        "min": 12,
                        "max": 4096,
                        "tooltip": "Noises to tune with. More give better plans and cost in proportion.",
                    },
                ),
                "seed": inputs.seed("Of the noises that are tuned with."),
                "name": ("STRING", {"default": "my model", "tooltip": "Of the profile; it is kept on this machine."}),
                "run": (
                    [_COUNT, _TUNE],
                    {
                        "default": _COUNT,
                        "tooltip": "count only: says how many model calls and how long. tune: does it, and keeps each "
                        "plan when it is done, so that an interrupted tuning goes on from there.",
                    },
                ),
            },
            "optional": {"options": inputs.text_options("tuning", "end=sigma_min, teacher_calls=60, overwrite=on")},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, calls: Any, name: Any) -> Any:
        from . import inputs
        from .profiles import path_of
        from .tuning import read_calls

        refused = inputs.refusal("name", path_of, name)
        if refused is not True or calls is None:
            return refused
        try:
            read_calls(calls)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, name: Any = None, **others: Any) -> Any:
        """Runs again where a profile that was made here has been taken away since."""
        return name in _made and not _made[name].is_file()

    def tune(
        self,
        model: Any,
        positive: Any,
        negative: Any,
        latent_image: dict[str, Any],
        cfg: float,
        calls: str,
        samples: int,
        seed: int,
        name: str,
        run: str,
        options: str = "",
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        from ..samplers.identity import identity
        from . import inputs, inside, tuning
        from .profiles import path_of

        where = inside.range_of(model)
        request = tuning.read_request(calls, options, where)
        sampling = inside.Sampling(model, positive, negative, latent_image, cfg, seed)
        shape, count = tuple(sampling.samples().shape), sampling.rounded(samples, sets=4)
        with inputs.about("name"):
            path = path_of(name)
        job = _Job(
            request.task,
            name,
            path,
            identity(model.model.diffusion_model),
            tuning.conditions(cfg, shape[1:], count, seed),
            request.overwrite,
            unique_id,
        )
        job.begin()
        found = sampling.drive(request.task.range, count, job.count if run == _COUNT else job.work)
        if run == _TUNE:
            _made[name] = path
        return {"ui": {"text": (found,)}, "result": (name, found)}


#: the profiles that this process has made, for IS_CHANGED
_made: dict[str, Path] = {}


class _Job:
    """One tuning, and what of it is done: `kept` is the profile in the file, which it goes on with."""

    def __init__(
        self,
        task: Task,
        name: str,
        path: Path,
        identity: str,
        conditions: str,
        overwrite: bool,
        node: str | None,
    ) -> None:
        self.task, self.name, self.path, self.overwrite, self.node = task, name, path, overwrite, node
        self.identity, self.conditions = identity, conditions
        self.kept: Profile | None = None
        self.told = ""

    def begin(self) -> None:
        """Looks for a profile to go on with. ValueError where another one, or none at all, is in its place."""
        from ..samplers.profile import Profile, load_profile

        if self.path.is_file():
            with self._other():
                self.kept = Profile.begun(self.task, self.identity, self.conditions, load_profile(self.path))

    def count(self, asked: Asked) -> Work[str]:
        """Says what is left to do and what that costs; the model is called twice, to time it."""
        yield from ()  # a generator, as the work itself
        self._compare(asked)
        return self._cost(asked) or self._report()

    def work(self, asked: Asked) -> Work[str]:
        """Tunes, and writes the profile whenever a plan is done."""
        from ..samplers.samples import told
        from ..samplers.tune import tuning
        from . import inside

        self._compare(asked)
        cost = self._cost(asked)
        inside.say(self.node, cost)
        turns = tuning(
            self.task,
            asked.model,
            asked.noise,
            extra_args=asked.extra_args,
            batch=asked.batch,
            identity=self.identity,
            conditions=self.conditions,
            resume=self.kept,
        )
        yield from told(turns, self._tell)
        return "\n".join(filter(None, (cost, self._report())))

    @contextmanager
    def _other(self) -> Iterator[None]:
        """What is raised within means that the file is of another tuning; if it may be replaced, nothing is kept."""
        try:
            yield
        except ValueError as error:
            self.kept = None
            if not self.overwrite:
                raise ValueError(
                    f"name: there is a profile {self.name!r} already, and it is another one: {error}. Take another "
                    "name, or put overwrite=on into options"
                ) from error

    def _compare(self, asked: Asked) -> None:
        """Whether the model, with its prompt, answers as it did to the plans that are there."""
        if self.kept is not None:
            with self._other():
                self.kept.check(asked.model, asked.extra_args, device=asked.noise.device, dtype=asked.noise.dtype)

    def _cost(self, asked: Asked) -> str:
        from . import inside, tuning

        task = tuning.left(self.task, self.kept)
        if task is None:
            return ""
        seconds = inside.seconds_of_a_call(asked, task.sigma_max)
        return tuning.cost_text(task, len(asked.noise), asked.batch, seconds)

    def _tell(self, progress: Progress) -> Progress:
        """Writes a profile that has a plan more, and says what was found."""
        from . import inside

        if len(progress.profile.entries) > (len(self.kept.entries) if self.kept else 0):
            progress.profile.save(self.path)
            self.kept = progress.profile
        if progress.message != self.told:
            self.told = progress.message
            inside.say(self.node, self.told)
        return progress

    def _report(self) -> str:
        from . import tuning

        assert self.kept is not None  # there are numbers of calls, so there are plans
        return f"Profile {self.name!r} in {self.path}.\n{tuning.gains(self.kept, self.task.calls)}"
