"""Every interface of a library that we use and nobody has promised to keep.

Private names, methods that we override or replace, attributes that another library's code sets,
words that it writes. `tests/core/test_hooks.py` asserts each by its name, so that an upgrade which
takes one away fails with the reason, and finds out what is used and not listed here. This module
holds data only, and imports none of the libraries.
"""

from sweep.core.hooks.hook import SEEN, Hook
from sweep.core.hooks.models import MODELS, PEFT, TORCH, UNPADDED
from sweep.core.hooks.others import HYDRA, OPTUNA, PYTHON, WATCHERS
from sweep.core.hooks.training import TRAINER

#: All of them.
HOOKS = (
    *PYTHON,
    *TORCH,
    *TRAINER,
    *MODELS,
    *UNPADDED,
    *PEFT,
    *OPTUNA,
    *HYDRA,
    *WATCHERS,
)

__all__ = ["HOOKS", "SEEN", "Hook"]
