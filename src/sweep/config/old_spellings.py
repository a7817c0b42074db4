"""Command lines as other programs take them, answered with the line that does it here.

Hydra's multirun (`-m lora.r=4,8`), its Optuna sweeper, the flags of its own command line, those of
a training script (`--learning_rate 1e-3`) and what `wandb agent` sends (`--lora.r=8`).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from hydra.core.override_parser.types import IntervalSweep, Override

from sweep.config.folders import ConfigFolders
from sweep.config.grammar import parse, value_of
from sweep.config.groups import GROUPS
from sweep.config.multirun import as_dimension, as_typed, texts_of
from sweep.config.names import known_key
from sweep.core.commands import command
from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS
from sweep.lora.targets import PRESETS

#: Keys whose value is a list, so that commas mean its elements.
_LISTS = (
    "search.seeds", "search.objectives", "data.label", "data.text_a", "data.text_b",
    "data.label_range",
)  # fmt: skip
#: Keys whose value may be one: without `-m`, elements that are no preset are those of a list.
_MAYBE_LISTS = ("lora.target_modules", "lora.layers_to_transform")
_MULTIRUN = ("-m", "--multirun")
#: Flags of Hydra's own command line that need nothing in their place.
_NEEDLESS = (*_MULTIRUN, "-r", "--run", "--resolve")
#: Its flags with a value, and how it is given here.
_WITH_VALUE = {
    "-cn": "+experiment=", "--config-name": "+experiment=",
    "-cd": "--config-dir=", "-cp": "--config-dir=", "--config-path": "--config-dir=",
}  # fmt: skip
_OF_HYDRA = {
    "hydra.sweeper.n_trials": "search.n_trials",
    "hydra.sweeper.n_jobs": "executor.workers",
    "hydra.launcher.n_jobs": "executor.workers",
    "hydra.sweeper.study_name": "name",
    "hydra.sweeper.sampler.seed": "search.sampler_seed",
    "hydra.sweep.dir": "results_dir",
    "hydra.run.dir": "results_dir",
}
_SAMPLERS = {"nsgaii": "nsga2", "motpe": "tpe"} | {
    name: name for name in ("tpe", "random", "grid", "cmaes", "qmc", "gp")
}
_PARAMS = "hydra.sweeper.params"

_ONE_COMMAND = "A sweep needs no flag."
_VALUES = "What is to be tried stands in `search.space`."
_LIST = "A list stands in brackets."
_EXPERIMENT = "An experiment is named by `+experiment=`."
_KEYS = "Settings are written `key=value`, without dashes."
_FLAGS = "Hydra's flags have other names here."
_HYDRA_S = "Hydra composes the configuration and no more: the search has settings of its own."
_APART = (
    "Only model, data, lora and trainer can be searched; another setting takes a sweep a value."
)
_WANDB_S = "wandb shows runs here and starts none: a sweep is started by this program."


def refuse_old_spellings(
    words: Sequence[str], *, places: ConfigFolders, valid_keys: Collection[str]
) -> None:
    """Refuse a command line that is written for another program.

    Args:
        words: Flags and overrides, as typed.

    Raises:
        ConfigError: its way out is the new command line, or several.
    """
    line = NewLine(places, valid_keys, multirun=not set(_MULTIRUN).isdisjoint(words))
    rest = list(words)
    while rest:
        line.take(rest.pop(0), rest)
    if line.found:
        raise ConfigError(
            " ".join(dict.fromkeys(line.why)),
            value=", ".join(line.found),
            way_out="\n           ".join(line.commands()),
        )


def space_word(space: Mapping[str, str]) -> str:
    """The override that sets a whole space, from names of dimensions to their texts."""
    return f"search.space={{{','.join(f'{name}:{text}' for name, text in space.items())}}}"


@dataclass
class NewLine:
    """The command line as it is written here; it grows word by word."""

    places: ConfigFolders
    valid_keys: Collection[str]
    multirun: bool
    words: list[str] = field(default_factory=list)
    space: dict[str, str] = field(default_factory=dict)
    sampler: str | None = None
    #: Words of other programs, and what is to be known about them.
    found: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    #: Settings of a sweep that several values were given for.
    apart: dict[str, list[str]] = field(default_factory=dict)

    def take(self, word: str, rest: list[str]) -> None:
        """Take the next word; what belongs to it is taken out of the rest."""
        if word.startswith("-"):
            self._flag(word, rest)
        elif "=" not in word:
            self._bare(word, rest)
        elif glob := re.fullmatch(r"\+*([\w/]+)=glob\((.*)\)", word):
            self._old(word, _VALUES)
            options = sorted(self.places.options(glob[1]))
            self.space[glob[1]] = f"[{','.join(fnmatch.filter(options, glob[2]) or options)}]"
        else:
            self._override(word)

    def commands(self) -> list[str]:
        words = list(self.words)
        named = any(word.lstrip("+").startswith("search=") for word in words)
        if self.sampler and not named:
            words.append(f"search={self.sampler}")
        if any(word.startswith("search.space") for word in words):
            words += [f"search.space.{name}={text}" for name, text in self.space.items()]
        elif self.space:
            words.append(space_word(self.space))
        return [command(*words, *self._one_of(choice)) for choice in product(*self.apart.values())]

    def _one_of(self, choice: Sequence[str]) -> list[str]:
        """The settings of one of several sweeps, each in a folder of its own."""
        chosen = dict(zip(self.apart, choice, strict=True))
        words = [f"{'+' * (key == 'experiment')}{key}={text}" for key, text in chosen.items()]
        others = [text for key, text in chosen.items() if key not in ("experiment", "name")]
        if not others or "name" in chosen:
            return words
        given = [w.partition("=")[2] for w in self.words if w.lstrip("+").startswith("name=")]
        first = given or [chosen.get("experiment") or self._experiment() or "sweep"]
        return [*words, f"name={'_'.join([*first, *others])}"]

    def _experiment(self) -> str | None:
        named = (w for w in self.words if w.lstrip("+").startswith("experiment="))
        return next((word.partition("=")[2] for word in named), None)

    def _old(self, word: str, why: str, *instead: str) -> None:
        self.found.append(f"`{word}`")
        self.why.append(why)
        self.words += instead

    def _flag(self, word: str, rest: list[str]) -> None:
        flag, _, value = word.partition("=")
        if flag in _NEEDLESS:
            self._old(word, _ONE_COMMAND if flag in _MULTIRUN else _FLAGS)
        elif flag in ("-c", "--cfg") and rest and rest[0] in ("job", "hydra", "all"):
            self._old(f"{flag} {rest.pop(0)}", _FLAGS, "--cfg")
        elif flag in _WITH_VALUE and (value or rest):
            self._named(flag, value or rest.pop(0))
        elif flag == "--config-dir" and not value and rest:
            self.words += [word, rest.pop(0)]
        elif word.startswith("--") and (key := self._key_of(flag[2:])):
            self._script_s(word, key, rest)
        else:
            self.words.append(word)

    def _named(self, flag: str, value: str) -> None:
        """A flag of Hydra's that names a configuration or a folder of them."""
        instead = _WITH_VALUE[flag]
        if instead != "+experiment=":
            self._old(f"{flag} {value}", _FLAGS, instead + value)
        elif value == "config":
            self._old(f"{flag} {value}", _EXPERIMENT)
        else:
            self._old(f"{flag} {value}", _EXPERIMENT, instead + value.removesuffix(".yaml"))

    def _key_of(self, name: str) -> str | None:
        """The group or key that is meant, if it is known."""
        own = name in self.places.groups() or name in self.valid_keys
        return name if own else known_key(name)

    def _script_s(self, word: str, key: str, rest: list[str]) -> None:
        """`--key=value`, `--key value`, or a switch."""
        _, has_value, value = word.partition("=")
        shown = word
        if not has_value:
            is_switch = not rest or rest[0].startswith("--") or "=" in rest[0]
            value = "true" if is_switch else rest.pop(0)
            shown = word if is_switch else f"{word} {value}"
        value = f"[{value}]" if key == "search.seeds" and "[" not in value else value
        self._old(shown, _KEYS, f"{key}={value}")

    def _bare(self, word: str, rest: list[str]) -> None:
        if word == "agent":
            instead = () if any("=" in other for other in rest) else ("+experiment=FILE.yaml",)
            self._old(" ".join([word, *rest[:1]]), _WANDB_S, *instead)
            del rest[:1]
        elif word == "sweep" and rest and rest[0].endswith((".yaml", ".yml")):
            self._old(f"{word} {rest[0]}", _EXPERIMENT, f"+experiment={rest.pop(0)}")
        elif word.endswith((".yaml", ".yml")):
            self._old(word, _EXPERIMENT, f"+experiment={word}")
        else:
            self.words.append(word)

    def _override(self, word: str) -> None:
        try:
            override = parse(word)
        except ConfigError:
            self.words.append(word)
            return
        key = override.key_or_group
        if key == "hydra" or key.startswith(("hydra.", "hydra/")):
            self._of_hydra(word, override)
        elif override.is_sweep_override():
            self._sweep(word, override)
        else:
            self.words.append(word)

    def _of_hydra(self, word: str, override: Override) -> None:
        """A setting of Hydra's own: of its sweeper, its launcher, its folders."""
        key, value, text = override.key_or_group, value_of(override), word.partition("=")[2]
        sampler = _SAMPLERS.get(_sampler_name(str(value)))
        self._old(word, _HYDRA_S)
        if key == _PARAMS and isinstance(value, dict):
            for name, values in value.items():
                self._param(str(name), as_typed(values))
        elif key.startswith(f"{_PARAMS}."):
            self._param(key.removeprefix(f"{_PARAMS}."), text.strip("'\""))
        elif "sampler" in key and sampler:
            self.sampler = sampler
        elif key == "hydra/sweeper" and value == "optuna":
            self.sampler = self.sampler or "tpe"
        elif key in _OF_HYDRA and "$" not in text:
            self.words.append(f"{_OF_HYDRA[key]}={text}")
        else:
            self.found[-1] += " (nothing like it is needed)"

    def _param(self, name: str, text: str) -> None:
        """A parameter of Hydra's sweeper, its values as a text: `choice(4,8)`."""
        override = parse(f"{name}={text}")
        if override.is_sweep_override():
            self._values(self._key_of(name) or name, override)
        else:
            self.words.append(f"{name}={text}")

    def _sweep(self, word: str, override: Override) -> None:
        """Several values for one key, as Hydra's multirun takes them."""
        key = self._key_of(override.key_or_group)
        if key is None:
            # A name that nobody knows: what it may have meant is told later.
            self.words.append(word)
            return
        self._old(word, self._reason(key, override))
        self._values(key, override)

    def _reason(self, key: str, override: Override) -> str:
        if self._is_list(key, override):
            return _LIST
        return _VALUES if _is_searchable(key) else _APART

    def _is_list(self, key: str, override: Override) -> bool:
        if key in _LISTS:
            return True
        texts = texts_of(override)
        return key in _MAYBE_LISTS and not self.multirun and not {*texts} & {*PRESETS}

    def _values(self, key: str, override: Override) -> None:
        if self._is_list(key, override):
            self.words.append(f"{key}=[{','.join(texts_of(override))}]")
        elif _is_searchable(key):
            self.space[key] = as_dimension(override)
            if isinstance(override.value(), IntervalSweep):
                self.sampler = self.sampler or "tpe"
        else:
            self.apart[key] = texts_of(override)


def _is_searchable(key: str) -> bool:
    return key in GROUPS or key in SEARCHABLE_KEYS


def _sampler_name(text: str) -> str:
    """`tpe` of `tpe` and of `optuna.samplers.TPESampler`."""
    return text.rpartition(".")[2].lower().removesuffix("sampler").replace("-", "")
