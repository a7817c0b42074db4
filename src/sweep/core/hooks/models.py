"""What `lora/` and `data/` rely on in torch, transformers, PEFT and datasets."""

from __future__ import annotations

from sweep.core.hooks.hook import Hook

TORCH = (
    Hook(
        "torch._foreach_zero_",
        "lora/pack.py",
        "clears all stacked gradients of a pack in one call",
    ),
    Hook(
        "torch._softmax_backward_data",
        "lora/attention.py",
        "the derivative of the softmax, from its result alone",
    ),
    Hook(
        "torch.ops.aten._local_scalar_dense.default",
        "lora/by_row.py",
        "what a model calls when it looks at a number, which a meta tensor has not",
    ),
    Hook(
        "torch.utils._python_dispatch.TorchDispatchMode",
        "lora/by_row.py",
        "sees every operation of a model that computes shapes only",
        has=("__torch_dispatch__",),
    ),
    Hook(
        "torch.utils._pytree.tree_map_only",
        "lora/by_row.py",
        "sends the tensors among an operation's arguments to the meta device",
    ),
    Hook(
        "torch.nn.Module.forward",
        "lora/batched.py, lora/batched_head.py, lora/flat.py, lora/quantization.py, "
        "lora/unpadded.py",
        "a layer's `forward` is replaced by an attribute of the object, which a call looks up",
        proof=("torch.nn.Module._call_impl", "self.forward"),
    ),
    Hook(
        "torch.nn.Module.train",
        "lora/pack.py",
        "replaced: the Trainer calls it at every step, and it goes through hundreds of modules",
        takes=("mode",),
        proof=("transformers.Trainer.training_step", "model.train()"),
    ),
    Hook(
        "torch.nn.Module.zero_grad",
        "lora/pack.py",
        "replaced: gradients are stacked, and `PackOptimizer.step` has cleared them",
        takes=("set_to_none",),
        proof=("transformers.Trainer", "model.zero_grad()"),
    ),
    Hook(
        "torch.cpu.get_capabilities",
        "train/precision.py",
        "whether the processor multiplies bfloat16 in silicon, under these two names",
        proof=("torch.cpu.get_capabilities", "avx512_bf16"),
    ),
    Hook(
        "torch.OutOfMemoryError",
        "execute/boundary.py",
        "recognised by the name of its class, where torch need not be imported",
    ),
)

MODELS = (
    Hook(
        "transformers.integrations.sdpa_attention.sdpa_attention_forward",
        "lora/attention.py",
        "attention where there is no dropout to be keyed",
        takes=("module", "query", "key", "value", "attention_mask", "dropout", "scaling"),
    ),
    Hook(
        "transformers.integrations.sdpa_attention.repeat_kv",
        "lora/attention.py",
        "one key and value for several queries, as grouped attention has them",
    ),
    Hook(
        "transformers.masking_utils.eager_mask",
        "lora/flat.py",
        "masks that are added to the scores and never left out; called once for each block of rows",
    ),
    Hook(
        "transformers.PreTrainedModel._supports_attention_backend",
        "lora/attention.py, lora/flat.py",
        "whether a model calls its attention by name, so that ours can take its place",
    ),
    Hook(
        "transformers.PretrainedConfig._attn_implementation",
        "lora/attention.py, lora/model.py",
        "which attention a model has: PyTorch's is replaced, one from the Hub refused",
    ),
    Hook(
        "transformers.PreTrainedModel.initialize_weights",
        "lora/base.py",
        "draws a head as loading does: all that is not marked as initialised",
        proof=("transformers.initialization", '"_is_hf_initialized"'),
    ),
    Hook(
        "transformers.PreTrainedModel.from_pretrained",
        "lora/model.py",
        "lists the weights that a checkpoint lacks; of other sizes, with their names first",
        proof=("transformers.utils.loading_report", '"mismatched_keys": self.mismatched_keys'),
    ),
    Hook(
        "transformers.PreTrainedTokenizerBase.init_kwargs",
        "lora/pairing.py, data/joining.py",
        "what a tokenizer saves of how it is to be loaded",
    ),
    Hook(
        "transformers.PreTrainedTokenizerFast.backend_tokenizer",
        "data/tokens.py, data/joining.py, data/unknown.py",
        "all that decides the ids of a fast tokenizer, as text, for the key of the cache; what it "
        "puts around two sentences, and whether it reads bytes",
    ),
    Hook(
        "tokenizers.processors.TemplateProcessing",
        "data/joining.py",
        "puts a separator or a template around two sentences, and is saved with the tokenizer",
    ),
    Hook(
        "tokenizers.processors.ByteLevel",
        "data/joining.py",
        "what the tokenizers of GPT-2 and Qwen have instead, which adds no token",
    ),
    Hook(
        "transformers.pytorch_utils.Conv1D",
        "lora/anatomy.py",
        "GPT-2's linear layers, whose weights are transposed",
    ),
    Hook(
        "datasets.config.HF_DATASETS_CACHE",
        "data/tokens.py",
        "the folder of the cache; tokens are kept beside those of `datasets`",
    ),
)

#: The encoders whose forward `UnpaddedEncoder` replaces: it calls their parts one by one.
_ENCODERS = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm_roberta": "XLMRoberta",
    "camembert": "Camembert",
    "electra": "Electra",
}
_PARTS = {
    "Encoder": ("layer",),
    "Layer": ("attention", "intermediate", "output"),
    "Attention": ("self", "output"),
    "SelfAttention": ("query", "key", "value", "dropout", "num_attention_heads", "scaling"),
}
UNPADDED = tuple(
    Hook(
        f"transformers.models.{module}.modeling_{module}.{family}{part}",
        "lora/unpadded.py",
        "its parts are called one by one where padding is left out",
        has=has,
    )
    for module, family in _ENCODERS.items()
    for part, has in _PARTS.items()
)

PEFT = (
    Hook(
        "peft.tuners.lora.layer.LoraLayer",
        "lora/batched.py, lora/batched_dora.py, lora/pack.py, lora/starts.py",
        "an adapter's factors, dropout and scaling, by its name; so that they can be stacked",
        has=("lora_A", "lora_B", "lora_dropout", "scaling", "get_base_layer"),
    ),
    Hook(
        "peft.tuners.lora.layer.Linear",
        "lora/batched.py, lora/pack.py",
        "its `forward` is replaced by that of all runs of a pack",
        has=("forward",),
    ),
    Hook(
        "peft.tuners.lora.LoraModel",
        "lora/quantization.py",
        "takes bitsandbytes' layers for such where the model that it adapts says so",
        proof=("peft.tuners.lora.model", '"is_loaded_in_4bit"'),
    ),
    Hook(
        "peft.utils.other.ModulesToSaveWrapper",
        "lora/batched_head.py, lora/pack.py",
        "the copies of a head, by adapter; its `forward` is replaced",
        has=("modules_to_save", "forward"),
    ),
    Hook(
        "peft.utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING",
        "lora/targets.py",
        "PEFT's own choice of layers for `lora.target_modules=auto`",
    ),
    Hook(
        "peft.PeftModelForSequenceClassification",
        "lora/anatomy.py",
        "trains modules of these names in full, asked or not, so none may be in the base",
        proof=("peft.PeftModelForSequenceClassification", '["classifier", "score"]'),
    ),
    Hook(
        "peft.utils.other._set_trainable",
        "lora/anatomy.py, lora/adapting.py",
        "finds `modules_to_save` by the end of their paths, so a head must end no other path",
        proof=("peft.utils.other._set_trainable", "key.endswith(target_key)"),
    ),
    Hook(
        "peft.tuners.lora.layer.LoraLayer.pissa_init",
        "lora/starts.py",
        "takes the adapter's start out of the base's weight, which is put back; `olora_init` too",
        proof=("peft.tuners.lora.layer.LoraLayer.pissa_init", "get_base_layer().weight.data = "),
    ),
    Hook(
        "peft.tuners.lora.eva.SVDHook",
        "lora/eva.py",
        "its threshold may be a tensor, which is lowered after enough passes",
        proof=("peft.tuners.lora.eva.SVDHook", "self.converged = sim >= self.sim_thresh"),
    ),
    Hook(
        "peft.utils.other.get_pattern_key",
        "core/patterns.py",
        "which layers a key of `rank_pattern` means: the same expression stands there",
        proof=("peft.utils.other.get_pattern_key", 'rf"(.*\\.)?({key})$"'),
    ),
    Hook(
        "peft.tuners.tuners_utils.check_target_module_exists",
        "lora/targets.py",
        "`lora.layers_to_transform` counts the first number in a path, as PEFT does",
        proof=(
            "peft.tuners.tuners_utils.check_target_module_exists",
            r".*?\.[^.]*\.(",
        ),
    ),
)
