"""What only the pairs can tell of a task: its classes, and whether its metric can be had."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sweep.config.schema import Settings
from sweep.core.arrays import Floats
from sweep.core.errors import ConfigError
from sweep.core.task import Task
from sweep.data.classes import classes_in
from sweep.stats.metrics import function_of


def with_settled_classes(settings: Settings) -> Settings:
    """`data.classes` found in the train rows, once, where nobody has named them.

    Raises:
        ConfigError: there are fewer than two, or one twice.
        DataError: the train rows can't be read.
    """
    if not settings.task.of_classes:
        return settings
    classes = settings.data.classes or classes_in(settings.data)
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise ConfigError(
            "`data.classes` must name at least two classes, each once.",
            value=f"{list(classes)}",
            way_out="name another column with `data.label=`",
        )
    return replace(settings, data=replace(settings.data, classes=classes))


def check_metric(task: Task, labels: Floats) -> None:
    """Call a metric that is the user's own once, with answers `[N]` that are right but for some.

    Raises:
        ConfigError: it can't be called, or gives no number.
    """
    source = task.measure.source
    if source is None:
        return
    answers = np.where(np.arange(len(labels)) % 4 == 0, np.roll(labels, 1), labels)
    try:
        found = float(function_of(source)(labels, answers))
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            "`task.metric` is called with labels and predictions, two arrays of numbers.",
            value=f"{source} raises {type(error).__name__}: {error}",
            way_out="mend the function; it returns one number, the higher the better",
        ) from None
    if not math.isfinite(found):
        raise ConfigError(
            "`task.metric` must return a finite number.",
            value=f"{source} gives {found} for dev, of which a quarter is wrong",
            way_out="mend the function; the higher the number, the better",
        )
