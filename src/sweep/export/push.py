"""An exported folder, sent to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HFValidationError

from sweep.core.errors import ExportError
from sweep.study.files import ExportedFiles


def push(folder: Path, repo: str) -> str:
    """Send a whole export to a repository of models, private where it is new; returns its address.

    Raises:
        ExportError: the folder has no card, or the Hub can't be reached or refuses.
    """
    card = ExportedFiles(folder).card
    if not card.is_file():
        raise ExportError("What is sent to the Hub has a model card.", value=f"no {card}")
    hub = huggingface_hub.HfApi()
    try:
        made = hub.create_repo(repo, private=True, exist_ok=True)
        hub.upload_folder(repo_id=repo, folder_path=str(folder), commit_message="sweep export")
    # Of the network, of the Hub's answers and of a lost login; each has one of these kinds.
    except (OSError, HFValidationError, RuntimeError) as error:
        raise ExportError(
            "`--push` needs the Hub, and a login that may write there.",
            value=f"{repo}: {(str(error) or type(error).__name__).splitlines()[0][:200]}",
            way_out=f"`hf auth login`; the export itself is whole, in {folder}",
        ) from None
    return str(made)
