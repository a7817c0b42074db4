"""The configuration: Hydra composes it, this module checks it and turns it into frozen values.

The schema is the dataclasses of `sweep.config.schema` and `sweep.core.recipe`. Hydra gets their
defaults as the node `schema`, so that every key can be set on the command line; after composition
every key and type is checked again, since YAML files can add keys that Hydra lets through.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sweep.config.combinations import check_settings
from sweep.config.executor_settings import ExecutorSettings
from sweep.config.folders import ConfigFolders
from sweep.config.grammar import quoted
from sweep.config.groups import GROUPS, expand_groups
from sweep.config.interpolations import follow_searched_keys
from sweep.config.names import nearest, rename_old_keys
from sweep.config.old_spellings import refuse_old_spellings
from sweep.config.overrides import MAPPINGS, Ready, prepare
from sweep.config.schema import (
    BaselineSettings,
    ConfirmSettings,
    SearchSettings,
    Settings,
    TrackingSettings,
    absolute_data,
    absolute_model,
    build,
    checked,
)
from sweep.config.tasks import with_objective
from sweep.config.texts import check_texts
from sweep.core.errors import ConfigError
from sweep.core.own_metrics import trust
from sweep.core.recipe import SEARCHABLE_KEYS, Data, Lora, Model, Trainer
from sweep.core.task import Task

_PARTS: dict[str, type] = {
    "model": Model,
    "data": Data,
    "lora": Lora,
    "trainer": Trainer,
    "task": Task,
    "search": SearchSettings,
    "confirm": ConfirmSettings,
    "baselines": BaselineSettings,
    "executor": ExecutorSettings,
    "tracking": TrackingSettings,
}
_SCALARS: dict[str, Any] = {
    "name": None,
    "results_dir": "results",
    "resume": "continue",
    "mode": "run",
}


def assets() -> Path:
    """Folder that holds `conf/` and `sweeps/`: the package when installed, else the checkout."""
    package = Path(__file__).resolve().parents[1]
    return package if (package / "conf").is_dir() else package.parents[1]


def load_settings(
    overrides: Sequence[str], *, config_dir: Path | None = None
) -> tuple[Settings, list[str]]:
    """Compose, check and build the settings.

    Args:
        overrides: In Hydra's grammar; values that it can't read are quoted first.
        config_dir: The user's own folder of config groups and experiments.

    Returns:
        The settings, and notices for the user (old names that were mapped).

    Raises:
        ConfigError: anything wrong with groups, keys, types or ranges.
    """
    content, ready = _compose(overrides, config_dir=config_dir)
    for part, kind in _PARTS.items():
        _refuse_unknown(part, content[part], {f.name for f in dataclasses.fields(kind)})
    _refuse_unknown("", content, {*_PARTS, *_SCALARS})
    settings = build(Settings, content)
    settings = dataclasses.replace(
        settings,
        model=absolute_model(settings.model),
        data=absolute_data(settings.data),
        results_dir=str(Path(settings.results_dir).expanduser()),
    )
    check_texts(settings)
    settings = with_objective(settings, given=ready.keys)
    check_settings(settings, given=ready.keys)
    checked(settings.recipe(seed=0))
    if settings.task.measure.source is not None:
        trust(settings.task.measure.source)
    for params in (*settings.space.corners(), *settings.first_points()):
        settings.expand(params, seed=0)
    return settings, ready.notices


def refuse_old_command_line(words: Sequence[str]) -> None:
    """Refuse what other programs take, flags included, with the command that does it here.

    Raises:
        ConfigError: its way out is that command.
    """
    with ConfigFolders.open(assets(), None) as places:
        refuse_old_spellings(words, places=places, valid_keys=_valid_keys())


def compose_config(
    overrides: Sequence[str], *, config_dir: Path | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The composed configuration as plain containers, with the name filled in, and notices."""
    content, ready = _compose(overrides, config_dir=config_dir)
    return content, ready.notices


def _compose(overrides: Sequence[str], *, config_dir: Path | None) -> tuple[dict[str, Any], Ready]:
    _register_default_settings()
    with ConfigFolders.open(assets(), config_dir) as places:
        ready = prepare(overrides, places=places, valid_keys=_valid_keys())
        composed = _composed(ready.overrides, places)
        plain, notices = _plain(composed)
        _join_dotted_keys(plain["search"].setdefault("space", {}))
        _read_mappings(plain)

        searched: dict[str, list[DictConfig]] = {}

        def part(group: str, option: str) -> dict[str, Any]:
            others = [o for o in ready.overrides if not o.startswith(f"{group}=")]
            there = _composed([*others, f"{group}={quoted(option)}"], places)
            searched.setdefault(group, []).append(there)
            changed: dict[str, Any] = _plain(there)[0][group]
            return changed

        space = plain["search"]["space"]
        expand_groups(space, base=plain, options=places.options, composed=part)
    followers = follow_searched_keys(composed, space, options=searched)
    plain["name"] = plain.get("name") or ready.experiment or "sweep"
    # A key that follows a searched one is not set beside it.
    keys = tuple(key for key in ready.keys if key not in followers)
    return plain, dataclasses.replace(ready, keys=keys, notices=[*ready.notices, *notices])


def _composed(overrides: Sequence[str], places: ConfigFolders) -> DictConfig:
    """What Hydra makes of the overrides; every interpolation in it leads somewhere."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(places.primary), version_base="1.3"):
            composed = compose("config", [*overrides, places.search_path])
        OmegaConf.to_container(composed, resolve=True)
    # YAML and a UnicodeDecodeError (a ValueError) come from a file that another one names in its
    # defaults list; Hydra fails with a plain ValueError where a key is set below a list.
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise _as_config_error(error) from error
    return composed


def _plain(composed: DictConfig) -> tuple[dict[str, Any], list[str]]:
    """As plain containers under current names, and notices about old ones."""
    content = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(content, dict)
    plain: dict[str, Any] = {str(key): value for key, value in content.items()}
    for part in _PARTS:
        if not isinstance(plain.get(part), dict):
            raise ConfigError(
                f"`{part}` must hold keys.",
                value=f"`{part}: {plain.get(part)}`",
                way_out="write its keys below it, or take the line out",
            )
    return plain, rename_old_keys(plain)


def _join_dotted_keys(space: Any) -> None:
    """`search.space.lora.r=[4,8]` arrives as `{lora: {r: ...}}`: a dimension named `lora.r`."""
    if not isinstance(space, dict):
        raise ConfigError(
            "`search.space` must map names to choices, ranges or values.",
            value=repr(space),
            way_out="on the command line, names such as 한글 stand in quotes: {lora:['넓게']}",
        )
    for part in GROUPS:
        nested = space.get(part)
        if isinstance(nested, dict) and all(f"{part}.{k}" in SEARCHABLE_KEYS for k in nested):
            space |= {f"{part}.{key}": value for key, value in space.pop(part).items()}


def _read_mappings(content: dict[str, Any]) -> None:
    """`data.where={분할: train}` arrives as a text: Hydra's grammar knows no such key."""
    for setting, example in MAPPINGS.items():
        part, _, name = setting.partition(".")
        text = content[part].get(name)
        if not isinstance(text, str):
            continue
        try:
            found = yaml.safe_load(text)
        except YAMLError:
            found = None
        if not isinstance(found, dict):
            raise ConfigError(
                f"`{setting}` must be a mapping.",
                value=f"`{text}`",
                way_out=f'for example "{setting}={example}"',
            )
        content[part][name] = found


def default_settings() -> dict[str, Any]:
    """Every key with its default."""
    parts = {part: dataclasses.asdict(kind()) for part, kind in _PARTS.items()}
    # Hydra takes plain dictionaries alone.
    for part, _, name in (setting.partition(".") for setting in MAPPINGS):
        parts[part][name] = {**parts[part][name]}
    return {**_SCALARS, **parts}


@functools.cache
def _register_default_settings() -> None:
    ConfigStore.instance().store(name="schema", node=default_settings())


def _valid_keys() -> list[str]:
    return [*_dotted(default_settings()), *_SCALARS]


def _dotted(content: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}.{key}"
        for part, inner in content.items()
        if isinstance(inner, Mapping)
        for key in inner
    ]


def _refuse_unknown(part: str, content: Mapping[str, Any], valid: set[str]) -> None:
    for key in content:
        if key not in valid:
            place = f" under `{part}`" if part else ""
            raise ConfigError(
                f"Every key{place} must be known to the program.",
                value=f"`{part}.{key}`" if part else f"`{key}`",
                way_out=nearest(key, valid),
            )


def _as_config_error(error: Exception) -> ConfigError:
    """The first lines of Hydra's own message: it names the key, and the options that exist."""
    causes = [error, error.__cause__] if error.__cause__ else [error]
    lines = [line.strip() for cause in causes for line in str(cause).splitlines() if line.strip()]
    return ConfigError(
        "The configuration can't be composed.",
        value="; ".join(lines[:3]),
        way_out="an interpolation names a key, as in `lora.lora_alpha: ${lora.r}`; what has to be "
        "computed is written out as labels, as in `search.space.rank: {r8: {lora.r: 8, "
        "lora.lora_alpha: 16}, ...}`"
        if "Unsupported interpolation type" in str(error)
        else "",
    )
