"""Optuna's migrations, read once a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from alembic.config import Config
from alembic.script import ScriptDirectory


@contextmanager
def read_once() -> Iterator[None]:
    """For every new database Optuna has alembic import its ten migrations three times, which takes
    longer than most searches of the tests. They are files of Optuna, and stay as they are."""
    read = ScriptDirectory.from_config
    known: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    with patch.object(ScriptDirectory, "from_config", from_config):
        yield
