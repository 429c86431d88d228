"""`freehold retirements`: when is the model I pay for shut down, and does the vendor still say so?"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal

from freehold.catalog import retirements as catalog
from freehold.catalog.retirements import Platform, Retirement
from freehold.errors import UpstreamError, UsageError
from freehold.signing.signer import OwnCredentials
from freehold.types.endpoint import Endpoint
from freehold.types.record import Record
from freehold.wire.base_url import joined
from freehold.workflows.project import Project

ASK_TIMEOUT_SECONDS = 15.0


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
    return RetirementNotice(
        model=model,
        platform="as asked",
        status="ended" if stated < today else "ends",
        shutdown=stated,
        days_left=(stated - today).days,
        source="the vendor's /v1/models",
        checked=today,
        stale=False,
        as_of=today,
        asked=stated,
    )


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
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"incumbent.base_url is {incumbent.base_url}, expected http(s)://…")
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
    try:
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 (checked above)
        for name, value in headers.items():
            # Not sent on where the answer redirects to: that may be another host.
            request.add_unredirected_header(name, value)
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_SECONDS) as response:  # noqa: S310 (the scheme is checked above)
            body = json.load(response)
    except urllib.error.HTTPError as error:
        error.close()
        raise UpstreamError(f"{url} answered {error.code}", hint="check the key") from None
    except (OSError, ValueError) as error:
        raise UpstreamError(f"{url} did not answer with a list of models: {error}") from None
    return dates_in(body)


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
