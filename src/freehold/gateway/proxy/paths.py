"""Paths of model APIs: other spellings of those that are spoken here, what one is called in counters, and which API it
belongs to. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

from freehold.gateway.proxy.translation import API_ROUTES, ApiRoute
from freehold.types.endpoint import Api, Endpoint
from freehold.wire.base_url import AZURE_RESPONSES, DEPLOYMENTS, VERSION, taken_apart, target
from freehold.wire.errors import ApiError

_PATH_LENGTH_MAX = 4096
# The first word of a path behind its version; what these are is said by the APIs' own references (OpenAI, Anthropic).
_WORDS = frozenset(
    (
        "assistants", "audio", "batches", "chat", "chatkit", "complete", "completions", "containers", "conversations",
        "embeddings", "evals", "files", "fine_tuning", "images", "messages", "models", "moderations", "organization",
        "organizations", "realtime", "rerank", "responses", "skills", "threads", "uploads", "vector_stores", "videos",
    )
)  # fmt: skip
_OWN = frozenset(("", "attribution", "health", "metrics", "ready"))
_ANTHROPICS = frozenset(("complete", "messages", "organizations", "skills"))
# What the owner's key is lent for. A list of what is allowed, in plain letters: what manages accounts, keys, people and
# money is named otherwise by each vendor, and servers differ in what they take for the same.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]*"
_ASKS = re.compile(
    r"/v1/(?:chat/completions|completions|complete|embeddings|moderations|rerank|realtime/calls|videos"
    r"|audio/(?:speech|transcriptions|translations)|images/(?:generations|edits|variations)"
    r"|responses(?:/compact|/input_tokens)?|messages(?:/count_tokens)?)"
    rf"|(?:/openai/deployments/{_NAME}/(?:chat/completions|completions|embeddings|audio/\w+|images/\w+)|/openai/responses)"
    rf"|/v1(?:beta|alpha)/(?:{_NAME}/)+{_NAME}:(?:(?:streamG|g)enerate|embed|batchEmbed|count|predict)\w*"
)
_LISTS = re.compile(rf"(?:/v1(?:beta|alpha)?|/openai)/models(?:/(?:{_NAME}|%2[Ff]|/)+)?")
# What clients leave with the vendor: all that have the owner's key see it.
_STORED = re.compile(
    r"(?:/v1|/openai|(?:/(?:upload|download))?/v1(?:beta|alpha))/(?:assistants|batches|cachedContents|chat/completions"
    r"|containers|conversations|evals|files|fine_tuning/jobs|messages/batches|models|responses|skills|threads|uploads"
    rf"|vector_stores|videos)(?:/{_NAME})*"
)
# https://ai.google.dev/api (methods of models, files and uploads; read 2026-11-27).
_GEMINI = re.compile(r"/(?:(?:upload|download)/)?v1(?:beta|alpha)(?:/|$)|/v1/\w+/[^/]+:\w+$")
# https://docs.aws.amazon.com/bedrock/latest/APIReference (read 2026-11-29): what asks a model, and what counts for it.
_BEDROCK = re.compile(
    r"/model/[^/]+(?:/[^/]+)*/(?:invoke|invoke-with-response-stream|converse|converse-stream|count-tokens)$"
)
_GEMINI_METHOD = re.compile(r":(?:generate|streamGenerate|embed|batch|async|count|predict)\w*$")
_AZURE_CHAT = re.compile(re.escape(DEPLOYMENTS) + r"([^/]+)(/chat/completions|/completions|/embeddings)")
_BEDROCKS = "/model/"
_MODELS, _SLASH = f"{VERSION}/models/", re.compile("%2f", re.IGNORECASE)
_UNCLEAR = re.compile(r"%2e|%2f|%5c|\\|//|/\.\.?(?:/|$)|[^\x21-\x7e]|#", re.IGNORECASE)


def spelled_out(path: str, endpoint: Endpoint | None) -> str:
    """A path as this gateway spells it, with ``/v1`` in front and no slash at its end.

    Other spellings: without the version, and with what the base URL of the endpoint that others go to has in its place
    (an application that changed the host alone).
    """
    bare = path.rstrip("/") or "/"
    if endpoint is not None:
        prefix = taken_apart(endpoint.base_url, endpoint.api).prefix
        named = prefix.startswith(DEPLOYMENTS) or prefix in ("", VERSION)
        if not named and (bare == prefix or bare.startswith(prefix + "/")):
            return VERSION + bare[len(prefix) :]
    if bare[1:].partition("/")[0] in _WORDS:
        return VERSION + bare
    return bare


def model_route(path: str) -> ApiRoute | None:
    """The way to a model that a path (`spelled_out`) stands for, Azure's by the name of a deployment included."""
    route = API_ROUTES.get(path)
    if route is None and (named := _AZURE_CHAT.fullmatch(path)) is not None:
        native = f"{DEPLOYMENTS}{{model}}{named[2]}"
        route = API_ROUTES[VERSION + named[2]]._replace(model=unquote(named[1]), native=native)
    elif path == AZURE_RESPONSES:
        route = API_ROUTES[VERSION + "/responses"]._replace(native=path)
    return route


def path_class(path: str) -> str:
    """What a path (`spelled_out`) is called in counters: one of few words, whatever a client asks."""
    first, _, rest = path[1:].partition("/")
    if first in _OWN:
        return "page"
    if first == "freehold":
        return "admin"
    if _GEMINI_METHOD.search(path) or first in ("v1beta", "v1alpha", "upload", "download"):
        return "gemini"
    if first == "openai":
        return "azure"
    if first == "model":
        return "bedrock"
    word = rest.partition("/")[0]
    if first != "v1" or word not in _WORDS:
        return "other"
    if word == "messages" and rest.startswith("messages/batches"):
        return "message_batches"
    return word


def check_lent(endpoint: Endpoint, method: str, path: str, *, stored: bool) -> None:
    """Raise `ApiError` (403) for what the endpoint's own key is not lent for: all but asking models, and where clients
    need not be kept apart (`stored`), what they leave with the vendor. `path` is as it is spelled out."""
    if not endpoint.has_own_key or (endpoint.dialect == "bedrock" and _BEDROCK.match(path)):
        return
    allowed = _LISTS if method == "GET" else _ASKS if method == "POST" else None
    if (allowed is not None and allowed.fullmatch(path)) or (stored and _STORED.fullmatch(path)):
        return
    shared = _STORED.fullmatch(path) is not None
    why = (
        "what is stored there is seen by all keys: a key with the role admin may"
        if shared
        else "for models alone"
    )
    raise ApiError(
        403,
        f"the key that this gateway holds is not lent for {method} {path[:200]}; {why}",
        code="not_passed_on",
    )


def place_at(endpoint: Endpoint, path: str, asked: str, *, speaks: Api) -> str:
    """Where the endpoint that others go to has a path: `asked` as it came, `path` as it is spelled out.

    `speaks` is the API whose client asks, as its headers tell. Raises `ApiError` for a path that is not of this
    endpoint's API, or that two readers would read differently.
    """
    # Clients write a slash in a model's name encoded; the vendor reads it as one, and so it is looked at here.
    read = _SLASH.sub("/", asked) if path.startswith((_MODELS, _BEDROCKS)) else asked
    if len(asked) > _PATH_LENGTH_MAX or _UNCLEAR.search(read):
        raise ApiError(
            400, "this path is not passed on: it can be read in more than one way", code="unclear_path"
        )
    word = path.split("/")[2] if path.startswith(VERSION + "/") else ""
    slash = "/" if asked.endswith("/") else ""
    if endpoint.dialect == "gemini" and _is_geminis(path):
        return asked
    if endpoint.dialect == "bedrock" and _BEDROCK.match(path):
        return asked
    if endpoint.dialect == "azure" and path.startswith("/openai/"):
        said = taken_apart(endpoint.base_url).query
        return f"{asked}?{said}" if said else asked
    if word and not _is_geminis(path) and _speaks(word, speaks) == endpoint.api:
        return target(endpoint.base_url, path + slash, api=endpoint.api)
    raise unknown(asked, "the incumbent's API has no such path")


def _is_geminis(path: str) -> bool:
    return path_class(path) == "gemini" and _GEMINI.match(path) is not None


def _speaks(word: str, speaks: Api) -> Api:
    """Whose a path is: some words are of one API only, others of the API whose client asks."""
    if word in _ANTHROPICS:
        return "anthropic"
    return speaks if word in ("files", "models") else "openai"


def unknown(path: str, why: str) -> ApiError:
    """Nothing answers here."""
    return ApiError(404, f"nothing is served at {path[:200]}: {why}", code="unknown_url")
