"""Where config groups and experiments are looked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweep.config.grammar import quoted
from sweep.core.errors import ConfigError


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
