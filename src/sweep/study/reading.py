"""One reader for the JSON and CSV files of a study: typed values, or nothing and a word why."""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from sweep.core.errors import StudyError
from sweep.core.files import lost_or_damaged
from sweep.core.words import excerpt

logger = logging.getLogger(__name__)

T = TypeVar("T")

_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)


#: What reading a changed file may come to: the last of a thousand brackets, of a huge number.
NOT_AS_WRITTEN = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(RecursionError, OverflowError),
)


#: How a formula begins in the spreadsheets that people use; a number does not.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.]+(?:[eE][+-]?\d+)?$)")


def read_json(
    path: Path,
    kind: type[T],
    *,
    otherwise: str,
    renamed: Callable[[Any], Any] | None = None,
) -> T | None:
    """The value that a file holds; None where there is none, or none that can be read.

    Args:
        kind: A dataclass. Fields that it lacks are of a newer program, and left out.
        otherwise: What a file that can't be read comes to, for the log.
        renamed: Gives the content with the names that `kind` has for it.
    """
    try:
        content = path.read_bytes()
        if renamed is None:
            value: T = _adapter(kind).validate_json(content)
        else:
            value = _adapter(kind).validate_python(renamed(json.loads(content)))
    except FileNotFoundError:
        return None
    except (OSError, *NOT_AS_WRITTEN) as error:
        logger.warning("%s can't be read (%s); %s.", path, _first_line(error), otherwise)
        return None
    return value


def to_json(value: object) -> str:
    """Text of a dataclass, to be read by people too."""
    text: bytes = _adapter(type(value)).dump_json(value, indent=2)
    return text.decode("utf-8")


def to_csv(table: pd.DataFrame) -> str:
    """Text of a table. A spreadsheet computes a cell that begins like a formula: where such a text
    has come in from outside, an apostrophe stands before it, and only there."""
    guarded = table.copy(deep=False)
    guarded.columns = [_no_formula(name) for name in table.columns]
    for place, kind in enumerate(table.dtypes):
        if pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind):
            guarded.isetitem(place, table.iloc[:, place].map(_no_formula).array)
    return guarded.to_csv(index=False)


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def read_csv(path: Path) -> pd.DataFrame:
    """A table; empty where it is not written yet. Only an empty cell is missing: `none` and `NA`
    may be labels, and an id or a level of digits alone is no number.

    Raises:
        StudyError: it has been damaged since.
    """
    try:
        return pd.read_csv(
            path,
            dtype={"config_id": str, "run_id": str, "level": str},
            keep_default_na=False,
            na_values=[""],
            # Some versions of pandas are off by the last digit otherwise.
            float_precision="round_trip",
        )
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()
    except (OSError, ValueError, OverflowError):
        raise StudyError(
            f"`{path.name}` must be as the program has written it.",
            value=lost_or_damaged(path),
            way_out="`python -m sweep report STUDY` writes the tables again",
        ) from None


@contextmanager
def as_written(path: Path) -> Iterator[None]:
    """Around what makes values of a table of the study.

    Raises:
        StudyError: something in it is none.
    """
    try:
        yield
    except StudyError:
        raise
    except NOT_AS_WRITTEN as error:
        raise StudyError(
            f"`{path.name}` must be as the program has written it.",
            value=f"{path}: {excerpt(_first_line(error))}",
            way_out="`python -m sweep report STUDY` writes the tables again",
        ) from None


def built(kind: type[T], fields: dict[str, Any]) -> T:
    """A dataclass of these fields.

    Raises:
        ValueError: one is not of its type.
    """
    _adapter(kind).validate_python(fields)
    return kind(**fields)


def missing_is_none(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table; what is missing in it, as NaN or as NA by column, is None."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)
