#!/usr/bin/env bash
# What only a GPU can tell, in under eight minutes; writes results/benchmarks/gpu.json.
# `python benchmarks/gpu.py PART` is one part of it.
set -euo pipefail
cd "$(dirname "$0")"
exec "${PYTHON:-python}" gpu.py "$@"
