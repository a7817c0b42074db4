"""Which config to use and how sure that is: `verdict.json`, or what the leaderboard alone says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.watch.report.sections.parts import Section
from sweep.watch.report.study import Study


def verdict(study: Study) -> Section:
    configs = study.configs
    if configs.empty:
        return Section("verdict", "Verdict", facts={"best": None})
    rows = {str(row["config_id"]): row for row in configs.to_dict("records")}
    found = _told(study.verdict, rows) if study.verdict else None
    weights = configs["n_seeds"] - 1
    pooled = (configs["std"].fillna(0) ** 2 * weights).sum() / max(weights.sum(), 1)
    facts = {
        **(found or _computed(rows)),
        "known": bool(configs["ci_low"].notna().any()),
        "seeds": (int(configs["n_seeds"].min()), int(configs["n_seeds"].max())),
        "asked_seeds": len(study.settings["search"].get("seeds", [0])),
        "seed_sd": float(pooled) ** 0.5 if weights.sum() else None,
    }
    return Section("verdict", "Verdict", facts=facts)


def _told(verdict: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `verdict.json` says, or None where it speaks of configs that have no score now."""
    if verdict.get("best") not in rows or not verdict.get("sentences"):
        return None
    best = rows[verdict["best"]]
    recommended = rows.get(str(verdict.get("recommended")))
    return {
        "sentences": verdict["sentences"],
        "best": best,
        "tied": [rows[i] for i in verdict.get("tie_set", []) if i in rows and i != verdict["best"]],
        "cheapest": recommended if recommended is not best else None,
        "versus": verdict.get("versus_baseline"),
        "confirmed": verdict.get("confirmed"),
        "shrinkage": verdict.get("shrinkage"),
    }


def _computed(rows: Mapping[str, Any]) -> dict[str, Any]:
    ordered = list(rows.values())
    tied = [row for row in ordered if row["tied_with_best"] is True]
    # Of equally many parameters, the better score: seconds differ by chance as well.
    cheapest = min(tied, key=lambda row: (row["lora_params"], row["rank"]), default=None)
    return {
        "sentences": [],
        "best": ordered[0],
        "tied": [row for row in tied if row["rank"] != 1],
        "cheapest": cheapest if cheapest and cheapest["rank"] != 1 else None,
        "versus": None,
        "confirmed": None,
        "shrinkage": None,
    }
