"""Settings of the reader, from the command line and from experiment files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweep.config.compose import load_settings
from sweep.core.errors import ConfigError
from sweep.core.recipe import Data, Recipe

MODEL = "model.path=x"


def data_of(*overrides: str) -> Data:
    settings, _ = load_settings([MODEL, *overrides])
    assert hash(settings.data) == hash(settings.data)
    return settings.data


@pytest.mark.long
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{split: train}", {"split": "train"}),
        ("{split:train}", {"split": "train"}),
        ("{lang: ko, genre: [news, forum]}", {"lang": "ko", "genre": ["news", "forum"]}),
        ("{year: 2012, gold: true}", {"year": 2012, "gold": True}),
        ("{3: x}", {"3": "x"}),
        (
            "{train: {fold: [1, 2]}, dev: {fold: 3}}",
            {"train": {"fold": [1, 2]}, "dev": {"fold": 3}},
        ),
        ("{분할: 훈련}", {"분할": "훈련"}),
        ("{'my column': 'a b'}", {"my column": "a b"}),
        ("{labels.binary-label: 1}", {"labels.binary-label": 1}),
        ("null", {}),
        ("{}", {}),
    ],
)
def test_conditions_are_read_as_they_are_typed(written: str, meant: dict[str, Any]) -> None:
    assert data_of(f"data.where={written}") == Data(
        **{**vars(data_of()), "where": meant}  # type: ignore[arg-type]
    )


@pytest.mark.long
def test_conditions_of_the_command_line_take_the_place_of_those_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# @package _global_\ndata:\n  where: {split: train, lang: ko}\n", "utf-8")
    assert data_of(f"+experiment={path}").where == {"split": "train", "lang": "ko"}
    assert data_of(f"+experiment={path}", "data.where={lang: en}").where == {"lang": "en"}
    assert data_of(f"+experiment={path}", "data.where=null").where == {}


@pytest.mark.parametrize(
    "wrong",
    [
        "data.where=split",
        "data.where=[split]",
        "data.where={split: {a: b}}",
        "data.where={split: []}",
        "data.where={train: {}}",
        "data.skip_lines=-1",
        "data.decimal=.,",
        "data.unscored=maybe",
        "data.separator=''",
        "data.split_text=''",
        "data.encoding=utf-9",
    ],
)
def test_setting_that_means_nothing_is_refused_by_its_name(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        data_of(wrong)
    assert wrong.partition("=")[0] in str(caught.value)


@pytest.mark.long
def test_texts_of_one_cell_come_from_one_column() -> None:
    assert data_of("data.text_a=Text", "data.text_b=Text", r"data.split_text=\n").text_b == "Text"
    assert data_of("data.text_a=Text", r"data.split_text=\n").text_a == "Text"
    with pytest.raises(ConfigError, match=r"data\.split_text"):
        data_of("data.text_a=Text", "data.text_b=Other", r"data.split_text=\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.where", {"split": "train"}),
        ("data.unscored", "drop"),
        ("data.decimal", ","),
        ("data.skip_lines", 0),
        ("data.split_text", "|"),
    ],
)
def test_later_settings_leave_a_config_its_id_at_their_default(key: str, value: Any) -> None:
    plain = Recipe()
    # As the program named it before it had them.
    assert plain.config_id == "26794900cafc"
    changed = plain.with_values({key: value})
    assert changed.config_id != plain.config_id
    assert changed.with_values({key: plain.value_of(key)}).config_id == plain.config_id
