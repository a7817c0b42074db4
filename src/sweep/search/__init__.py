"""The Optuna study behind the `Search` port."""

from sweep.search.optuna_search import OptunaSearch
from sweep.search.task import SearchTask

__all__ = ["OptunaSearch", "SearchTask"]
