"""The library's page is made from docstrings: all of it has some, and the page builds."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import sweep
from pages import ROOT, text_of


@pytest.mark.parametrize("name", sweep.__all__)
def test_public_name_is_on_the_page_with_all_that_belongs_to_it(name: str) -> None:
    thing = getattr(sweep, name)
    assert name in text_of("docs/api.md")
    assert inspect.getdoc(thing)
    members = vars(thing).items() if inspect.isclass(thing) else ()
    own = [(key, value) for key, value in members if not key.startswith("_")]
    for key, value in own:
        assert getattr(value, "__doc__", None), f"{name}.{key}"
    functions = [thing] if inspect.isfunction(thing) else []
    functions += [value for _, value in own if inspect.isfunction(value)]
    for function in functions:
        signature = inspect.signature(function)
        kinds = [p.annotation for key, p in signature.parameters.items() if key != "self"]
        assert inspect.Signature.empty not in (*kinds, signature.return_annotation)


@pytest.mark.long
def test_page_builds_as_make_docs_builds_it(tmp_path: Path) -> None:
    for package in ("mkdocs", "mkdocstrings"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: `make docs` has it in an environment apart")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    page = (tmp_path / "api.html").read_text("utf-8")
    assert all(f'id="sweep.commands.library.{name}"' in page for name in sweep.__all__)
