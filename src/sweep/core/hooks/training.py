"""What `train/` overrides in the Trainer, and relies on around it."""

from __future__ import annotations

from sweep.core.hooks.hook import Hook

TRAINER = (
    Hook(
        "transformers.Trainer._load_from_checkpoint",
        "train/trainer.py",
        "overridden: the weights of each run come from the run's own checkpoint",
        takes=("resume_from_checkpoint", "model"),
        proof=("transformers.Trainer", "self._load_from_checkpoint("),
    ),
    Hook(
        "transformers.Trainer._load_optimizer_and_scheduler",
        "train/trainer.py",
        "overridden: so does the state of its optimizer and schedule",
        takes=("checkpoint",),
        proof=("transformers.Trainer", "self._load_optimizer_and_scheduler("),
    ),
    Hook(
        "transformers.Trainer._load_rng_state",
        "train/trainer.py",
        "overridden: so does the state of the random generators",
        takes=("checkpoint",),
        proof=("transformers.Trainer", "self._load_rng_state("),
    ),
    Hook(
        "transformers.Trainer._get_grad_norm",
        "train/trainer.py",
        "overridden: a norm over all runs of a pack means nothing, and takes time",
        takes=("model", "grad_norm"),
        proof=("transformers.Trainer", "self._get_grad_norm("),
    ),
    Hook(
        "transformers.Trainer._get_train_sampler",
        "train/trainer.py",
        "overridden, and called for the order of an epoch: grouping by length that can be resumed",
        takes=("train_dataset",),
        proof=("transformers.Trainer.get_train_dataloader", "self._get_train_sampler"),
    ),
    Hook(
        "transformers.Trainer._maybe_log_save_evaluate",
        "train/trainer.py",
        "overridden: called after every step, it is where runs leave a pack",
        proof=("transformers.Trainer._run_epoch", "self._maybe_log_save_evaluate("),
    ),
    Hook(
        "transformers.Trainer.create_optimizer",
        "train/trainer.py, train/optimizers.py",
        "overridden: what it returns is no torch optimizer; nothing but `step` is called on it",
        takes=("model",),
        proof=("transformers.Trainer", "self.optimizer.step()"),
    ),
    Hook(
        "transformers.Trainer.create_scheduler",
        "train/trainer.py, train/optimizers.py",
        "overridden, and called once the optimizer is there, with the number of steps",
        takes=("num_training_steps", "optimizer"),
        proof=("transformers.Trainer", "self.create_scheduler(num_training_steps="),
    ),
    Hook(
        "transformers.Trainer.compute_loss",
        "train/trainer.py",
        "overridden: the sum over the runs of a pack; its own division by accumulated steps stays",
        takes=("model", "inputs", "return_outputs", "num_items_in_batch"),
        proof=("transformers.Trainer.training_step", "self.compute_loss("),
    ),
    Hook(
        "transformers.Trainer.floating_point_ops",
        "train/trainer.py",
        "overridden: it would go through all parameters at every step",
        takes=("inputs",),
        proof=("transformers.Trainer", "self.floating_point_ops("),
    ),
    Hook(
        "transformers.Trainer.evaluate",
        "train/trainer.py",
        "overridden: scores every run of the pack where the Trainer's turn to evaluate has come",
        proof=("transformers.Trainer._evaluate", "self.evaluate("),
    ),
    Hook(
        "transformers.Trainer.get_decay_parameter_names",
        "train/trainer.py",
        "which parameters weight decay applies to",
        takes=("model",),
    ),
    Hook(
        "transformers.Trainer.get_optimizer_cls_and_kwargs",
        "train/optimizers.py",
        "the optimizer that `trainer.optim` names, for each run of a pack",
        takes=("args",),
    ),
    Hook(
        "transformers.trainer.TRAINER_STATE_NAME",
        "train/trainer.py",
        "the file with the step where a run goes on, in the folder that `train` is given",
        proof=("transformers.Trainer", "os.path.join(resume_from_checkpoint, TRAINER_STATE_NAME)"),
    ),
    Hook(
        "transformers.trainer_callback.CallbackHandler.on_evaluate",
        "train/trainer.py",
        "tells callbacks of an evaluation, as `Trainer.evaluate` does",
        takes=("args", "state", "control", "metrics"),
    ),
    Hook(
        "transformers.trainer_pt_utils.get_length_grouped_indices",
        "lora/batches.py",
        "the Trainer's order by length, with a generator of our own",
        takes=("lengths", "batch_size", "generator"),
    ),
    Hook(
        "transformers.training_args.OptimizerNames",
        "train/optimizer_check.py",
        "the names that `trainer.optim` may have",
    ),
    Hook(
        "accelerate.Accelerator._prepare_one",
        "train/optimizers.py",
        "hands back what it does not know: `PackOptimizer` is no torch optimizer",
        proof=("accelerate.Accelerator._prepare_one", "return obj\n"),
    ),
    Hook(
        "accelerate.utils.send_to_device",
        "lora/layout.py",
        "moves whatever has a method `to`, and so the layout of a batch",
        proof=("accelerate.utils.send_to_device", 'hasattr(tensor, "to")'),
    ),
)
