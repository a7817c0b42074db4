"""The Optuna study behind the `Search` port."""

from sweep.search.optuna_search import OptunaSearch

__all__ = ["OptunaSearch"]
