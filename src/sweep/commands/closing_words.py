"""What is said at the end of a sweep, beside the ranking."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from sweep.config.schema import SearchSettings, Settings
from sweep.core.commands import command
from sweep.core.fingerprint import fingerprint
from sweep.core.words import counted, score_with_interval, value_text
from sweep.loop.pruning import pruning_audit
from sweep.lora.sentence_vectors import is_sentence_encoder
from sweep.space.space import Params
from sweep.study.baselines import Baselines
from sweep.study.record import Record, ended
from sweep.study.rows import ConfigRow
from sweep.study.tables import Results


def folded_lines(folded: Sequence[int]) -> list[str]:
    """Trials that cost nothing because their training was another's."""
    if not folded:
        return []
    few = f"{', '.join(map(str, folded[:6]))}{', ...' * (len(folded) > 6)}"
    return ["", f"folded: {len(folded)} with the training of an earlier trial ({few})"]


def used_up_lines(search: SearchSettings, num_points: int | None) -> list[str]:
    """Why a search has ended before `n_trials`.

    Args:
        num_points: Of the space, all of which have been tried.
    """
    stops = search.when_used_up == "stop"
    return [
        "",
        f"used up: all {num_points} points of the space have been tried, so "
        f"n_trials={search.n_trials} has no more to draw"
        + ("." if stops else ": the rest went to fresh seeds."),
        *(
            ["To spend the rest on fresh seeds: the same command, search.when_used_up=seeds"]
            if stops
            else []
        ),
    ]


def left_out_lines(
    left_out: Sequence[tuple[Params, float]], max_memory_gb: float | None
) -> list[str]:
    """Configs that were not trained because they would take too much memory.

    Args:
        left_out: Points, and the MB that each takes beyond the limit.
        max_memory_gb: The limit.
    """
    distinct = {fingerprint(point): (point, excess) for point, excess in left_out}
    if not distinct:
        return []
    few = [
        f"{' '.join(map(str, point.values()))} by {excess:,.0f} MB"
        for point, excess in list(distinct.values())[:3]
    ]
    return [
        "",
        f"too large: {counted(len(distinct), 'config')} left out, for taking more than "
        f"executor.max_memory_gb={max_memory_gb:g} allows "
        f"({'; '.join(few)}{'; ...' * (len(distinct) > 3)})",
    ]


def halted_lines(
    records: Sequence[Record], num_runs: int, command: str, *, owes_confirmation: bool
) -> list[str]:
    """How far the sweep has come within its time, and how it goes on; nothing where it is done."""
    done = sum(record.state.is_finished() for record in records)
    if done >= num_runs and not owes_confirmation:
        return []
    left = ", and the leaders are not confirmed yet" if owes_confirmation else ""
    return [
        "",
        f"Out of time: {done} of {num_runs} runs are done{left}; to go on, with the same time or "
        "more:",
        f"  {command}",
    ]


def full_halted_lines(waiting: int, command: str) -> list[str]:
    """That full fine-tuning is not done within the time, and how it goes on.

    Args:
        waiting: Of its runs.
    """
    if waiting == 0:
        return []
    left = f"{counted(waiting, 'run')} of full fine-tuning {'is' if waiting == 1 else 'are'} left"
    return ["", f"Out of time: {left}; to go on, with the same time or more:", f"  {command}"]


def failure_lines(failed: Sequence[Record]) -> list[str]:
    """Each distinct reason once, with the runs it stopped."""
    by_reason: dict[str, list[str]] = {}
    for record in failed:
        reason = (record.outcome.reason if record.outcome else None) or "unknown"
        by_reason.setdefault(reason, []).append(record.run.name)
    lines = [
        f"failed: {reason} ({', '.join(names[:4])}{', ...' * (len(names) > 4)})"
        for reason, names in by_reason.items()
    ]
    return ["", *lines, _outlook(failed)] if lines else []


def _outlook(failed: Sequence[Record]) -> str:
    """Whether to try failed runs again would help."""
    lost = sum(record.outcome is not None and record.outcome.recurs for record in failed)
    if lost == 0:
        return "The same command tries them again."
    if lost == len(failed):
        return "They would fail like this again: change what these configs have in common."
    return f"The same command tries them again; {lost} of {len(failed)} would fail as before."


def ranking_lines(board: Sequence[ConfigRow]) -> list[str]:
    """Configs, best first, each in a line."""
    return [
        f"{row.rank}. trial {row.trial}, config {row.config_id}: {_score_of(row)}, {row.words}"
        for row in board
    ]


def _score_of(row: ConfigRow) -> str:
    if row.ci_low is None or row.ci_high is None:
        return f"{row.mean:.4f}"
    return score_with_interval(row.mean, row.ci_low, row.ci_high)


def pruning_lines(records: Sequence[Record], board: Sequence[ConfigRow]) -> list[str]:
    """What pruning saved, and what the audit says that it cost."""
    found = pruning_audit(ended(records), {row.config_id for row in board if row.tied_with_best})
    if found is None:
        return []
    saved = "" if found.saved is None else f": {found.saved:.0%} of the steps were saved"
    lines = [f"pruned   {found.pruned} of {found.runs} runs{saved}"]
    if found.audited:
        lines.append(
            f"audit    {found.audited} runs that were to be pruned were trained on; "
            f"{found.audited_best} of them ended among the best"
        )
    return lines


def verdict_lines(results: Results, baselines: Baselines | None) -> list[str]:
    """The verdict in sentences; that LoRA is not worth it, where it is not, comes first."""
    verdict = results.verdict()
    if verdict is None:
        return []
    warning = baselines.warning if baselines else None
    line = baselines.line if baselines else None
    left_out = [one.in_words for one in baselines.left_out] if baselines else []
    told = [warning, *verdict.sentences, line, *left_out]
    return ["", *(sentence for sentence in told if sentence)]


def encoder_lines(settings: Settings, command: str) -> list[str]:
    """That a base which is a sentence encoder can be trained as one, where no config does.

    Args:
        command: The command line of the sweep.
    """
    recipes = [recipe for _, recipe in settings.configs()]
    if settings.task.kind != "similarity":
        return []
    own = next((r.model for r in recipes if is_sentence_encoder(r.model)), None)
    if own is None or any(recipe.task.encoder == "bi" for recipe in recipes):
        return []
    kept = [word for word in shlex.split(command) if not word.startswith("name=")]
    other = shlex.join([*kept, "task.encoder=bi", f"name={settings.name}_bi"])
    base = value_text(own.path)
    return [f"encoder  {base} is a sentence encoder, whose cosine can be trained: {other}"]


def highest_mean_lines(results: Results) -> list[str]:
    """How to get the config with the highest mean where it isn't the recommended one."""
    verdict = results.verdict()
    if verdict is None or verdict.recommended == verdict.best:
        return []
    run = results.best_run(verdict.best)
    if run is None:
        return []
    return ["", "the highest mean:", f"  {command('export', results.folder, '--run', run.id)}"]
