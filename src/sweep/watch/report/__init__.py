"""The report: one HTML file that opens offline, made from the files of the study's folder alone.

`Study.open` reads the folder, `sections` decide what is said, `figures` draw plain plotly
dictionaries, `page` holds the templates. Nothing here computes a statistic. A section is one
function in `sections`, one line in `build.SECTIONS` and, where it needs more than sentences, a
table and plots, a template of its name.
"""

from sweep.watch.report.build import build_report, figures_in_light, study_figures
from sweep.watch.report.watcher import ReportWatcher

__all__ = ["ReportWatcher", "build_report", "figures_in_light", "study_figures"]
