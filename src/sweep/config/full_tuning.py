"""Whether a sweep also fine-tunes all of its base, and the words for that."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.config.confirming import confirmation_of
from sweep.config.schema import Settings
from sweep.core.errors import ConfigError
from sweep.core.recipe import Model, Recipe
from sweep.core.words import compact
from sweep.loop.confirm import Confirmation
from sweep.lora.anatomy import outline
from sweep.lora.model import load_config
from sweep.study.full_runs import FullPlan
from sweep.train.devices import num_gpus

#: Parameters up to which `baselines.full=auto` trains all of them. On a CPU a step of this size
#: takes tens of milliseconds; on a GPU weights, gradients and Adam's moments take 8 GB.
MOST_ON_CPU, MOST_ON_GPU = 5_000_000, 500_000_000
#: And no more runs than this share of LoRA's: each of them trains alone.
MOST_RUNS = 0.5


@dataclass(frozen=True)
class FullTuning:
    """The decision, before anything is trained.

    `plan` is what is trained where it is on, with the search's seeds or, where leaders are
    confirmed, as many others; `why` says why it is off.
    """

    is_on: bool
    params: int
    plan: FullPlan
    why: str = ""

    @property
    def line(self) -> str:
        """For people, before a sweep or its plan."""
        size = f"{compact(self.params)} parameters"
        if self.is_on:
            return f"full   fine-tuning of {size} beside LoRA: {self.plan.words}"
        return f"full   fine-tuning of {size} is left out: {self.why}"


def full_tuning_of(settings: Settings) -> FullTuning:
    """What `baselines.full` comes to here.

    Raises:
        ConfigError: the base can't be tuned in full and is to be, or rates that are none.
    """
    # Of the first point: its model is one that is trained.
    asked, (_, base) = settings.baselines.full, settings.points()[0]
    _check_rates(settings.baselines.full_rates)
    searched = settings.num_configs * len(settings.search.seeds)
    confirmation = confirmation_of(settings, runs=searched)
    plan = _expected_plan(settings, base, confirmation)
    runs = searched + (confirmation.most_runs if settings.num_configs > 1 else 0)
    params = num_params(base.model)
    trouble = _trouble(base.model)
    if trouble and asked is True:
        raise ConfigError(
            "`baselines.full=true` needs a base whose weights can be trained.",
            value=f"{base.model.path} is {trouble}",
            way_out="`baselines.full=false`, or the model in float32",
        )
    why = trouble or _why_off(settings, plan, params, runs)
    return FullTuning(not why, params, plan, why)


def num_params(model: Model) -> int:
    """Of the sequence classifier."""
    return sum(parameter.numel() for parameter in outline(load_config(model)).parameters())


def _expected_plan(settings: Settings, base: Recipe, confirmation: Confirmation) -> FullPlan:
    """As far as is known before the search: how many seeds there will be, not which."""
    search = settings.search
    fresh = confirmation.expected_seeds(search.seeds) if settings.num_configs > 1 else []
    seeds = tuple(fresh) or search.seeds
    return FullPlan(base, settings.baselines.full_rates, search.seeds[0], seeds)


def _why_off(settings: Settings, plan: FullPlan, params: int, runs: int) -> str:
    """Why nothing is trained in full; empty where it is.

    Args:
        runs: Of the search and its confirmation.
    """
    asked = settings.baselines.full
    if asked != "auto":
        return "" if asked else "baselines.full=false"
    on_gpu = num_gpus(use_cpu=settings.trainer.use_cpu) > 0
    most = MOST_ON_GPU if on_gpu else MOST_ON_CPU
    again = f"; baselines.full=true trains it ({plan.words})"
    if params > most:
        where = "GPU" if on_gpu else "CPU"
        return f"auto takes up to {compact(most)} on a {where}{again}"
    if plan.num_runs > MOST_RUNS * runs:
        return f"its {plan.num_runs} runs are more than half of LoRA's {runs}{again}"
    return ""


def _trouble(model: Model) -> str:
    quantized = getattr(load_config(model), "quantization_config", None) is not None
    return "quantized" if quantized else ""


def _check_rates(rates: tuple[float, ...]) -> None:
    if not rates or len(set(rates)) != len(rates) or not all(rate > 0 for rate in rates):
        raise ConfigError(
            "`baselines.full_rates` must list learning rates above 0, each once.",
            value=list(rates),
            way_out="the default is [2e-5, 4.5e-5, 1e-4]",
        )
