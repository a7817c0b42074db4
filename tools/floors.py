"""The lowest versions that pyproject.toml promises, as pins for pip; `make test-floor` uses it.

python tools/floors.py wandb figures   # the dependencies, and those of these extras
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
_FLOOR = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*>=\s*(?P<version>[0-9.]+)\s*(,.*)?")


def pins(requirements: Iterable[str]) -> Iterator[str]:
    """`name>=1.2,<2` as `name==1.2`.

    Raises:
        ValueError: a requirement that promises no lowest version.
    """
    for requirement in requirements:
        found = _FLOOR.fullmatch(requirement.strip())
        if found is None:
            raise ValueError(f"`{requirement}` must begin with `NAME>=VERSION`.")
        yield f"{found['name']}=={found['version']}"


def main(extras: Iterable[str]) -> None:
    project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
    optional = [one for extra in extras for one in project["optional-dependencies"][extra]]
    print(*pins([*project["dependencies"], *optional]), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
