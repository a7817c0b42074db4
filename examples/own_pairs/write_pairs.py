"""Write `훈련 자료.csv` and `개발 자료.jsonl`: Korean sentence pairs with a score from 0 to 5.

    python examples/own_pairs/write_pairs.py FOLDER

The score counts what two sentences have in common: who, where and what is done.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path

WHO = ["아이가", "선생님이", "고양이가", "강아지가", "의사가", "할머니가", "학생이", "요리사가"]
WHERE = ["집에서", "학교에서", "공원에서", "시장에서", "바닷가에서", "도서관에서"]
#: Two ways to say the same.
DOES = [
    ("밥을 먹는다", "식사를 한다"),
    ("책을 읽는다", "독서를 한다"),
    ("길을 걷는다", "산책을 한다"),
    ("잠을 잔다", "낮잠에 빠졌다"),
    ("노래를 부른다", "노래한다"),
    ("편지를 쓴다", "편지를 적는다"),
]


def pair(rng: random.Random) -> dict[str, str | float]:
    who, where, does = rng.choice(WHO), rng.choice(WHERE), rng.choice(DOES)
    same_who, same_where, same_does = (rng.random() < 0.5 for _ in range(3))
    others = (
        who if same_who else rng.choice([w for w in WHO if w != who]),
        where if same_where else rng.choice([w for w in WHERE if w != where]),
        does if same_does else rng.choice([d for d in DOES if d != does]),
    )
    score = 1.0 * same_who + 1.0 * same_where + 3.0 * same_does
    return {
        "문장1": f"{who} {where} {does[0]}.",
        "문장2": f"{others[0]} {others[1]} {rng.choice(others[2])}.",
        "점수": score,
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    train, dev = ([pair(rng) for _ in range(rows)] for rows in (600, 200))
    # The byte order mark tells Excel that it is UTF-8.
    with (folder / "훈련 자료.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, train[0])
        writer.writeheader()
        writer.writerows(train)
    lines = [json.dumps(row, ensure_ascii=False) for row in dev]
    (folder / "개발 자료.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(train)} train and {len(dev)} dev pairs in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "자료"))
