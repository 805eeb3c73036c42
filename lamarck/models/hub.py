"""The hub's own client, with the token from the environment, and its refusals as sentences."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from lamarck.config import REPO
from lamarck.errors import LamarckError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

TOKEN_VARIABLE = "HF_TOKEN"
WHERE = "https://huggingface.co/settings/tokens"


def read_token() -> str | None:
    """The token in HF_TOKEN, and from nowhere else. Errors: LamarckError, which does not show it, for any other."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        # As a header it would fail with a message that shows it.
        raise LamarckError(f"what {TOKEN_VARIABLE} holds is not a token: it must be one word of plain ASCII")
    return token or None


def connect(repo: str) -> "HfApi":
    """Errors: LamarckError where `repo` is not the name of a repository."""
    if not re.fullmatch(REPO, repo):
        raise LamarckError(f"{repo!r} names no repository: write it as owner/name")
    from huggingface_hub import HfApi  # a third of a second
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    # False: else the library would look for a token in this machine's files.
    return HfApi(token=read_token() or False)


def check_may_write(repo: str, public: bool) -> None:
    """Make the repository where there is none yet, as visible as asked for, and ask whether the token may write to it.

    Errors: LamarckError where it may not, or where a repository of that name is visible to others than asked for.
    """
    if read_token() is None:
        raise LamarckError(
            f"publishing to {repo} needs a token with write access in {TOKEN_VARIABLE}: make one at {WHERE}"
        )
    api = connect(repo)
    with refusals_as_sentences(repo, "write to"):
        api.create_repo(repo, private=not public, exist_ok=True)
        api.auth_check(repo, write=True)
        private = bool(api.model_info(repo).private)
    if private == public:
        seen, option = ("private", "leave out --public") if private else ("public", "ask for --public")
        raise LamarckError(
            f"{repo} is there already and is {seen}: {option} (or `public` in the configuration), or change the "
            "repository's settings on the hub"
        )


@contextmanager
def refusals_as_sentences(repo: str, purpose: Literal["read", "write to"]) -> Iterator[None]:
    """Whatever goes wrong between here and the hub becomes a LamarckError that says what to do."""
    from httpx2 import HTTPError
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise LamarckError("HF_HUB_OFFLINE keeps the hub out of reach: unset it") from error
    except HfHubHTTPError as error:
        raise LamarckError(_refusal(repo, purpose, error)) from error
    except LocalEntryNotFoundError as error:
        # How a download wraps what went wrong.
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise LamarckError(_refusal(repo, purpose, cause)) from error
        if isinstance(cause, OfflineModeIsEnabled):
            raise LamarckError(f"{repo} is not on this machine, and HF_HUB_OFFLINE is set: unset it") from error
        raise LamarckError(f"{ENDPOINT} cannot be reached: {_line(cause or error)}") from error
    except (HTTPError, RuntimeError, OSError) as error:
        # RuntimeError is what a broken upload of one file ends with; the reason stands behind it.
        raise LamarckError(f"the connection to {ENDPOINT} failed: {_line(error.__cause__ or error)}") from error


def _refusal(repo: str, purpose: str, error: "HfHubHTTPError") -> str:
    status = error.response.status_code
    if error.response.headers.get("X-Error-Code") == "RevisionNotFound":
        return f"{repo} has no such revision"
    if status in (401, 404):
        return f"{repo} is not there, or hidden: set {TOKEN_VARIABLE} to a token that may see it ({WHERE})"
    if status == 403:
        return f"the token in {TOKEN_VARIABLE} may not {purpose} {repo}: change what it may at {WHERE}"
    return f"the hub answered {status} about {repo}: {_line(error)}"


def _line(error: BaseException) -> str:
    """The first line that says something."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
