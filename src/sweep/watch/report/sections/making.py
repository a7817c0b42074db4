"""Versions, and the command that trains the same again."""

from __future__ import annotations

import yaml

from sweep.watch.report.sections.parts import Section
from sweep.watch.report.study import Study

#: In the study's `config.yaml`, but of this machine and this start alone.
_NOT_TRAINING = (
    "executor",
    "tracking",
    "results_dir",
    "resume",
    "mode",
    "fingerprints",
    "versions",
)


def making(study: Study) -> Section:
    settings = study.settings
    versions: dict[str, set[str]] = {}
    for source in (settings, *study.records):
        for name, version in source.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
    experiment = {k: v for k, v in settings.items() if k not in _NOT_TRAINING and v}
    facts = {
        "versions": {name: ", ".join(sorted(found)) for name, found in versions.items()},
        "fingerprints": settings.get("fingerprints", {}),
        "experiment": "# @package _global_\n"
        + yaml.safe_dump({"name": study.name, **experiment}, allow_unicode=True, sort_keys=False),
    }
    return Section("reproduce", "How to make it again", facts=facts)
