"""Command-line overrides, looked at before Hydra sees them.

Hydra's own messages are good for its grammar, less so for a misspelt experiment: with `+`, an
unknown name is silently added and the default sweep runs. So every name is checked here.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from sweep.config.folders import ConfigFolders
from sweep.config.grammar import parse, quoted, value_of
from sweep.config.hydra_sections import refuse_hydra_section
from sweep.config.names import current_name, nearest, refuse_own
from sweep.config.old_spellings import refuse_old_spellings
from sweep.config.wandb_sweeps import refuse_wandb_sweep
from sweep.core.errors import ConfigError
from sweep.core.files import as_on_disk
from sweep.core.recipe import OF_THE_WEIGHTS
from sweep.study.yaml_file import Unreadable, parse_mapping

_HEADER = "@package _global_"
#: Settings that are mappings: a new value takes the place of all of the old one. With an example.
MAPPINGS = {
    "data.where": "{split: train}",
    "lora.rank_pattern": "{query: 4}",
    "lora.alpha_pattern": "{query: 8}",
}


@dataclass(frozen=True)
class Ready:
    """Overrides that Hydra can take, with what was noticed on the way."""

    overrides: list[str]
    notices: list[str]
    experiment: str | None
    #: Keys that were given a value.
    keys: tuple[str, ...] = ()


def prepare(overrides: Sequence[str], *, places: ConfigFolders, valid_keys: Iterable[str]) -> Ready:
    """Check every override and put it into the form that Hydra takes.

    Raises:
        ConfigError: a group, option or key that does not exist, with the nearest that does; or
            the spelling of another program, with the line that does it here.
    """
    keys = set(valid_keys)
    refuse_old_spellings(overrides, places=places, valid_keys=keys)
    ready: list[str] = []
    notices: list[str] = []
    experiment: str | None = None
    in_file: set[str] = set()
    given: list[str] = []
    for text in overrides:
        override = parse(text)
        name = override.key_or_group
        if name in places.groups():
            option = str(value_of(override))
            if name == "experiment":
                experiment, option, in_file = _experiment(option, places, keys)
                ready.append(f"+experiment={quoted(option)}")
            else:
                _check_option(name, option, places)
                ready.append(f"{name}={quoted(option)}")
            continue
        key, notice = current_name(name)
        notices += notice
        _check_key(key, text, keys=keys, groups=places.groups())
        given.append(key)
        ready += _rewritten(override, key)
    other = _other_weights(given, in_file=in_file)
    return Ready([*ready, *other], notices, experiment, tuple(given))


def _other_weights(given: Collection[str], *, in_file: Collection[str]) -> list[str]:
    """Another `model.path` has other weights: what is not set beside it doesn't hold for it.

    Args:
        given: Keys of the command line, where a path takes the place of the experiment file's.
        in_file: Keys of that file.
    """
    beside = next((keys for keys in (given, in_file) if "model.path" in keys), None)
    if beside is None:
        return []
    return [f"{key}=null" for key in OF_THE_WEIGHTS if key not in {*beside, *given}]


def _experiment(
    option: str, places: ConfigFolders, valid_keys: set[str]
) -> tuple[str, str, set[str]]:
    """Name of the study, Hydra's option for `+experiment=NAME` or `+experiment=FILE.yaml`, and the
    keys under `model` that the file sets."""
    path = as_on_disk(Path(option).expanduser())
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError("An experiment file must exist.", value=path)
        content = _read(path)
        _refuse_foreign(option, path, content, places, valid_keys)
        return Path(option).stem, places.add_experiment(path), _model_keys(content)
    content = _check_option("experiment", option, places)
    path = places.options("experiment")[option]
    _refuse_foreign(option, path, content, places, valid_keys)
    has_mark = path.read_bytes().startswith(BOM_UTF8)
    name = places.add_experiment(path) if has_mark else option
    return option, name, _model_keys(content)


def _refuse_foreign(
    option: str,
    path: Path,
    content: Mapping[str, Any],
    places: ConfigFolders,
    valid_keys: set[str],
) -> None:
    """Refuse a file that is no experiment of this program's."""
    refuse_wandb_sweep(path, content)
    _check_header(path)
    refuse_hydra_section(option, path, content, places=places, valid_keys=valid_keys)


def _model_keys(content: Mapping[str, Any]) -> set[str]:
    model = content.get("model")
    return {f"model.{key}" for key in model} if isinstance(model, dict) else set()


def _check_option(group: str, option: str, places: ConfigFolders) -> dict[str, Any]:
    """What its file holds."""
    options = places.options(group)
    if option not in options:
        raise ConfigError(
            f"`{group}=` must name one of: {', '.join(options) or 'none found'}.",
            value=f"`{option}`",
            way_out=nearest(option, options),
        )
    return _read(options[option])


def _read(path: Path) -> dict[str, Any]:
    try:
        return parse_mapping(path)
    except Unreadable as why:
        raise ConfigError(
            "A configuration file must be YAML, in UTF-8.",
            value=f"{path}: {why}",
            way_out="mend the line, or save the file as UTF-8",
        ) from None


def _check_header(path: Path) -> None:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    if not any(_HEADER in line for line in comments):
        raise ConfigError(
            f"An experiment file must begin with the line `# {_HEADER}`.",
            value=f"{path} does not; without it, its settings would land nowhere",
            way_out="add the line at the top of the file",
        )


def _check_key(key: str, text: str, *, keys: set[str], groups: set[str]) -> None:
    if key in keys or key.startswith("search.space"):
        return
    refuse_own(key.removeprefix("trainer."))
    raise ConfigError(
        "Every override must name a config group or a key of the configuration.",
        value=f"`{text}`: there is no `{key}`",
        way_out=nearest(key, [*groups, *keys] if "." not in key else keys),
    )


def _rewritten(override: Override, key: str) -> list[str]:
    """The override under its current name, in the form that does what it says.

    `+` before a known key is a slip that Hydra refuses. A whole space takes the place of the
    old one, which Hydra would merge it into, and so do all `MAPPINGS`.
    """
    line = override.input_line or ""
    value = line.partition("=")[2]
    if line.startswith("~"):
        return [line]
    if key == "search.space" or key in MAPPINGS:
        return [f"~{key}", f"+{key}={value}"]
    prefix = "++" if key.startswith("search.space") else ""
    return [f"{prefix}{key}={value}"]
