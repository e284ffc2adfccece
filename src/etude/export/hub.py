"""An exported folder to the Hugging Face hub, when a person asks for it.

The token is what `huggingface_hub` finds: `HF_TOKEN`, or that of `hf auth login`. Nothing else of
etude needs the hub.
"""

from __future__ import annotations

import re
from pathlib import Path

from etude.errors import InputError


def check_repo(repo: str) -> None:
    """Raises `InputError` for what can't be a dataset's name."""
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo):
        raise InputError(f"--push needs NAME or OWNER/NAME of a dataset, but got {repo!r}.")


def push(folder: Path, repo: str, *, public: bool = False) -> str:
    """Upload a folder as the dataset `repo` (`NAME` or `OWNER/NAME`), made where it is not there.

    A new dataset is private unless `public`; the visibility of one that is there stays. Gives the
    address. Raises `InputError` for a name that is none, no token, no network, or no right.
    """
    check_repo(repo)
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
    except ModuleNotFoundError:
        raise InputError(
            "--push needs the Python package huggingface_hub, which is not installed: "
            "pip install 'etude[data]'."
        ) from None
    api = hub.HfApi()
    kept = f"The export itself is in {folder}."
    if hub.get_token() is None:
        raise InputError(
            f"--push needs a token with the right to write, but there is none: set HF_TOKEN, or "
            f"`hf auth login`. {kept}"
        )
    try:
        made = api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=folder,
            repo_type="dataset",
            commit_message="etude export",
        )
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        raise InputError(f"--push {repo}: {_refusal(status)} ({_line(error)}). {kept}") from None
    except ValueError as error:  # of a name, or of the card's first lines
        said = " ".join(str(error).split())[:300]
        raise InputError(f"--push {repo}: the hub must take it, but says: {said} {kept}") from None
    except (OSError, httpx.HTTPError) as error:
        raise InputError(
            f"--push {repo}: {api.endpoint} must be reached, but is not ({_line(error)}). Connect "
            f"to the network and give the command again. {kept}"
        ) from None
    return str(made)


def _refusal(status: int | None) -> str:
    if status == 401:
        return "the token must be valid, but the hub does not know it"
    if status == 403:
        return "the token must have the right to write there, but the hub refuses it"
    return f"the hub must take it, but answers {status or 'nothing'}"


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    said = str(error).strip() or type(error).__name__
    return said.splitlines()[0][:300]
