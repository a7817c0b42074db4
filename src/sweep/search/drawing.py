"""Drawing configs: what a sampler does with draws that may not be trained."""

from __future__ import annotations

import optuna

from sweep.loop.trial import Trial
from sweep.search.samplers import make_sampler
from sweep.search.task import SearchTask
from sweep.search.trials import suggest

#: Draws in a row that do not fit: after so many they are random, after so many the search ends.
_PATIENCE, _MOST_DRAWS = 10, 200


class Drawing:
    """Asks a study for its next config: a queued one, or one that the sampler draws.

    Args:
        num_trials: Trials that the study has at this start.
    """

    def __init__(self, study: optuna.Study, task: SearchTask, *, num_trials: int) -> None:
        self._study = study
        self._space = task.space
        # A fixed seed would replay its draws after a restart: the number of trials moves it on.
        # A quasi-random sequence keeps its own place in the study, under one seed.
        seed = task.sampler_seed + (0 if task.sampler in ("qmc", "staged") else num_trials)
        self._sampler, self._random = (
            make_sampler(
                kind,
                task.space,
                seed=seed,
                num_trials=task.num_trials,
                recipe=task.recipe_of_a_score,
            )
            for kind in (task.sampler, "random")
        )
        self._study.sampler = self._sampler
        #: Configs in a row that did not fit.
        self._misses = 0
        #: So many more may miss: cells of a grid may be queued that do not fit any more, and these
        #: are no draws.
        self.num_unfit_cells = 0

    @property
    def is_hopeless(self) -> bool:
        """Whether so many in a row did not fit that nothing that does is to be expected."""
        return self._misses >= _MOST_DRAWS + self.num_unfit_cells

    def next(self) -> Trial:
        # A sampler that does not learn from what is left out would draw the same again and again.
        self._study.sampler = self._random if self._misses >= _PATIENCE else self._sampler
        trial = suggest(self._study.ask(), self._space)
        self._study.sampler = self._sampler
        return trial

    def note(self, *, fits: bool) -> None:
        """Whether the last config may be trained."""
        self._misses = 0 if fits else self._misses + 1
