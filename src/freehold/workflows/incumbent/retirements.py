"""`freehold retirements`: when is the model I pay for shut down, and does the vendor still say so? And what an OpenAI
account has fine-tuned, and until when it runs: asked through the API, dated by the catalog.

Read of an account: ``/v1/models`` (what still answers, and the vendor's own `shutdown_date` where it gives one),
``/v1/fine_tuning/jobs`` (base, files, state), ``/v1/files/ID/content`` (the training file). Nothing is changed there.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold import files
from freehold.catalog import retirements as catalog
from freehold.catalog.retirements import Platform, Retirement
from freehold.errors import UpstreamError, UsageError
from freehold.signing.signer import OwnCredentials
from freehold.types.endpoint import Endpoint
from freehold.types.record import Record
from freehold.wire.base_url import joined
from freehold.workflows.project import Project


class RetirementNotice(Record, frozen=True, kw_only=True):
    """One model's end as of a day. `asked` is the date the vendor's own API gave, when it was asked. A model that is
    deprecated, or `gone`, without a published day has neither `shutdown` nor `days_left`. `counts` is False for a
    host's
    row (Azure, Vertex, Bedrock) where the id does not name the host and its maker serves the model."""

    model: str
    platform: str
    status: Literal["ended", "gone", "ends", "deprecated"]
    shutdown: date | None
    days_left: int | None
    source: str
    checked: date
    stale: bool
    counts: bool = True
    as_of: date | None = None
    replacement: str | None = None
    fine_tunes: str | None = None
    announced: date | None = None
    asked: date | None = None
    asked_as: str | None = None

    def fails(self, within_days: int) -> bool:
        """Is the model gone, or will it be within that many days?"""
        return self.counts and (
            self.status == "gone" or (self.days_left is not None and self.days_left <= within_days)
        )


def notices(
    models: tuple[str, ...] = (),
    *,
    as_of: date | None = None,
    within_days: int | None = None,
    platform: Platform | None = None,
    asked: dict[str, date] | None = None,
) -> list[RetirementNotice]:
    """Ends of `models` (default: all that are still to come), soonest first, those without a day last.

    `asked` are dates from `ask`; they win over the catalog's.
    """
    today = as_of or datetime.now(UTC).date()
    asked = asked or {}
    found: list[RetirementNotice] = []
    if models:
        for model in models:
            found.extend(_of_model(model, today, platform, asked))
    else:
        found = [
            _notice(row, today, None, asked.get(row.model))
            for row in catalog.rows()
            if (platform is None or row.platform == platform) and row.days_left(today) >= 0
        ]
    if within_days is not None:
        found = [one for one in found if one.days_left is None or one.days_left <= within_days]
    return sorted(found, key=lambda one: (one.shutdown or date.max, one.model, one.platform))


def _of_model(
    model: str, today: date, platform: Platform | None, asked: dict[str, date]
) -> Iterator[RetirementNotice]:
    rows = catalog.find(model, platform)
    meant = catalog.meant(model, platform)
    name, _ = catalog.plain_id(model)
    stated = asked.get(model) or asked.get(name)
    if stated is not None and not rows:
        yield _unlisted(model, stated, today)
    for row in rows:
        yield _notice(row, today, model, stated, counts=row in meant)
    undated = catalog.undated(model, platform)
    if undated is not None and stated is None:
        yield RetirementNotice(
            model=undated.model,
            platform=undated.platform,
            status="gone" if undated.retired else "deprecated",
            shutdown=None,
            days_left=None,
            source=undated.source,
            checked=undated.checked,
            stale=False,
            as_of=undated.as_of,
            replacement=undated.replacement,
            announced=undated.deprecated,
            asked_as=model if model != undated.model else None,
        )


def elsewhere(model: str, *, as_of: date | None = None) -> list[RetirementNotice]:
    """Shutdowns of the same model on other platforms than the one its id or `--platform` names."""
    name, _ = catalog.plain_id(model)
    return notices((name,), as_of=as_of)


def _notice(
    row: Retirement, today: date, asked_as: str | None, stated: date | None, *, counts: bool = True
) -> RetirementNotice:
    stated = None if row.platform in catalog.HOSTS else stated
    shutdown = stated or row.shutdown
    return RetirementNotice(
        model=row.model,
        platform=row.platform,
        status="ended" if shutdown < today else "ends",
        shutdown=shutdown,
        days_left=(shutdown - today).days,
        source="the vendor's /v1/models" if stated else row.source,
        checked=today if stated else row.checked,
        stale=False if stated else row.is_stale(today),
        counts=counts,
        as_of=today if stated else row.as_of,
        replacement=row.replacement,
        fine_tunes=row.fine_tunes,
        announced=row.announced,
        asked=stated,
        asked_as=asked_as if asked_as != row.model else None,
    )


def _unlisted(model: str, stated: date, today: date) -> RetirementNotice:
    """Of a model that the vendor's API gives a day, and the catalog none."""
    row = Retirement(
        model=model, vendor="", platform="openai", shutdown=stated, source="", as_of=today, checked=today
    )
    return msgspec.structs.replace(_notice(row, today, None, stated), platform="as asked")


def ask(project: Project) -> dict[str, date]:
    """Ask the incumbent's own ``/v1/models`` for `shutdown_date`: model id → date.

    Raises `UsageError` without an incumbent or its key, `UpstreamError` when it does not answer as expected.
    """
    incumbent = project.config.incumbent
    if incumbent is None or incumbent.base_url is None:
        raise UsageError(
            "no incumbent with a base_url to ask",
            hint="[incumbent] base_url and api_key_env in freehold.toml",
        )
    url = joined(incumbent.base_url, "/v1/models", api=incumbent.api)
    if incumbent.api == "anthropic":
        url += "?limit=1000"  # its list comes in pages of twenty
    headers = OwnCredentials(
        Endpoint(
            name="incumbent",
            engine="remote",
            base_url=incumbent.base_url,
            api=incumbent.api,
            api_key_env=incumbent.api_key_env,
            credentials=incumbent.credentials,
        )
    ).headers_now("GET", url)
    return dates_in(_json(url, headers, attempts=1))


def can_ask(project: Project) -> bool:
    """Whether the incumbent can be asked without being told to: its address and its key are there, and
    FREEHOLD_OFFLINE is not set."""
    incumbent = project.config.incumbent
    return (
        not project.settings.offline
        and incumbent is not None
        and incumbent.base_url is not None
        and incumbent.api_key_env is not None
        and bool(os.environ.get(incumbent.api_key_env))
    )


def dates_in(body: Any) -> dict[str, date]:
    """Shutdown dates in a `/v1/models` answer: model id → date. What cannot be read is left out."""
    found: dict[str, date] = {}
    entries = body.get("data") if isinstance(body, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            continue
        value = entry.get("shutdown_date")
        if isinstance(value, str):
            try:
                found[entry["id"]] = date.fromisoformat(value[:10])
            except ValueError:  # not a date
                continue
        elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
            found[entry["id"]] = datetime.fromtimestamp(value, UTC).date()
    return found


TIMEOUT_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 120.0
"""The longest that an API's own ``Retry-After`` is waited for."""
_ATTEMPTS = 3
_PAGE = 100
_CHUNK_BYTES = 1 << 20


class FineTune(Record, frozen=True, kw_only=True):
    """One fine-tuned model. `answers` says whether ``/v1/models`` lists it; `shutdown` is None where no date is
    known, which promises nothing. The files are ids of the API."""

    model: str
    base: str
    answers: bool
    finished: date | None = None
    job: str | None = None
    training_file: str | None = None
    validation_file: str | None = None
    trained_tokens: int | None = None
    shutdown: date | None = None
    days_left: int | None = None
    source: str | None = None


class Account:
    """The read-only calls on one API. Raises `UsageError` without the key the environment should hold."""

    def __init__(
        self, base_url: str, api_key_env: str, *, wait: Callable[[float], None] = time.sleep
    ) -> None:
        key = os.environ.get(api_key_env)
        if not key:
            raise UsageError(
                f"environment variable {api_key_env} is not set",
                hint="it holds the API key; without one, give the fine-tuning file: freehold rescue FILE",
            )
        self._base = joined(base_url, "/v1")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._wait = wait

    def fine_tunes(self, *, as_of: date | None = None) -> list[FineTune]:
        """Fine-tuned models of the account, soonest shutdown first, those without a date last."""
        today = as_of or datetime.now(UTC).date()
        models = self._json("/models")
        stated = dates_in(models)
        listed = {entry["id"] for entry in _entries(models) if isinstance(entry.get("id"), str)}
        found: dict[str, FineTune] = {}
        for job in self._pages("/fine_tuning/jobs"):
            model = job.get("fine_tuned_model")
            if isinstance(model, str) and model and job.get("status") == "succeeded":
                found[model] = FineTune(
                    model=model,
                    base=str(job.get("model") or catalog.plain_id(model)[0]),
                    answers=model in listed,
                    finished=_day(job.get("finished_at")),
                    job=_text(job.get("id")),
                    training_file=_text(job.get("training_file")),
                    validation_file=_text(job.get("validation_file")),
                    trained_tokens=job.get("trained_tokens")
                    if isinstance(job.get("trained_tokens"), int)
                    else None,
                )
        # Jobs may be forgotten, or belong to another project; their models are still listed.
        for model in sorted(listed):
            if model.startswith("ft:") and model not in found:
                found[model] = FineTune(model=model, base=catalog.plain_id(model)[0], answers=True)
        dated = [_dated(one, stated, today) for one in found.values()]
        return sorted(dated, key=lambda one: (one.shutdown or date.max, one.model))

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Every entry of a list of the API, page by page: ``/fine_tuning/jobs``. Raises `UpstreamError`."""
        after: str | None = None
        while True:
            asked = {"limit": str(_PAGE)} | ({"after": after} if after else {})
            page = self._json(f"{path}?{urllib.parse.urlencode(asked)}")
            found = _entries(page)
            yield from found
            last = _text(found[-1].get("id")) if found else None
            if not page.get("has_more") or last is None or last == after:
                return
            after = last

    def download(self, file_id: str, path: Path) -> Path:
        """A file's content, written in one step. Raises `UpstreamError` and `StorageError`."""
        content = f"{self._base}/files/{urllib.parse.quote(file_id)}/content"
        with files.writing(f"{path}: cannot be written", hint="free some space, then run it again"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                files.replacing(path) as partial,
                _opened(content, self._headers, attempts=_ATTEMPTS, wait=self._wait) as body,
                partial.open("wb") as out,
            ):
                while chunk := body.read(_CHUNK_BYTES):
                    out.write(chunk)
        return path

    def _json(self, path: str) -> dict[str, Any]:
        return _json(self._base + path, self._headers, wait=self._wait)


def _json(
    url: str,
    headers: dict[str, str],
    *,
    attempts: int = _ATTEMPTS,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    with _opened(url, headers, attempts=attempts, wait=wait) as body:
        try:
            found = json.load(body)
        except ValueError as error:
            raise UpstreamError(f"{url} did not answer with JSON: {error}") from None
    if not isinstance(found, dict):
        raise UpstreamError(f"{url} answered with {type(found).__name__}, expected an object")
    return found


def _opened(url: str, headers: dict[str, str], *, attempts: int, wait: Callable[[float], None]) -> Any:
    """What a GET is answered with, asked again where that may help. Raises `UsageError` and `UpstreamError`."""
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"the API's address is {url}, expected http(s)://…")
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 (checked above)
    for name, value in headers.items():
        # Not sent on where the answer redirects to: that may be another host.
        request.add_unredirected_header(name, value)
    for attempt in range(attempts):
        last = attempt == attempts - 1
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 (the scheme is checked above)
        except urllib.error.HTTPError as error:
            error.close()
            if last or error.code not in (429, 500, 502, 503, 504):
                raise UpstreamError(f"{url} answered {error.code}", hint=_hint(error.code)) from None
            asked = error.headers.get("Retry-After", "")
        except OSError as error:
            if last:
                raise UpstreamError(f"{url} cannot be reached: {error}", hint="try again later") from None
            asked = ""
        wait(min(float(asked), LONGEST_WAIT_SECONDS) if asked.isdecimal() else 2.0**attempt)
    raise AssertionError("the last attempt returns or raises")


def _hint(code: int) -> str:
    if code in (401, 403):
        return "check that the key is right and may read models, files and fine-tuning jobs"
    return "the file or list is not there (any more)" if code == 404 else "try again later"


def _dated(one: FineTune, stated: dict[str, date], today: date) -> FineTune:
    """With its shutdown: the vendor's own answer first, then the catalog's row for its base."""
    row = catalog.retirement_of(one.model)
    shutdown = stated.get(one.model) or (row.shutdown if row else None)
    if shutdown is None:
        return one
    source = (
        "the vendor's /v1/models"
        if one.model in stated
        else f"{row.source}, read {row.checked}"
        if row
        else None
    )
    return msgspec.structs.replace(one, shutdown=shutdown, days_left=(shutdown - today).days, source=source)


def _entries(page: dict[str, Any]) -> list[dict[str, Any]]:
    data = page.get("data")
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _day(value: Any) -> date | None:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return datetime.fromtimestamp(value, UTC).date()
    return None
