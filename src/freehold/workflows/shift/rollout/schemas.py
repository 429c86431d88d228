"""Before traffic moves: can the candidate's engine hold answers to the schemas that the traffic carries?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from freehold.engines.schemas import unenforced
from freehold.errors import UsageError
from freehold.store import Store
from freehold.types.endpoint import ServePlan
from freehold.types.engine import EngineName
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.workflows.serve.names import ENDPOINT_NAME

SEEN_TRACES = 2_000
_SHOWN = 3


def check_schemas(store: Store, route: Route) -> None:
    """Raises `UsageError` when the route's traffic promises what the engine of its candidate skips.

    Schemas are those the newest traces carry. What a remote endpoint can hold is its own to say.
    """
    if route.candidate is None or route.candidate.endpoint != ENDPOINT_NAME or not route.guard.schema:
        return
    plan = store.latest(ServePlan)
    if plan is None:
        return
    traces = (trace for trace in store.latest_traces(SEEN_TRACES) if trace.model == route.model)
    skipped_parts = skipped(traces, plan.engine)
    if skipped_parts:
        more = f" and {len(skipped_parts) - _SHOWN} more" if len(skipped_parts) > _SHOWN else ""
        raise UsageError(
            f"the engine {plan.engine} cannot hold answers to a schema of this traffic: "
            f"{'; '.join(skipped_parts[:_SHOWN])}{more}",
            hint="say it otherwise in the schema, serve with another engine, or let the gateway check each answer and "
            "leave broken ones to the incumbent: freehold rollout start --loose-schemas",
        )


def skipped(traces: Iterable[Trace], engine: EngineName) -> list[str]:
    """What an engine skips of the traces' schemas, each once."""
    schemas = {msgspec.json.encode(schema): schema for trace in traces for schema in _schemas(trace.request)}
    return list(dict.fromkeys(what for schema in schemas.values() for what in unenforced(schema, engine)))


def _schemas(request: dict[str, Any]) -> Iterator[Any]:
    """What answers must meet: the text's schema, and the parameters of tools that are called strictly."""
    form = request.get("response_format")
    if isinstance(form, dict) and isinstance(inner := form.get("json_schema"), dict):
        yield inner.get("schema")
    for tool in request.get("tools") or ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("strict"):
            yield function.get("parameters")
