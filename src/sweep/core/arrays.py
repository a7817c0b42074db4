"""Kinds of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Numbers of rows or columns.
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]
