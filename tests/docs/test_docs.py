"""Every command in the documentation is one that the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from pages import PAGES, ROOT, blocks
from sweep.commands.arguments import make_parser
from sweep.config.compose import compose_config, load_settings


def commands() -> list[str]:
    text = "\n".join(b for page in PAGES for b in blocks(page, "bash")).replace("\\\n", " ")
    alone = [line for line in text.splitlines() if line.startswith("python -m sweep")]
    whole = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return [*alone, *re.findall(r"\| `(python -m sweep [^`]+)` \|", whole)]


@pytest.mark.long
@pytest.mark.parametrize("command", commands())
def test_documented_command_is_understood(command: str) -> None:
    arguments = shlex.split(command, comments=True)[3:]
    verbs = (
        "export",
        "predict",
        "verify",
        "report",
        "status",
        "stop",
        "add",
        "verdict",
        "compare",
        "wandb",
        "mlflow",
        "cost",
        "worker",
    )
    if arguments[0] == "submit":
        arguments = arguments[1:]
    if arguments[0] in verbs:
        assert make_parser().parse_args(arguments).verb == arguments[0]
        return
    overrides = [
        a for a in arguments if a not in ("--cfg", "--json") and "best/config.yaml" not in a
    ]
    content, _ = compose_config(overrides)
    assert content["name"]


def test_documented_experiment_composes_as_a_file(tmp_path: Path) -> None:
    body, *_ = blocks(ROOT / "docs" / "configuration.md", "yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(body, encoding="utf-8")
    settings, _ = load_settings([f"+experiment={path}"])
    assert settings.name == yaml.safe_load(body)["name"]
    assert len(settings.space.grid()) == 2 * 2 * 3 * 3


def test_both_first_commands_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(
        r"^make (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    ):
        assert f"\n{command}:" in makefile
