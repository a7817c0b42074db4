"""What searching, composing, watching and starting processes rely on."""

from __future__ import annotations

from sweep.core.hooks.hook import Hook

PYTHON = (
    Hook(
        "multiprocessing.forkserver.ensure_running",
        "execute/children.py",
        "starts the server of workers, so that it imports torch before the first one is needed",
    ),
    Hook(
        "multiprocessing.resource_tracker.ensure_running",
        "execute/children.py",
        "starts this helper before signals are blocked, since its start unblocks them",
    ),
)

OPTUNA = (
    Hook(
        "optuna.trial.FrozenTrial._trial_id",
        "search/trials.py",
        "takes up a trial that an earlier driver has asked for",
    ),
    Hook(
        "optuna.trial.Trial",
        "search/trials.py",
        "built by hand, for the same",
        takes=("study", "trial_id"),
    ),
    Hook(
        "optuna.trial.FrozenTrial.system_attrs",
        "search/trials.py, search/study_db.py",
        "holds the point that a trial was queued with",
        proof=("optuna.study.Study.enqueue_trial", '"fixed_params"'),
    ),
    Hook(
        "optuna.pruners.SuccessiveHalvingPruner",
        "search/study_db.py",
        "its notes of the rungs that a trial has passed move along to a grown space",
        proof=("optuna.pruners._successive_halving", 'f"completed_rung_{rung}"'),
    ),
    Hook(
        "optuna.storages.RDBStorage.engine",
        "search/study_db.py",
        "commits do not wait for the disk",
    ),
)

HYDRA = (
    Hook(
        "hydra.core.global_hydra.GlobalHydra",
        "config/compose.py",
        "forgets an earlier composition in this process",
        has=("instance", "clear"),
    ),
    Hook(
        "hydra.core.override_parser.overrides_parser.OverridesParser",
        "config/grammar.py",
        "reads an override before Hydra does, so that mistakes are answered in our words",
        has=("create", "parse_override"),
    ),
    Hook(
        "hydra.core.override_parser.types.Override",
        "config/grammar.py, config/overrides.py, config/multirun.py, config/old_spellings.py",
        "what was read: the key, its value or values, the line as it was typed",
        has=(
            *("key_or_group", "value", "input_line"),
            *("is_sweep_override", "is_discrete_sweep", "sweep_string_iterator"),
        ),
    ),
    Hook(
        "hydra.core.override_parser.types.QuotedString",
        "config/grammar.py",
        "the text between quotes",
        has=("text",),
    ),
    Hook(
        "hydra.core.override_parser.types.ChoiceSweep",
        "config/multirun.py",
        "values of Hydra's multirun, which are told apart and written as a search space",
        has=("list",),
    ),
    Hook(
        "hydra.core.override_parser.types.RangeSweep",
        "config/multirun.py",
        "the same for `range(...)`",
        has=("start", "stop", "step"),
    ),
    Hook(
        "hydra.core.override_parser.types.IntervalSweep",
        "config/multirun.py, config/old_spellings.py",
        "the same for `interval(...)`; its tags say whether it is logarithmic",
        has=("start", "end", "tags"),
    ),
)

WATCHERS = (
    Hook(
        "wandb.Settings",
        "watch/wandb_setup.py",
        "bounds every call in time, and switches off what a sweep does not need",
        has=(
            *("init_timeout", "finish_timeout", "finish_timeout_raises", "use_dot_wandb"),
            *("x_transaction_log_flush_interval", "x_save_requirements", "x_disable_stats"),
            "x_service_wait",
        ),
    ),
    Hook(
        "wandb.proto.wandb_internal_pb2.Record",
        "watch/wandb_files.py",
        "what a `.wandb` file consists of, read where an older program has left no ledger",
    ),
    Hook(
        "wandb.Settings.run_mode",
        "watch/wandb_files.py",
        "folders of runs that were logged offline have this name",
        proof=("wandb.Settings", '"offline-run"'),
    ),
    Hook(
        "wandb.cli.beta_sync",
        "watch/wandb_files.py",
        "the mark that `wandb sync` leaves beside what it has sent",
        proof=("wandb.cli.beta_sync", ".wandb.synced"),
    ),
    Hook(
        "wandb.env.ERROR_REPORTING",
        "watch/wandb_setup.py",
        "the variable that switches error reports off: their exit hook waits for the server",
        proof=("wandb.env", '"WANDB_ERROR_REPORTING"'),
    ),
    Hook(
        "plotly.io.json.to_json_plotly",
        "watch/report/build.py, watch/report/figure_files.py",
        "JSON of plain dictionaries; missing numbers become null",
        takes=("plotly_object", "engine"),
    ),
    Hook(
        "choreographer.errors",
        "watch/report/figure_files.py",
        "what kaleido raises where there is no browser that works",
        has=("ChromeNotFoundError", "BrowserFailedError", "BrowserClosedError"),
    ),
)
