"""Words that the nodes share. Like the node classes it imports nothing at the top: the host reads them at its start."""

from __future__ import annotations

CATEGORY = "sampling/fewstep"
#: what people type to find a node; the Chinese words are sampler, scheduler and steps
ALIASES = ["few", "fewstep", "dpm", "dpm-solver", "dpm++", "deis", "采样器", "调度器", "步数"]
