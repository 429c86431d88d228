"""The OpenAPI document of the gateway's own API, made from the records its handlers read and write.

Published as `docs/reference/openapi.json` with each release instead of by the gateway itself: a gateway tells nothing
of itself to those who only reach its port. `tests/gateway/test_openapi.py` holds that every path the gateway answers
itself is in it, and asks a real gateway by it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from freehold import __version__
from freehold.gateway.feedback import FeedbackBody

_REF = "#/components/schemas/{name}"
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ERRORS = {
    400: "the request is not of the form described here",
    401: "no key, or one that is not known",
    403: "the role of the key does not allow it, or no key is in force",
    404: "there is no such thing",
    405: "the path has no such method",
    409: "it was changed meanwhile, is there already, another route answers the same requests, or there is no store",
    413: "the body is too large",
    503: "the store cannot be reached, or the gateway is starting; try again",
}


class KeptFeedback(msgspec.Struct):
    trace_id: str
    kept: bool


class ErrorBody(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class ApiErrorAnswer(msgspec.Struct):
    """As OpenAI spells errors."""

    error: ErrorBody


class Health(msgspec.Struct):
    status: str


class Readiness(msgspec.Struct):
    status: str
    endpoints: dict[str, bool]


class ListedModel(msgspec.Struct):
    id: str
    object: str
    created: int
    owned_by: str


class ListedModels(msgspec.Struct):
    object: str
    data: list[ListedModel]


_KINDS = (
    FeedbackBody, KeptFeedback, ApiErrorAnswer,
    Health, Readiness, ListedModel, ListedModels,
)  # fmt: skip

_EXAMPLES: dict[type, Any] = {
    FeedbackBody: {"trace_id": "01a217e8-0000-7000-8000-000000000000", "thumb": "down", "gold": "on its way"},
}


def document() -> dict[str, Any]:
    """The whole document."""
    _, schemas = msgspec.json.schema_components(_KINDS, ref_template=_REF)
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    name["example"] = "support"
    paths = {
        "/": {"get": _operation("A line that says where to ask", _TEXT)},
        "/health": {"get": _operation("The process is alive", _json(Health))},
        "/ready": {
            "get": _operation(
                "Every endpoint answers; 503 names those that do not",
                _json(Readiness),
                also={503: {"description": "an endpoint does not answer", "content": _json(Readiness)}},
            )
        },
        "/metrics": {"get": _operation("Numbers in Prometheus's text format", _TEXT)},
        "/attribution": {"get": _operation("What the models' licences ask to be shown", _TEXT, 401, 503)},
        "/v1/models": {"get": _operation("Names a client may ask for", _json(ListedModels), 401, 503)},
        "/v1/models/{name}": {
            "parameters": [name],
            "get": _operation("One of these names", _json(ListedModel), 401, 404, 503),
        },
        "/freehold/v1/feedback": {
            "post": _operation(
                "Say what an answer should have been",
                _json(KeptFeedback),
                400,
                401,
                404,
                409,
                413,
                503,
                body=FeedbackBody,
            )
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "freehold gateway",
            "version": __version__,
            "description": "What the gateway answers itself, beside the model APIs it forwards (their makers describe "
            "those). Where keys are in force, they need any key.",
        },
        "security": [{"bearer": []}, {"header": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": schemas,
        },
    }


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _json(kind: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}


def _operation(
    summary: str,
    content: dict[str, Any],
    *errors: int,
    body: type | None = None,
    also: dict[int, Any] | None = None,
) -> dict[str, Any]:
    answers = {"200": {"description": "as asked", "content": content}}
    answers |= {
        str(code): {"description": _ERRORS[code], "content": _json(ApiErrorAnswer)} for code in errors
    }
    answers |= {str(code): answer for code, answer in (also or {}).items()}
    operation: dict[str, Any] = {"summary": summary, "responses": answers}
    if body is not None:
        content = _json(body)
        content["application/json"]["example"] = _EXAMPLES[body]
        operation["requestBody"] = {"required": True, "content": content}
    return operation
