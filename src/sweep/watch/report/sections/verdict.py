"""Which config to use and how sure that is: the verdict, or that there is none yet."""

from __future__ import annotations

from typing import Any

from sweep.stats.verdict import Verdict
from sweep.study.rows import ConfigRow
from sweep.study.study import Study
from sweep.watch.report.sections.parts import Section


def verdict(study: Study) -> Section:
    rows = {row.config_id: row for row in study.leaderboard}
    facts: dict[str, Any] = {
        "states": {state.value: number for state, number in study.num_in_state.items()},
        "runs": len(study.runs),
        "seconds": sum(row.train_seconds or 0.0 for row in study.runs),
        "best": None,
    }
    if rows:
        # One that speaks of configs without a score now is of another start.
        found = study.verdict if study.verdict and study.verdict.best in rows else None
        facts |= _told(found, rows) if found else _untold(study.leaderboard[0])
        facts |= {
            "baselines": study.baselines,
            "others": len(rows) - 1,
            "one_seed": all(row.n_seeds == 1 for row in rows.values()),
            "more_seeds_asked": len(study.settings.seeds) > 1,
        }
    return Section("verdict", "Verdict", facts=facts)


def _told(verdict: Verdict, rows: dict[str, ConfigRow]) -> dict[str, Any]:
    best = rows[verdict.best]
    recommended = rows.get(verdict.recommended)
    return {
        "verdict": verdict,
        "best": best,
        "tied": [rows[i] for i in verdict.tie_set if i in rows and i != verdict.best],
        "cheapest": recommended if recommended is not best else None,
    }


def _untold(best: ConfigRow) -> dict[str, Any]:
    return {"verdict": None, "best": best, "tied": [], "cheapest": None}
