"""Online, offline or disabled: who decides, and what is said about it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sweep.core.errors import TrackingError
from sweep.watch.wandb_mode import resolve_mode

pytestmark = pytest.mark.usefixtures("wandb_at_home_nowhere")


KEY = "0123456789" * 4

#: Port of the discard service: connections to it are refused.
NO_SERVER = "http://127.0.0.1:9"


def test_auto_without_a_key_is_offline_and_says_how_to_send() -> None:
    mode, line = resolve_mode("auto")
    assert mode == "offline"
    assert line is not None
    assert "no API key" in line
    assert "sync.sh" in line


def test_auto_with_a_key_is_online_without_asking_the_server(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", NO_SERVER)
    assert resolve_mode("auto") == ("online", None)
    assert capfd.readouterr() == ("", "")


def test_key_in_netrc_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text(f"machine wandb.example.org login user password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert resolve_mode("auto") == ("online", None)


@pytest.mark.parametrize(
    ("variable", "mode"),
    [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled"), ("online", "online")],
)
def test_auto_follows_wandb_mode(variable: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", variable)
    assert resolve_mode("auto")[0] == mode


def test_explicit_mode_beats_wandb_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    mode, line = resolve_mode("online")
    assert mode == "online"
    assert "tracking.mode=online, before WANDB_MODE=offline" in str(line)
    monkeypatch.setenv("WANDB_MODE", "online")
    mode, line = resolve_mode("offline")
    assert mode == "offline"
    assert "before WANDB_MODE=online" in str(line)
    assert resolve_mode("disabled") == ("disabled", None)


def test_online_without_a_key_is_refused_with_a_way_out() -> None:
    with pytest.raises(TrackingError, match="API key") as caught:
        resolve_mode("online")
    assert "wandb login" in caught.value.way_out


def test_malformed_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    mode, line = resolve_mode("auto")
    assert mode == "offline"
    assert "WANDB_API_KEY" in str(line)
    with pytest.raises(TrackingError, match="WANDB_API_KEY"):
        resolve_mode("online")


def test_unknown_wandb_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(TrackingError, match="sometimes"):
        resolve_mode("auto")


def test_missing_package_disables_auto_and_refuses_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    mode, line = resolve_mode("auto")
    assert mode == "disabled"
    assert "pip install wandb" in str(line)
    for asked in ("online", "offline"):
        with pytest.raises(TrackingError, match="pip install wandb"):
            resolve_mode(asked)
    assert resolve_mode("disabled") == ("disabled", None)


@pytest.mark.parametrize(
    "code", ["raise RuntimeError('no protobuf')", "import no_such_module", "raise SystemExit(3)"]
)
def test_package_that_is_broken_is_as_one_that_is_missing(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "__init__.py").write_text(code)
    with monkeypatch.context() as broken:
        broken.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.partition(".")[0] == "wandb"]:
            broken.delitem(sys.modules, name)
        mode, line = resolve_mode("auto")
        with pytest.raises(TrackingError, match="fails at import") as caught:
            resolve_mode("offline")
    assert mode == "disabled"
    assert "fails at import" in str(line)
    assert "python -m sweep wandb" in str(line)
    assert "reinstall" in caught.value.way_out
