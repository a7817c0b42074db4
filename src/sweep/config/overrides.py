"""Command-line overrides, looked at before Hydra sees them.

Hydra's own messages are good for its grammar, less so for a misspelt experiment: with `+`, an
unknown name is silently added and the default sweep runs. So every name is checked here.
"""

from __future__ import annotations

import re
import tempfile
from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException

from sweep.core.errors import ConfigError
from sweep.core.files import as_on_disk
from sweep.core.recipe import OF_THE_WEIGHTS
from sweep.study.yaml_file import Unreadable, parse_mapping

#: Names that `TrainingArguments` has dropped, and what took their place.
OLD_TRAINER_NAMES = {
    "evaluation_strategy": "eval_strategy",
    "warmup_ratio": "warmup_steps",
    "no_cuda": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "gradient_checkpointing": "activation_checkpointing",
}
#: Settings that this program makes itself; naming them is not a spelling mistake.
OWN_TRAINER_NAMES = {
    "output_dir": "the study's folder is `results_dir` and `name`",
    "overwrite_output_dir": "`resume=restart` moves an old study aside",
    "logging_dir": "logs lie in the study's folder",
    "report_to": "use `tracking=wandb tracking.mode=...`",
    "seed": "use `search.seeds=[...]`",
    "data_seed": "use `search.seeds=[...]`",
    "save_strategy": "the adapter of the best evaluation is always kept",
    "save_safetensors": "adapters are always saved as safetensors",
    "load_best_model_at_end": "the adapter of the best evaluation is always kept",
    "metric_for_best_model": "runs are ranked by dev Pearson",
    "greater_is_better": "runs are ranked by dev Pearson, higher is better",
    "label_names": "the program sets it",
    "tokenizer": "the tokenizer is loaded from `model.path`",
    "group_by_length": "use `trainer.train_sampling_strategy=group_by_length`",
}
_HEADER = "@package _global_"


@dataclass(frozen=True)
class Ready:
    """Overrides that Hydra can take, with what was noticed on the way."""

    overrides: list[str]
    notices: list[str]
    experiment: str | None
    #: Keys that were given a value.
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConfigFolders:
    """Where config groups are looked for: `conf/`, `sweeps/`, the user's folder, loose files."""

    primary: Path
    others: tuple[Path, ...]
    loose: Path

    @classmethod
    @contextmanager
    def open(cls, assets: Path, config_dir: Path | None) -> Iterator[ConfigFolders]:
        """The places for one composition; loose experiment files lie in a temporary folder.

        Raises:
            ConfigError: the user's folder does not exist.
        """
        if config_dir is not None and not config_dir.is_dir():
            raise ConfigError("`--config-dir` must be a folder.", value=config_dir)
        with tempfile.TemporaryDirectory(prefix="sweep-config-") as loose:
            own = (config_dir.resolve(),) if config_dir else ()
            yield cls(assets / "conf", (*own, assets / "sweeps", Path(loose)), Path(loose))

    @property
    def search_path(self) -> str:
        """The override that makes Hydra look into the other places. Absolute, on purpose."""
        places = ",".join(quoted(f"file://{place}") for place in self.others)
        return f"hydra.searchpath=[{places}]"

    def groups(self) -> set[str]:
        folders = (child for place in self._all() if place.is_dir() for child in place.iterdir())
        return {child.name for child in folders if child.is_dir()} | {"experiment"}

    def options(self, group: str) -> dict[str, Path]:
        """Name to file of every option of a group; the first place wins."""
        found: dict[str, Path] = {}
        for place in self._all():
            for path in sorted((place / group).glob("*.yaml")):
                found.setdefault(path.stem, path)
        return found

    def add_experiment(self, path: Path) -> str:
        """Make an experiment file from anywhere an option of the group; returns its name."""
        target = self.loose / "experiment" / "from_file.yaml"
        target.parent.mkdir(exist_ok=True)
        # Behind a byte order mark Hydra would not see the header.
        target.write_text(path.read_text(encoding="utf-8-sig"), encoding="utf-8")
        return target.stem

    def _all(self) -> tuple[Path, ...]:
        return (self.primary, *self.others)


def prepare(overrides: Sequence[str], *, places: ConfigFolders, valid_keys: Iterable[str]) -> Ready:
    """Check every override and put it into the form that Hydra takes.

    Raises:
        ConfigError: a group, option or key that does not exist, with the nearest that does.
    """
    keys = set(valid_keys)
    ready: list[str] = []
    notices: list[str] = []
    experiment: str | None = None
    in_file: set[str] = set()
    given: list[str] = []
    for text in overrides:
        override = _parse(text)
        name = override.key_or_group
        if name in places.groups():
            option = str(_value(override))
            if name == "experiment":
                experiment, option, in_file = _experiment(option, places)
                ready.append(f"+experiment={quoted(option)}")
            else:
                _check_option(name, option, places)
                ready.append(f"{name}={quoted(option)}")
            continue
        key, notice = _current_name(name)
        notices += notice
        _check_key(key, text, keys=keys, groups=places.groups())
        given.append(key)
        ready += _rewritten(override, key)
    other = _other_weights(given, in_file=in_file)
    return Ready([*ready, *other], notices, experiment, tuple(given))


def rename_old_keys(content: dict[str, Any]) -> list[str]:
    """Map dropped `TrainingArguments` names in a composed configuration; returns notices."""
    trainer = content.get("trainer", {})
    notices = []
    for old, new in OLD_TRAINER_NAMES.items():
        if old in trainer:
            trainer[new] = trainer.pop(old)
            notices.append(_renamed(old, new))
    for key in trainer:
        _refuse_own(key)
    return notices


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint: the nearest valid name, or all of them."""
    names = sorted(valid)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    few = len(names) <= 20
    return f"valid names: {', '.join(names)}" if few else "all keys: `python -m sweep --cfg`"


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


def _experiment(option: str, places: ConfigFolders) -> tuple[str, str, set[str]]:
    """Name of the study, Hydra's option for `+experiment=NAME` or `+experiment=FILE.yaml`, and the
    keys under `model` that the file sets."""
    path = as_on_disk(Path(option).expanduser())
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError("An experiment file must exist.", value=path)
        content = _read(path)
        _check_header(path)
        return Path(option).stem, places.add_experiment(path), _model_keys(content)
    content = _check_option("experiment", option, places)
    path = places.options("experiment")[option]
    _check_header(path)
    has_mark = path.read_bytes().startswith(BOM_UTF8)
    name = places.add_experiment(path) if has_mark else option
    return option, name, _model_keys(content)


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
    _refuse_own(key.removeprefix("trainer."))
    raise ConfigError(
        "Every override must name a config group or a key of the configuration.",
        value=f"`{text}`: there is no `{key}`",
        way_out=nearest(key, [*groups, *keys] if "." not in key else keys),
    )


def _refuse_own(name: str) -> None:
    if name in OWN_TRAINER_NAMES:
        raise ConfigError(
            f"`trainer.{name}` is not a setting of a sweep.", way_out=OWN_TRAINER_NAMES[name]
        )


def _current_name(name: str) -> tuple[str, list[str]]:
    old = name.removeprefix("trainer.")
    if name.startswith("trainer.") and old in OLD_TRAINER_NAMES:
        new = OLD_TRAINER_NAMES[old]
        return f"trainer.{new}", [_renamed(old, new)]
    return name, []


def _renamed(old: str, new: str) -> str:
    return f"`trainer.{old}` is now called `trainer.{new}`; the value was taken over."


def _parse(text: str) -> Override:
    """Parse an override; a value outside of Hydra's grammar (한글, `(a|b)`) is quoted first."""
    if "=" not in text and not text.startswith("~"):
        raise ConfigError(
            "An argument must be `key=value`, `group=option` or `+experiment=name`.",
            value=f"`{text}`",
            way_out="verbs and flags: `python -m sweep --help`",
        )
    parser = OverridesParser.create()
    try:
        return parser.parse_override(text)
    except HydraException as error:
        key, _, value = text.partition("=")
        try:
            return parser.parse_override(f"{key}={_quoted_where_needed(value, parser)}")
        except HydraException:
            raise ConfigError(
                "An argument must follow Hydra's grammar for overrides.",
                value=f"`{text}`: {str(error).splitlines()[0]}",
            ) from None


def _rewritten(override: Override, key: str) -> list[str]:
    """The override under its current name, in the form that does what it says.

    `+` before a known key is a slip that Hydra refuses. A whole space takes the place of the
    old one, which Hydra would merge it into.
    """
    line = override.input_line or ""
    value = line.partition("=")[2]
    if line.startswith("~"):
        return [line]
    if key == "search.space":
        return ["~search.space", f"+search.space={value}"]
    prefix = "++" if key.startswith("search.space") else ""
    return [f"{prefix}{key}={value}"]


def _value(override: Override) -> Any:
    value = override.value()
    return value.text if isinstance(value, QuotedString) else value


def _quoted_where_needed(value: str, parser: OverridesParser) -> str:
    """A text in quotes; of a plain list (`[점수,score]`), each element that needs them."""
    plain_list = re.fullmatch(r"\s*\[([^\[\]{}'\"]*)\]\s*", value)
    if plain_list is None:
        return quoted(value)
    elements = [element.strip() for element in plain_list[1].split(",")]
    return f"[{','.join(_readable(element, parser) for element in elements)}]"


def _readable(element: str, parser: OverridesParser) -> str:
    try:
        parser.parse_override(f"key={element}")
    except HydraException:
        return quoted(element)
    return element


def quoted(text: str) -> str:
    """A value in the quotes of Hydra's grammar."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'") if "'" in text else text
    return f"'{escaped}'"
