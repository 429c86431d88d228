"""What a hub lists: repositories of an owner, one repository's card and files, its config.json.

Through the `huggingface-hub` library; ``HF_ENDPOINT`` and ``HF_TOKEN`` are honoured. Nothing of the weights is
fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from freehold.errors import FreeholdError, MissingExtraError, UnknownModelError, UpstreamError, WeightsError

ANSWERING = ("text-generation", "image-text-to-text", "any-to-any")
"""Tasks of a hub under which models that answer in text are filed."""
REACH_SECONDS = 10
PUBLIC = "https://huggingface.co"
SYNCED = "what was synced before: freehold catalog list"


class Listed(NamedTuple):
    """One line of a listing."""

    repo: str
    task: str | None
    tags: tuple[str, ...]
    created: datetime | None


class File(NamedTuple):
    """One file of a repository."""

    name: str
    bytes: int | None


class Repository(NamedTuple):
    """What the hub says about one repository at one commit. `parameters` is its own count of the safetensors."""

    repo: str
    commit: str
    license: str | None
    gated: bool
    tags: tuple[str, ...]
    created: datetime | None
    parameters: int | None
    files: tuple[File, ...]

    @property
    def bases(self) -> tuple[tuple[str, str], ...]:
        """Relation and model it was made from, as its card declares them."""
        found = {}
        for tag in self.tags:
            if tag.startswith("base_model:"):
                relation, _, model = tag.removeprefix("base_model:").rpartition(":")
                if relation or model not in found:
                    found[model] = relation or "made from"
        return tuple((relation, model) for model, relation in found.items())


def endpoint() -> str:
    """The hub that is asked."""
    # Read at each call: the library itself looks only once, when it is imported.
    return (os.environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/")


def reach() -> None:
    """Ask for one line, so that a hub out of reach is noticed at once and not after the library's retries.

    Raises `UpstreamError`.
    """
    library()
    import huggingface_hub.utils

    utils: Any = huggingface_hub.utils  # it exports these without saying so to type checkers
    with hub_errors("a listing"):
        reply = utils.get_session().get(
            f"{endpoint()}/api/models", params={"limit": 1}, timeout=REACH_SECONDS
        )
        utils.hf_raise_for_status(reply)


def newest_of(owner: str, most: int) -> list[Listed]:
    """The newest repositories of an owner, newest first. Raises `UpstreamError` when the hub cannot be reached."""
    return _list(author=owner, sort="created_at", limit=most)


def quantized_from(model: str, most: int) -> list[Listed]:
    """Repositories with GGUF files whose card names `model` as what was quantized, most fetched first."""
    return _list(filter=["gguf", f"base_model:quantized:{model}"], sort="downloads", limit=most)


def _list(**asked: Any) -> list[Listed]:
    hub = library()
    with hub_errors(str(asked.get("author") or asked.get("filter"))):
        return [
            Listed(str(info.id), info.pipeline_tag, tuple(info.tags or ()), info.created_at)
            for info in hub.HfApi(endpoint=endpoint()).list_models(**asked)
        ]


def read(repo: str) -> Repository:
    """One repository's card and files. Raises `UnknownModelError` when the hub has no such repository."""
    hub = library()
    with hub_errors(repo):
        info = hub.HfApi(endpoint=endpoint()).model_info(repo, files_metadata=True)
    tags = tuple(info.tags or ())
    license = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None)
    card = info.card_data
    if card is not None:
        license = card.get("license_name") or card.get("license") or license
    counted = getattr(info.safetensors, "total", None) if info.safetensors is not None else None
    return Repository(
        repo=str(info.id),
        commit=str(info.sha),
        license=license if isinstance(license, str) else None,
        gated=bool(info.gated),
        tags=tags,
        created=info.created_at,
        parameters=int(counted) if counted else None,
        files=tuple(File(item.rfilename, item.size) for item in info.siblings or []),
    )


def config(found: Repository, folder: Path) -> Path | None:
    """Its config.json, fetched into `folder`; None when it has none or its owner wants terms accepted first."""
    if not any(file.name == "config.json" for file in found.files):
        return None
    hub = library()
    from huggingface_hub import errors

    with hub_errors(found.repo):
        try:
            path = hub.hf_hub_download(
                found.repo, "config.json", revision=found.commit, local_dir=folder, endpoint=endpoint()
            )
        except errors.GatedRepoError:
            return None
    return Path(path)


def library() -> Any:
    """The `huggingface-hub` library. Raises `MissingExtraError`."""
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtraError("asking a hub", "local") from None
    return huggingface_hub


@contextmanager
def hub_errors(
    what: str, failed: type[FreeholdError] = UpstreamError, *, way_out: str = SYNCED
) -> Iterator[None]:
    """Turn the library's errors into freehold's, with a way out; `failed` is that of a hub that gives no answer."""
    library()
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise failed("HF_HUB_OFFLINE forbids asking the hub", hint=way_out) from None
    except errors.GatedRepoError:
        raise WeightsError(
            f"{what} is gated: its owner wants terms accepted first",
            hint="accept them on the model's page, set HF_TOKEN to a token of that account, pull again",
        ) from None
    except errors.LocalEntryNotFoundError:
        raise _unreachable(what, failed, way_out) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError):
        raise UnknownModelError(
            f"{endpoint()} has no {what} (or it is private)",
            hint="check the spelling; a private one needs HF_TOKEN",
        ) from None
    except errors.HFValidationError:
        raise UnknownModelError(f"{what!r} is not the name of a repository", hint="ORG/NAME") from None
    except errors.HfHubHTTPError as error:
        raise failed(
            f"{endpoint()} answered with an error for {what}: {str(error).splitlines()[0]}"
        ) from None
    except Exception as error:
        # The library's HTTP client changed its name between versions; its error names did not.
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & {"TransportError", "ConnectionError", "TimeoutError"}:
            raise _unreachable(what, failed, way_out) from None
        raise


def _unreachable(what: str, failed: type[FreeholdError], way_out: str) -> FreeholdError:
    return failed(
        f"{endpoint()} cannot be reached for {what}", hint=f"check the network and HF_ENDPOINT; {way_out}"
    )
