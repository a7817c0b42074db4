"""Models that can't be loaded: no code of theirs is run, and what is wrong is told."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from command_line import run
from odd_models import bert, copied, with_json
from sweep.core.errors import ModelError
from sweep.core.recipe import Lora, Model
from sweep.lora.loading import loading
from sweep.lora.model import load_base, load_tokenizer, targets_of

TRAP = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("models") / "plain")


def use(folder: Path) -> None:
    """All that a sweep loads of a model."""
    model = Model(path=str(folder))
    tokenizer = load_tokenizer(model)
    targets_of(model, Lora())
    load_base(model, tokenizer)


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        use(folder)
    assert caught.value.way_out
    return str(caught.value)


def with_traps(folder: Path) -> None:
    for name in ("configuration", "modeling", "tokenization"):
        (folder / f"{name}.py").write_text(TRAP, encoding="utf-8")


OWN = {"AutoConfig": "configuration.NewConfig", "AutoModel": "modeling.NewModel"}


# -- code --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "new", "auto_map": OWN}, "configuration.NewConfig"),
        ({"attn_implementation": "somebody/kernels"}, "somebody/kernels"),
    ],
)
def test_code_of_a_model_is_never_run_and_named(
    changes: dict[str, Any], named: str, plain: Path, tmp_path: Path
) -> None:
    folder = copied(plain, tmp_path / "own")
    with_traps(folder)
    with_json(folder, "config.json", changes)
    message = refusal(folder)
    assert "Code that comes with a model is never run" in message
    assert named in message
    assert not (folder / "ran").exists()


def test_known_family_is_loaded_without_the_code_beside_it(plain: Path, tmp_path: Path) -> None:
    folder = copied(plain, tmp_path / "both")
    with_traps(folder)
    with_json(folder, "config.json", {"auto_map": OWN})
    own = {"AutoTokenizer": ["tokenization.New", "tokenization.New"]}
    with_json(folder, "tokenizer_config.json", {"tokenizer_class": "New", "auto_map": own})
    use(folder)
    assert not (folder / "ran").exists()


def test_command_line_asks_nothing(
    plain: Path,
    tmp_path: Path,
    home: Path,
    arguments: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = copied(plain, tmp_path / "own")
    with_traps(folder)
    with_json(folder, "config.json", {"model_type": "new", "auto_map": OWN})
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    code, _, err = run(*arguments, f"model.path={folder}", capfd=capfd)
    assert code == 2
    assert "never run" in err
    assert "must be a local folder" not in err
    assert not (folder / "ran").exists()
    assert not (home / "results").exists()


class _Trap:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize("extra", [{}, {"trap": _Trap()}])
def test_pickled_weights_are_read_as_numbers(
    extra: dict[str, Any], plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = copied(plain, tmp_path / "pickled")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**weights, **extra}, folder / "pytorch_model.bin")
    if extra:
        assert "never run" in refusal(folder)
    else:
        use(folder)
    assert not (tmp_path / "ran").exists()


# -- what is missing or broken -----------------------------------------------------------------


def japanese(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nw1\n", encoding="utf-8")
    changes = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    with_json(folder, "tokenizer_config.json", {**changes, "subword_tokenizer_type": "wordpiece"})


def unknown_family(folder: Path) -> None:
    with_json(folder, "config.json", {"model_type": "newest"})


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def quantized(folder: Path) -> None:
    with_json(folder, "config.json", {"quantization_config": {"quant_method": "gptq", "bits": 4}})


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def with_half_a_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["model"]["type"] = "WordSalad"
    path.write_text(json.dumps(content), encoding="utf-8")


def with_odd_sizes(folder: Path) -> None:
    with_json(folder, "config.json", {"num_attention_heads": 5})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (japanese, "pip install fugashi unidic-lite"),
        (unknown_family, "must be known to transformers"),
        (write("config.json", b"{half"), "configuration"),
        (write("config.json", b"\xff\xfe\x00"), "configuration"),
        (write("config.json", b"[]"), "configuration"),
        (write("tokenizer.json", b"{half"), "tokenizer"),
        (write("tokenizer.json", b"{}"), "tokenizer"),
        (write("tokenizer_config.json", b"{half"), "tokenizer"),
        (with_half_a_tokenizer, "tokenizer"),
        (without_tokenizer, "tokenizer"),
        (write("model.safetensors", b"123"), "weights"),
        (write("model.safetensors", b""), "weights"),
        (quantized, "way out"),
        (with_odd_sizes, "way out"),
    ],
)
def test_whatever_loading_raises_is_told_with_the_way_out(
    damage: Callable[[Path], None], said: str, plain: Path, tmp_path: Path
) -> None:
    folder = copied(plain, tmp_path / "damaged")
    damage(folder)
    message = refusal(folder)
    assert said in message
    assert str(folder) in message
    assert "must be a local folder" not in message


def raise_no_module() -> None:
    import no_such_module_at_all  # type: ignore[import-not-found]  # noqa: F401


def raise_panic() -> None:
    panic = type("PanicException", (BaseException,), {})
    raise panic("called `Option::unwrap()` on a `None` value")


def raise_unpickling() -> None:
    pickle.loads(b"not a pickle")


def raise_nothing_said() -> None:
    raise KeyError


@pytest.mark.parametrize(
    ("raiser", "said"),
    [
        (raise_no_module, "pip install no-such-module-at-all"),
        (raise_panic, "Option::unwrap"),
        (raise_unpickling, "never run"),
        (raise_nothing_said, "KeyError"),
    ],
)
def test_errors_of_every_kind_become_words(raiser: Callable[[], None], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught, loading(Model(path="a/b"), "tokenizer"):
        raiser()
    assert caught.value.way_out


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("XTokenizer requires the SentencePiece library but it was not found", "SentencePiece"),
        ("You need to install sudachipy to use SudachiTokenizer.", "sudachipy sudachidict_core"),
        ("The unidic_lite dictionary is not installed. See elsewhere.", "unidic-lite"),
        ("You need to have sentencepiece or tiktoken installed", "sentencepiece"),
        ("install it with `pip install tiktoken`", "tiktoken"),
        ("No module named 'google.protobuf'", "protobuf"),
    ],
)
def test_package_that_is_missing_is_named_as_pip_knows_it(message: str, command: str) -> None:
    with pytest.raises(ModelError) as caught, loading(Model(path="a/b"), "tokenizer"):
        raise ImportError(message)
    assert caught.value.way_out == f"pip install {command}"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_no_fault_of_the_model_passes(kind: type[BaseException]) -> None:
    with pytest.raises(kind), loading(Model(path="a/b"), "tokenizer"):
        raise kind


def test_long_names_of_code_are_cut_short(plain: Path, tmp_path: Path) -> None:
    folder = copied(plain, tmp_path / "own")
    own = {"AutoConfig": f"configuration.{'New' * 100}"}
    with_json(folder, "config.json", {"model_type": "new", "auto_map": own})
    assert max(map(len, refusal(folder).splitlines())) < 250
    shutil.rmtree(folder)
