"""Loading what other people wrote: no code of it is run, and whatever it raises is told."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers

from sweep.core.errors import ModelError, UserMistake
from sweep.core.recipe import Model

#: For every `from_pretrained`. Code that comes with a model could do anything on this machine.
SAFE: dict[str, Any] = {"trust_remote_code": False}

OFFLINE = (
    "without a network, point to a local folder: `model.path=/folder/with/config.json`; "
    "or run the offline default: `python -m sweep +experiment=lora_grid`"
)
#: Packages that are installed under another name than they are imported by, or in company.
_INSTALLED_AS = {
    "fugashi": "fugashi unidic-lite",
    "unidic_lite": "unidic-lite",
    "sudachipy": "sudachipy sudachidict_core",
    "sudachitra": "sudachitra sudachidict_core",
    "PIL": "pillow",
    "google": "protobuf",
}
_MISSING = re.compile(
    r"(?:pip install|need to install|requires the|need to have) [`'\"]?([A-Za-z][\w.-]*)"
    r"|No module named ['\"](\w+)|The (\w+) dictionary is not installed"
)


@contextmanager
def without_old_names() -> Iterator[None]:
    """PEFT asks transformers by an old name, which is not the user's concern."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        # It speaks of memory that EVA's start could spare, which a pack takes anyway.
        warnings.filterwarnings("ignore", "lora with eva initialization", UserWarning)
        yield


@contextmanager
def loading(model: Model, part: str) -> Iterator[None]:
    """Turn whatever loading a part of a model raises into words with the way out.

    Libraries raise a dozen kinds of errors there, some of them plain `Exception`s.

    Args:
        part: Of the model: `configuration`, `tokenizer` or `weights`.

    Raises:
        ModelError: for every error but a lack of memory.
    """
    try:
        yield
    except (UserMistake, MemoryError):
        raise
    except BaseException as error:
        # A panic in Rust, where tokenizers are written, is no `Exception`.
        is_panic = type(error).__name__ == "PanicException"
        if type(error).__name__ == "OutOfMemoryError" or not (
            isinstance(error, Exception) or is_panic
        ):
            raise
        raise _told(error, model, part) from None


def refuse_kernels(model: Model, implementation: object) -> None:
    """An attention that is named like a page of the Hub would be loaded from there, as code.

    Raises:
        ModelError: it is.
    """
    if isinstance(implementation, str) and "/" in implementation:
        raise _own_code(model, f"`attn_implementation` is `{_short(implementation)}`")


def _told(error: BaseException, model: Model, part: str) -> ModelError:
    said = _first_line(error)
    # Before anything else: its message asks for what is never done.
    if "trust_remote_code" in str(error):
        return _own_code(model, _named_code(model))
    if isinstance(error, ImportError):
        return ModelError(
            f"The {part} of {model.path} needs a package that is not installed.",
            value=said,
            way_out=_install(error),
        )
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error).lower():
        return ModelError(
            "Weights are read as numbers: what else a pickled file holds is never run.",
            value=f"{model.path}: {said}",
            way_out="take weights as `model.safetensors`, which `save_pretrained` writes",
        )
    if "does not recognize this architecture" in str(error):
        return ModelError(
            f"The model family must be known to transformers {transformers.__version__}.",
            value=f"{model.path}: {said}",
            way_out="take a model of another family, or a newer transformers",
        )
    return _not_there(error, model, part)


def _not_there(error: BaseException, model: Model, part: str) -> ModelError:
    """What is missing or broken; `part` of a folder that is there, or the model as such."""
    if part == "configuration" and not _is_here(model):
        return ModelError(
            f"The model {model.path} must be a local folder, on the Hugging Face Hub, "
            "or in the local cache.",
            value=_first_line(error),
            way_out=OFFLINE,
        )
    way_out = "copy or save the model again, all of its files" if _is_here(model) else OFFLINE
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return ModelError(
        f"The {part} of {model.path} must be there, and whole.",
        value=f"{kind}{_first_line(error)}",
        way_out=f"{way_out}; installed is transformers {transformers.__version__}",
    )


def _own_code(model: Model, found: str) -> ModelError:
    return ModelError(
        "Code that comes with a model is never run: it could do anything on this machine.",
        value=f"{model.path}: {found}",
        way_out="take a model whose family transformers has itself, or save this one in such a "
        "family",
    )


def _named_code(model: Model) -> str:
    """Which code a folder names, where it is here."""
    for name in ("config.json", "tokenizer_config.json"):
        try:
            content = json.loads((Path(model.path) / name).read_text(encoding="utf-8"))
            named = ", ".join(map(str, content["auto_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        return f"`auto_map` in `{name}` names {_short(named)}"
    return "its configuration names code of its own (`auto_map`)"


def _install(error: ImportError) -> str:
    found = _MISSING.search(str(error))
    said = next((group for group in found.groups() if group), "") if found else ""
    name = (error.name or said).partition(".")[0]
    if not name:
        return "install what the message names"
    return f"pip install {_INSTALLED_AS.get(name, name.replace('_', '-'))}"


def _is_here(model: Model) -> bool:
    return model.path.startswith("package:") or Path(model.path).expanduser().is_dir()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
