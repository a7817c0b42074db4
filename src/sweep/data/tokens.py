"""Token ids on disk: made once for each (pairs, tokenizer, max length), shared by all workers."""

from __future__ import annotations

import hashlib
import logging
from importlib.metadata import version
from pathlib import Path

import datasets
from filelock import FileLock
from transformers import PreTrainedTokenizerBase

from sweep.core.files import replacing_folder
from sweep.core.fingerprint import fingerprint
from sweep.core.recipe import Data
from sweep.data.pairs import Pairs, tokenized
from sweep.data.token_ids import TOGETHER, Reading

logger = logging.getLogger(__name__)


def cached_tokens(
    pairs: Pairs, tokenizer: PreTrainedTokenizerBase, data: Data, reading: Reading = TOGETHER
) -> datasets.Dataset:
    """`tokenized`, from the Arrow cache of Hugging Face `datasets` where it is there already.

    A cache that can't be written or read costs time and nothing else.
    """
    folder = (
        Path(datasets.config.HF_DATASETS_CACHE) / "sweep" / _key(pairs, tokenizer, data, reading)
    )
    datasets.disable_progress_bars()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Two workers of a first start would make the same twice.
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                with replacing_folder(folder) as new:
                    tokenized(pairs, tokenizer, data, reading).save_to_disk(str(new))
            return datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        logger.warning("The token cache %s can't be used: %s", folder, error)
        return tokenized(pairs, tokenizer, data, reading)


#: Of what a table holds beside the ids; another number makes all tables anew.
_FORMAT = 2


def _key(pairs: Pairs, tokenizer: PreTrainedTokenizerBase, data: Data, reading: Reading) -> str:
    libraries = [version(name) for name in ("transformers", "tokenizers", "datasets")]
    parts = [pairs.digest(), _digest(tokenizer), data.max_length, data.label_range, libraries]
    # What is read together has the key that it had before there was another way.
    apart = [reading.prefix] if reading.apart else []
    classes = [data.classes] if data.classes else []
    return fingerprint([_FORMAT, *parts, *apart, *classes])


def _digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of all that decides the ids: a fast tokenizer in full, a slow one by its vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = (
        backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    )
    names = tokenizer.model_input_names
    return hashlib.sha256(f"{type(tokenizer).__name__}{names}{content}".encode()).hexdigest()
