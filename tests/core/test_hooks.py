"""Each interface that nobody has promised to keep is there, and none is used that is not listed."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import sweep
from sweep.core.hooks import HOOKS, SEEN, Hook

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "src" / "sweep"
#: Of all our modules, as hooks name them.
PLACES = {path.relative_to(SOURCES).as_posix(): path for path in sorted(SOURCES.rglob("*.py"))}

#: Modules that the libraries' own reference pages show. What is imported from others is a hook.
DOCUMENTED = {
    *("torch", "torch.nn", "torch.optim", "torch.optim.lr_scheduler", "torch.utils.data"),
    *("torch.autograd.function", "transformers", "transformers.modeling_outputs"),
    *("transformers.utils.logging", "peft", "datasets", "safetensors", "safetensors.torch"),
    *("safetensors.numpy", "huggingface_hub", "numpy", "numpy.typing", "pandas"),
    *("scipy.optimize", "scipy.sparse", "scipy.special", "scipy.stats"),
    *("pydantic", "yaml", "filelock", "jinja2", "markupsafe"),
    *("optuna", "optuna.trial", "optuna.distributions", "sqlalchemy", "hydra", "hydra.errors"),
    *("hydra.core.config_store", "omegaconf", "omegaconf.errors", "wandb", "kaleido"),
    *("plotly.graph_objects", "plotly.offline", "rich.console", "rich.live", "rich.progress"),
    *("torch.amp", "bitsandbytes.functional", "torchao.quantization"),
    *("tokenizers", "onnxruntime", "onnxruntime.quantization", "peft.utils"),
    *("huggingface_hub.errors", "huggingface_hub.constants"),
    *("submitit", "submitit.helpers", "submitit.core.utils"),
    *("ray", "mlflow", "mlflow.entities"),
    "_typeshed",  # Types alone, for type checkers.
    *("sklearn.linear_model", "sklearn.pipeline", "sklearn.preprocessing"),
    *("rich.segment", "rich.status", "rich.table", "rich.text"),
    *("pyarrow", "pyarrow.parquet", "pyarrow.ipc", "pyarrow.feather", "charset_normalizer"),
}
UNLISTED = "a hook in sweep.core.hooks must list it, with a reason and where it is used"
#: Stands for an attribute that a class has on its instances only.
ON_INSTANCES = object()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_hook_is_there(hook: Hook) -> None:
    trouble = trouble_with(hook)
    if trouble is not None:
        pytest.fail(f"{hook.name}: {trouble}\n{_why_it_matters(hook)}", pytrace=False)


def test_lost_hook_fails_with_its_reason() -> None:
    lost = [
        (Hook("torch._gone", "a.py", "why"), "is not there"),
        (Hook("torch._gone.too", "a.py", "why"), "is not there"),
        (Hook("no_such_library.name", "a.py", "why"), "is not there"),
        (Hook("torch.nn.Module.train", "a.py", "why", takes=("speed",)), "takes self, mode"),
        (Hook("torch.nn.Linear", "a.py", "why", has=("weight", "_a")), "has no `_a`"),
        (Hook("torch.nn.Linear", "a.py", "why", proof=("torch.nn.Linear", "bye")), "`bye`"),
    ]
    for hook, words in lost:
        assert words in (trouble_with(hook) or "")
    said = _why_it_matters(Hook("torch._gone", "lora/pack.py", "to clear it"))
    assert said.startswith("src/sweep/lora/pack.py relies on it: to clear it. Installed: torch ")


def test_hooks_are_listed_once_with_places_that_exist() -> None:
    names = [hook.name for hook in HOOKS]
    assert len(set(names)) == len(names)
    places = {place for hook in HOOKS for place in hook.used_in.split(", ")}
    assert places <= PLACES.keys()


def test_versions_seen_are_the_floor_and_the_lock() -> None:
    """Whoever moves one of them has run this file with it: `make test`, `make test-floor`."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (one for extra in project["optional-dependencies"].values() for one in extra)
    found = (re.match(r"([\w-]+)>=([\d.]+)", one) for one in [*project["dependencies"], *extras])
    floors = {one[1]: one[2] for one in found if one}
    locks = (REPOSITORY / f"requirements{kind}.lock" for kind in ("", "-dev"))
    lines = (line for lock in locks for line in lock.read_text(encoding="utf-8").splitlines())
    pins = dict(line.split("==") for line in lines if "==" in line)
    assert {name: (floors[name], pins[name]) for name in SEEN if name in floors} == {
        name: seen for name, seen in SEEN.items() if name in floors
    }
    assert {hook.library for hook in HOOKS} == SEEN.keys()


@pytest.mark.long
def test_private_use_is_listed() -> None:
    unlisted = [
        f"{place}:{line} {what}"
        for place, path in PLACES.items()
        for line, what in _private_use(path.read_text(encoding="utf-8"), place)
    ]
    assert not unlisted, f"{UNLISTED}: {', '.join(unlisted)}"


def test_overridden_private_methods_are_listed() -> None:
    for module in pkgutil.walk_packages(sweep.__path__, "sweep."):
        if module.name != "sweep.__main__":
            importlib.import_module(module.name)
    overridden = {
        f"{kind.__module__}.{kind.__name__}.{name}"
        for module in [one for name, one in sys.modules.items() if name.startswith("sweep.")]
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__.startswith("sweep.")
        for base in kind.__mro__
        if base.__module__.partition(".")[0] not in {"sweep", *sys.stdlib_module_names}
        for name in vars(kind).keys() & vars(base).keys()
        if inspect.isfunction(vars(kind)[name])
        and _is_private(name)
        and name not in _listed_words(_place_of(kind))
    }
    assert not overridden, f"{UNLISTED}: {', '.join(sorted(overridden))}"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import torch\ntorch._gone(1)", "_gone"),
        ("class A:\n    def f(self, x):\n        return self._net._gone", "_gone"),
        ("class A(B):\n    def f(self):\n        return super()._gone()", "_gone"),
        ("getattr(x, '_gone', None)", "_gone"),
        ("from transformers.trainer import Gone", "transformers.trainer.Gone"),
        ("from torch.utils._pytree import gone", "torch.utils._pytree.gone"),
        ("import peft.tuners.lora.gone", "peft.tuners.lora.gone"),
        ("importlib.import_module('plotly.io.gone').f()", "plotly.io.gone"),
        ("layer.gone = f  # type: ignore[method-assign]", "gone"),
        ("def f(a, b):\n    return a._own + self._own\nself._own = 1", None),
        ("from transformers import Trainer\nos._exit(1)", None),
    ],
)
def test_private_use_is_found(code: str, told: str | None) -> None:
    assert [what for _, what in _private_use(code, "a.py")] == ([] if told is None else [told])


def test_hook_is_known_where_it_is_used_and_nowhere_else() -> None:
    code = "from transformers.pytorch_utils import Conv1D\nx._foreach_zero_()"
    found = {
        place: [what for _, what in _private_use(code, place)]
        for place in ("lora/anatomy.py", "lora/pack.py")
    }
    assert found == {
        "lora/anatomy.py": ["_foreach_zero_"],
        "lora/pack.py": ["transformers.pytorch_utils.Conv1D"],
    }


def trouble_with(hook: Hook) -> str | None:
    """What is not as the hook says; None where all is."""
    found = _resolved(hook.name)
    if found is None:
        return "is not there"
    if hook.takes:
        parameters = list(inspect.signature(found).parameters)
        if [name for name in parameters if name in hook.takes] != list(hook.takes):
            return f"takes {', '.join(parameters)}; we pass {', '.join(hook.takes)}"
    if missing := [name for name in hook.has if not _has(found, name)]:
        return f"has no `{'`, `'.join(missing)}`"
    if hook.proof is not None:
        place, words = hook.proof
        proof = _resolved(place)
        if proof is None or words not in inspect.getsource(proof):
            return f"{place} does not say `{words.strip()}`"
    return None


def _why_it_matters(hook: Hook) -> str:
    places = ", ".join(f"src/sweep/{place}" for place in hook.used_in.split(", "))
    libraries = {hook.library, *(() if hook.proof is None else [hook.proof[0].partition(".")[0]])}
    installed = [
        f"{name} {sys.version.split()[0] if name == 'python' else version(name)} "
        f"(seen in {' and '.join(SEEN[name])})"
        for name in sorted(libraries & SEEN.keys())
    ]
    return f"{places} relies on it: {hook.reason}. Installed: {', '.join(installed)}."


def _resolved(path: str) -> Any:
    """What is found at an importable path; None where it ends."""
    parts = path.split(".")
    found: Any = None
    for size in range(1, len(parts) + 1):
        name = ".".join(parts[:size])
        if found is not None and hasattr(found, parts[size - 1]):
            found = getattr(found, parts[size - 1])
        elif inspect.isclass(found):
            return ON_INSTANCES if size == len(parts) and _has(found, parts[-1]) else None
        else:
            try:
                found = importlib.import_module(name)
            except ModuleNotFoundError:
                return None
    return found


def _has(owner: Any, name: str) -> bool:
    """Whether it has the attribute, or its class says so or sets it on `self`."""
    if hasattr(owner, name):
        return True
    kinds = [k for k in getattr(owner, "__mro__", ()) if k.__module__ != "builtins"]
    return any(
        name in getattr(kind, "__annotations__", {})
        or re.search(rf"\bself\.{name}\b", inspect.getsource(kind))
        for kind in kinds
    )


def _private_use(code: str, place: str) -> Iterator[tuple[int, str]]:
    """Lines and what they use of other libraries, where no hook lists it for this place."""
    tree = ast.parse(code)
    own = _own_names(tree)
    listed = _listed_words(place)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for name in _attributes(node):
            if _is_private(name) and name not in own | listed:
                yield line, name
        for path in _imports(node):
            if not _is_known(path, place):
                yield line, path
    for number, line in enumerate(code.splitlines(), 1):
        replaced = re.search(r"\.(\w+) = .*# type: ignore\[[\w,-]*method-assign", line)
        if replaced and replaced[1] not in listed:
            yield number, replaced[1]


def _own_names(tree: ast.AST) -> set[str]:
    """Names that a module defines itself, and attributes that it sets on `self`.

    A method that calls the one that it overrides is found by looking at its class.
    """
    nodes = list(ast.walk(tree))
    stored = [node for node in nodes if isinstance(getattr(node, "ctx", None), ast.Store)]
    names = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names |= {node.attr for node in stored if isinstance(node, ast.Attribute) and _is_own(node)}
    return names | {node.id for node in stored if isinstance(node, ast.Name)}


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _attributes(node: ast.AST) -> Iterator[str]:
    """The attribute that a node looks up on something that is not `self`."""
    if isinstance(node, ast.Attribute) and not _is_own(node):
        base = node.value
        if not (isinstance(base, ast.Name) and base.id in sys.stdlib_module_names):
            yield node.attr
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
        name = node.args[1]
        if node.func.id in ("getattr", "hasattr", "setattr") and isinstance(name, ast.Constant):
            yield name.value


def _imports(node: ast.AST) -> Iterator[str]:
    """Paths of what a node imports from other libraries."""
    paths: list[str] = []
    if isinstance(node, ast.Import):
        paths = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        paths = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        paths = [one.value for one in node.args[:1] if isinstance(one, ast.Constant)]
    ours = {"sweep", *sys.stdlib_module_names}
    yield from (path for path in paths if path.partition(".")[0] not in ours)


def _is_known(path: str, place: str) -> bool:
    parent = path.rpartition(".")[0]
    listed = any(f"{hook.name}.".startswith(f"{path}.") for hook in _hooks_of(place))
    return path in DOCUMENTED or parent in DOCUMENTED or listed


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _place_of(kind: type) -> str:
    return f"{kind.__module__.removeprefix('sweep.').replace('.', '/')}.py"


def _hooks_of(place: str) -> list[Hook]:
    return [hook for hook in HOOKS if place in hook.used_in.split(", ")]


@functools.cache
def _listed_words(place: str) -> set[str]:
    hooks = _hooks_of(place)
    proofs = [hook.proof[1] for hook in hooks if hook.proof is not None]
    texts = [*proofs, *(text for hook in hooks for text in (hook.name, *hook.has))]
    return {word for text in texts for word in re.findall(r"\w+", text)}
