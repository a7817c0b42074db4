"""Writing tables of pairs in every format, and reading them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.core.recipe import Data
from sweep.data.pairs import Pairs, load_split

ROWS = [
    {"sentence1": "고양이가 잔다", "sentence2": "강아지가 잔다", "score": 2.5},
    {"sentence1": 'He said "no"', "sentence2": "He, too, said no", "score": 4.0},
    {"sentence1": "NA", "sentence2": "null", "score": 0.0},
]


def load(path: Path, **changes: Any) -> Pairs:
    return load_split(replace(Data(source="files", train=str(path)), **changes), "train")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    else:
        lines = ["\t".join(rows[0]), *("\t".join(map(str, r.values())) for r in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
