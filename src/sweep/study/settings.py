"""What a study was begun with, as its readers need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from sweep.core.errors import StudyError
from sweep.core.metric import Metric
from sweep.core.recipe import SEARCHABLE_KEYS, Data, Model, Recipe
from sweep.loop.objectives import PEARSON, Objective, parse_objectives
from sweep.space.space import Space, parse_space
from sweep.study.files import FORMAT, StudyFiles
from sweep.study.reading import NOT_AS_WRITTEN, built
from sweep.study.yaml_file import read_mapping

#: Parts of the settings that make an experiment: the rest is of a machine, a start, or found out.
_EXPERIMENT = ("model", "data", "lora", "trainer", "task", "search", "confirm")
_PARTS = ("model", "data", "lora", "trainer", "task")


@dataclass(frozen=True)
class StudySettings:
    """What a study was begun with.

    `base` is the recipe that the space changes, with the search's first seed; `baseline` the
    `config_id` of the config to beat, where there is one; `fingerprints` are of data and model.
    """

    name: str
    results_dir: str | None
    base: Recipe
    space: Space
    sampler: str
    num_trials: int
    seeds: tuple[int, ...]
    objectives: tuple[Objective, ...] = (PEARSON,)
    baseline: str | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    #: Of wandb, as far as they were set.
    tracking: Mapping[str, Any] = field(default_factory=dict)
    #: As an experiment file has it.
    experiment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> Metric:
        """That scores are of."""
        return self.base.task.measure

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Searched keys, in the order of the space."""
        return self.space.keys

    @property
    def num_configs(self) -> int:
        """That the search is to train."""
        return self.space.num_configs(None if self.sampler == "grid" else self.num_trials)

    def weights_of(self, model: Model) -> str | None:
        """Digest of a model's weights, or its commit, as the study began with them."""
        is_base = model.in_float == self.base.model.in_float
        return self.fingerprints.get("weights" if is_base else f"weights of {model.path}")

    def of_pairs(self, data: Data) -> dict[str, str]:
        """Digests of all texts and labels, by split, as far as the study has kept them."""
        own = ("train", "dev") if data == self.base.data else ("dev",)
        return {name: self.fingerprints[name] for name in own if name in self.fingerprints}

    @property
    def experiment_file(self) -> str:
        """A Hydra experiment that trains the same study again."""
        body = yaml.safe_dump(
            {"name": self.name, **self.experiment}, allow_unicode=True, sort_keys=False
        )
        return f"# @package _global_\n{body}"


def read_settings(files: StudyFiles) -> StudySettings:
    """The settings that a study was begun with.

    Raises:
        StudyError: the folder holds no study, one of a newer program, or its settings can't be
            read.
    """
    if not files.settings.is_file():
        raise StudyError(
            f"A study's folder holds `{files.settings.name}`.",
            value=f"{files.folder} does not",
            way_out="name a folder below `results/`",
        )
    content = read_mapping(files.settings)
    refuse_newer(files, content)
    try:
        return _settings(files, content)
    except NOT_AS_WRITTEN:
        raise StudyError(
            f"`{files.settings.name}` must be as the program has written it.",
            value=f"{files.settings}: it lacks settings, or holds others",
            way_out="undo what was changed in it; settings are changed on the command line",
        ) from None


def refuse_newer(files: StudyFiles, content: Mapping[str, Any]) -> None:
    """A folder says in which format it is written; one without a number is older than that.

    Raises:
        StudyError: it was written by a newer program.
    """
    found = content.get("format", 1)
    if not isinstance(found, int) or found > FORMAT:
        raise StudyError(
            f"This program reads studies of format {FORMAT} and older.",
            value=f"{files.folder} has format {found}",
            way_out="use the version of sweep that wrote it, or a newer one",
        )


def _settings(files: StudyFiles, content: Mapping[str, Any]) -> StudySettings:
    search = content["search"]
    seeds = tuple(search.get("seeds", [0]))
    # A key that an older program did not have is as it is by default.
    parts = {part: content.get(part, {}) for part in _PARTS}
    base = Recipe.from_dict({**parts, "seed": seeds[0]})
    if not all(type(seed) is int for seed in seeds):
        raise TypeError(seeds)
    built(Recipe, asdict(base))
    objectives = search.get("objectives", [base.task.measure.objective])
    return StudySettings(
        name=str(content.get("name") or files.folder.resolve().name),
        results_dir=content.get("results_dir"),
        base=base,
        space=parse_space(search["space"], valid_keys=SEARCHABLE_KEYS),
        sampler=search.get("sampler", "grid"),
        num_trials=search.get("n_trials", 0),
        seeds=seeds,
        objectives=parse_objectives(objectives, base.task.measure),
        baseline=content.get("baseline"),
        fingerprints=content.get("fingerprints", {}),
        versions=content.get("versions", {}),
        tracking=content.get("tracking", {}),
        experiment={part: content[part] for part in _EXPERIMENT if content.get(part)},
    )


def place_of(settings: StudySettings, folder: Path) -> str:
    """The folder as commands name it."""
    own = Path(settings.name) if Path(settings.name).name == folder.name else folder.name
    return str(Path(settings.results_dir or folder.parent) / own)
