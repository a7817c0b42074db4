"""What needs bitsandbytes or torchao is skipped, with the reason, where one is missing."""

from __future__ import annotations

import pytest

from sweep.core.optional import trouble_with
from sweep.lora.quantization import PACKAGES


def needs(kind: str) -> pytest.MarkDecorator:
    trouble = trouble_with(PACKAGES[kind])
    return pytest.mark.skipif(trouble is not None, reason=f"{PACKAGES[kind]} {trouble}")


each_kind = pytest.mark.parametrize("kind", [pytest.param(k, marks=needs(k)) for k in PACKAGES])
