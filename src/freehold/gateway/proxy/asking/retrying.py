"""How often an endpoint is asked again, and which of its errors go to the client although it could be."""

from __future__ import annotations

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import UpstreamResponse
from freehold.gateway.proxy import deferral
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.state import WorkerState


def retries(state: WorkerState, exchange: ProxyExchange) -> int:
    """How often the last target may be asked again."""
    own = None if exchange.route is None else exchange.route.waits.retries
    return state.config.retries if own is None else own


def is_the_clients_to_repeat(exchange: ProxyExchange, request: Request, response: UpstreamResponse) -> bool:
    """Whether an error goes to the client although it could be asked again: after a long wait; or by the client, each
    of whose tries would else be asked as often again. While the candidate may answer instead, it is asked again here.
    """
    tries_itself = request.first_values.get("x-stainless-retry-count") is not None
    return _wants_a_long_wait(response) or (tries_itself and not deferral.may_answer_instead(exchange))


def _wants_a_long_wait(response: UpstreamResponse) -> bool:
    wait = response.header("retry-after")
    return wait is not None and (not wait.isdecimal() or int(wait) > 1)
