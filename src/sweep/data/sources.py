"""Where the rows of a split come from: generated, the Hub, or files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pandas as pd

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.demo.nli_demo import generate_nli
from sweep.data.demo.sts_demo import generate
from sweep.data.encoding import KOREAN, UTF8, encoding_of
from sweep.data.findings import Split
from sweep.data.reading import Reading
from sweep.data.tables import read_table

#: What a file to predict may have otherwise than those of the training: found out anew.
_FOUND_OUT = ("separator", "quoting", "skip_lines", "decimal", "where")


#: Generators by `data.name`.
_DEMOS: dict[str | None, Callable[..., dict[str, pd.DataFrame]]] = {
    None: generate,
    "nli": generate_nli,
}


def table_of(data: Data, split: Split) -> tuple[pd.DataFrame, str]:
    """All rows of a split, as the source has them, under their numbers from 1; and its name.

    Raises:
        DataError: it is not named, or can't be read.
    """
    name = getattr(data, split)
    if not name:
        raise DataError(f"`data.{split}` must be set.", way_out=f"for example data.{split}=path")
    if data.source == "files":
        return read_table(Path(name), Reading.of(data)), name
    if data.source == "demo":
        table, origin = _generated(data.seed, data.name)[split], f"generated {split} pairs"
    else:
        table, origin = _load_hub(data, name), f"split `{name}` of {data.path}"
    return table.set_axis(pd.RangeIndex(1, len(table) + 1)), origin


@functools.lru_cache(maxsize=1)
def _generated(seed: int, name: str | None) -> dict[str, pd.DataFrame]:
    """All splits are made at once, and a sweep reads each of them."""
    if name not in _DEMOS:
        known = ", ".join(str(demo) for demo in _DEMOS if demo)
        raise DataError(
            "`data.name` must be one of the generated data sets.",
            value=name,
            way_out=f"one of {known}, or `data=sts_demo`",
        )
    return _DEMOS[name](seed=seed)


def _load_hub(data: Data, split: str) -> pd.DataFrame:
    """A split of a Hub data set, from the network or the local cache.

    Whatever goes wrong on the way (no network, no such name, no such split) is one message:
    the libraries below raise a dozen kinds of errors for it.
    """
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(data.path, data.name, split=split)
    except Exception as error:
        name = f"{data.path} ({data.name})" if data.name else data.path
        raise DataError(
            f"The data set {name} must be on the Hugging Face Hub or in the local cache.",
            value=f"split `{split}` could not be loaded: {str(error).splitlines()[0][:200]}",
            way_out="without a network, use local files: `data=files data.train=FILE "
            "data.dev=FILE data.text_a=COLUMN data.text_b=COLUMN data.label=COLUMN`; "
            "or run the offline default: `python -m sweep +experiment=lora_grid`",
        ) from None
    return pd.DataFrame(loaded.to_list())


def ways_to_read(
    path: Path, data: Data, given: Collection[str], tell: Callable[[str], None]
) -> list[Data]:
    """How a file may be read that may be written in another way than the training files.

    Args:
        data: Of the training, with what was asked for beside it.
        given: The keys that were asked for; they hold as they are.
        tell: Hears of a guessed encoding.

    Returns:
        The settings to try, one after the other: the last hold where no others find the texts.

    Raises:
        DataError: there is no such file, or it is no text of a known encoding.
    """
    separator = data.separator
    data = _found_out_anew(data, given)
    if "encoding" not in given:
        data = replace(data, encoding=_encoding(path, data.encoding, tell))
    if separator is None or "separator" in given:
        return [data]
    return [replace(data, separator=separator), data]


def _found_out_anew(data: Data, given: Collection[str]) -> Data:
    anew: dict[str, Any] = {key: None for key in _FOUND_OUT if key not in given}
    # Columns that are named anew say how they are named.
    if "header" not in given and {"text_a", "text_b"} & {*given}:
        anew["header"] = None
    if "split_text" not in given and "text_b" in given:
        anew["split_text"] = None
    return replace(data, **anew)


def _encoding(path: Path, studied: str, tell: Callable[[str], None]) -> str:
    """UTF-8, that of the training, or what Excel in Korea writes."""
    expected = (UTF8, studied)
    encoding = encoding_of(path, tuple(dict.fromkeys((*expected, KOREAN))))
    if encoding not in expected and not encoding.startswith("utf"):
        tell(f"{path} is not UTF-8: read as {encoding}")
    return encoding
