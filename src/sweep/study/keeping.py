"""Which adapters a study keeps: all, or those of its best configs, and deleting the others."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sweep.core.errors import ConfigError
from sweep.loop.trial import RunState
from sweep.study.files import RunFiles, StudyFiles
from sweep.study.record import Record
from sweep.study.rows import ConfigRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Keep:
    """How many adapters outlive their training.

    Args:
        configs: The best so many configs keep those of their complete runs; None: every run does.
    """

    configs: int | None = None

    @classmethod
    def of(cls, text: str) -> Keep:
        """`all`, `best`, or `top:N`.

        Raises:
            ConfigError: it is none of them.
        """
        if text == "all":
            return cls()
        if text == "best":
            return cls(1)
        if found := re.fullmatch(r"top:([1-9][0-9]*)", text):
            return cls(int(found[1]))
        raise ConfigError(
            "`executor.keep_adapters` must be `all`, `best` or `top:N` with N of at least 1.",
            value=f"`{text}`",
            way_out="executor.keep_adapters=top:50 keeps those of the 50 best configs",
        )

    def wanted(self, rows: Sequence[ConfigRow], *, also: Collection[str | None]) -> frozenset[str]:
        """Ids of the configs that keep theirs.

        First places of the ranking and first means both count: while seeds are still raced, a
        config with one seed stands behind those with all, and may come out first.

        Args:
            rows: The ranking, best first.
            also: Configs that are needed whatever their place.
        """
        by_mean = sorted(rows, key=lambda row: row.mean, reverse=True)
        chosen = [*rows[: self.configs], *by_mean[: self.configs], *(r for r in rows if r.pareto)]
        return frozenset({row.config_id for row in chosen} | {name for name in also if name})


KEEP_ALL = Keep()


class Adapters:
    """The adapters of a study's runs; lets go of those that are not kept."""

    def __init__(self, files: StudyFiles, keep: Keep) -> None:
        self._files = files
        self._keep = keep
        #: Of runs that have none any more: nobody looks for them twice.
        self._gone: set[str] = set()

    def let_go(
        self,
        records: Iterable[Record],
        rows: Sequence[ConfigRow],
        *,
        also: Collection[str | None],
    ) -> None:
        """Delete the adapters of runs that have ended, but for those that are kept.

        A run's record is written before it counts as ended, so that nothing is trained again for
        an adapter that is gone. Arguments as for `Keep.wanted`.
        """
        if self._keep.configs is None:
            return
        wanted = self._keep.wanted(rows, also=also)
        for record in records:
            run = record.run
            is_kept = record.state is RunState.COMPLETE and run.recipe.config_id in wanted
            if record.state.is_finished() and not is_kept and run.id not in self._gone:
                _delete(self._files.run(run.id))
                self._gone.add(run.id)


def _delete(files: RunFiles) -> None:
    """The weights first: without them it is no adapter, whatever else is still there."""
    if files.adapter.is_symlink():
        return
    try:
        for path in files.adapter_files:
            path.unlink(missing_ok=True)
        if files.adapter.is_dir() and not any(files.adapter.iterdir()):
            files.adapter.rmdir()
    except OSError as error:
        logger.warning("The adapter of %s stays: %s", files.folder.name, error)
