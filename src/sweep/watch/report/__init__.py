"""The report: one HTML file that opens offline, made from the files of the study's folder alone.

`study` reads the folder, `sections` decide what is said, `figures` draw plain plotly dictionaries,
`page` holds the templates. A section is one function in `sections`, one line in `build.SECTIONS`
and, where it needs more than sentences, a table and plots, a template of its name.
"""

from sweep.watch.report.build import build_report, study_figures, study_media
from sweep.watch.report.watcher import ReportWatcher

__all__ = ["ReportWatcher", "build_report", "study_figures", "study_media"]
