"""Composing settings, with experiments of one's own."""

from __future__ import annotations

from pathlib import Path

from sweep.config.compose import Settings, load_settings


def settings(*overrides: str, config_dir: Path | None = None) -> Settings:
    return load_settings(overrides, config_dir=config_dir)[0]


def experiment(folder: Path, body: str, name: str = "mine") -> Path:
    path = folder / "experiment" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body, encoding="utf-8")
    return path
