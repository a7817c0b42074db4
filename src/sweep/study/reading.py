"""One reader for the JSON and CSV files of a study: typed values, or nothing and a word why."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from sweep.core.errors import StudyError
from sweep.core.files import lost_or_damaged

logger = logging.getLogger(__name__)

T = TypeVar("T")

_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)


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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s can't be read (%s); %s.", path, _first_line(error), otherwise)
        return None
    return value


def to_json(value: object) -> str:
    """Text of a dataclass, to be read by people too."""
    text: bytes = _adapter(type(value)).dump_json(value, indent=2)
    return text.decode("utf-8")


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
    except (OSError, ValueError):
        raise StudyError(
            f"`{path.name}` must be as the program has written it.",
            value=lost_or_damaged(path),
            way_out="`python -m sweep report STUDY` writes the tables again",
        ) from None


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
