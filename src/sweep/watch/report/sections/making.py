"""Versions, and the command that trains the same again."""

from __future__ import annotations

import yaml

from sweep.watch.report.sections.parts import Section
from sweep.watch.report.study import TRAINING, Study

#: Of the study's `config.yaml`: the rest is of this machine and this start, or was found out.
_EXPERIMENT = (*TRAINING, "confirm")


def making(study: Study) -> Section:
    settings = study.settings
    versions: dict[str, set[str]] = {}
    for source in (settings, *study.records):
        for name, version in source.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
    experiment = {part: settings[part] for part in _EXPERIMENT if settings.get(part)}
    facts = {
        "versions": {name: ", ".join(sorted(found)) for name, found in versions.items()},
        "fingerprints": settings.get("fingerprints", {}),
        "experiment": "# @package _global_\n"
        + yaml.safe_dump({"name": study.name, **experiment}, allow_unicode=True, sort_keys=False),
    }
    return Section("reproduce", "How to make it again", facts=facts)
