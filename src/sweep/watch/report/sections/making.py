"""Versions, and the command that trains the same again."""

from __future__ import annotations

from sweep.study.study import Study
from sweep.watch.report.sections.parts import Section


def making(study: Study) -> Section:
    versions: dict[str, set[str]] = {}
    for found in (study.settings.versions, *(record.versions for record in study.records)):
        for name, version in found.items():
            versions.setdefault(name, set()).add(str(version))
    facts = {
        "versions": {name: ", ".join(sorted(found)) for name, found in versions.items()},
        "fingerprints": study.settings.fingerprints,
        "experiment": study.settings.experiment_file,
    }
    return Section("reproduce", "How to make it again", facts=facts)
