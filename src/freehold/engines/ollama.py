"""The Ollama engine: a model of a running Ollama, with the context set and adapters attached.

Ollama decides a model's context by its ``num_ctx``, which no OpenAI request can set, and cuts prompts that are
longer silently. So a model of freehold's own is made from the requested one (a few bytes: the weights are shared)
with ``num_ctx`` as planned, and after the first answer Ollama is asked what context it really loaded.

Covered: version, context, adapters (one model each), removal of what was made. Not covered: an error for a prompt
over the context. Ollama cuts; the gateway in front refuses.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any

import anyio
import msgspec

from freehold.engines import supervisor
from freehold.engines.constraints import held
from freehold.engines.engine import ConnectedEngine, Presence, RunningEngine, read_options
from freehold.engines.weights.store import format_of
from freehold.errors import EngineError, InputError, UpstreamError
from freehold.late import aiohttp
from freehold.settings import Settings
from freehold.types.endpoint import AdapterMount, Capabilities, Endpoint, ServedModel, ServePlan
from freehold.types.engine import ENGINE_KINDS

log = logging.getLogger(__name__)

OLDEST_VERSION = (0, 5, 5)
"""The first with ``from``, ``adapters`` and ``parameters`` in its create call (documented in its docs/api.md)."""
DEFAULT_PORT = 11434
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
SECONDS = 600.0


class OllamaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`base_url` of the running Ollama (default: ``OLLAMA_HOST``). `model` is its name there, when it differs
    from the plan's. With `pull` a model that is not there is pulled. `keep` leaves the made models behind.
    """

    base_url: str | None = None
    model: str | None = None
    pull: bool = False
    keep: bool = False

    @property
    def url(self) -> str:
        found = (self.base_url or os.environ.get("OLLAMA_HOST") or DEFAULT_URL).strip().rstrip("/")
        if "://" not in found:  # an address as Ollama itself takes it: host, port or both
            host, colon, port = found.rpartition(":") if re.search(r":\d+$", found) else (found, "", "")
            found = f"http://{host or '127.0.0.1'}:{port if colon else DEFAULT_PORT}"
        return found.replace("://0.0.0.0", "://127.0.0.1")


ADAPTER_CONFIG = "adapter_config.json"


LOOK_SECONDS = 1.0


class OllamaEngine:
    """A connection to an Ollama that was started elsewhere."""

    kind = ENGINE_KINDS["ollama"]

    def presence(self, settings: Settings) -> Presence:
        url = OllamaOptions().url
        answers = anyio.run(
            functools.partial(supervisor.is_alive, f"{url}/api/version", seconds=LOOK_SECONDS)
        )
        note = f"{'an' if answers else 'no'} Ollama answers at {url} (OLLAMA_HOST)"
        return Presence(available=answers, note=note)

    def require(self, options: dict[str, Any], settings: Settings) -> None:
        read_options(options, OllamaOptions, "ollama")

    def check(self, plan: ServePlan, settings: Settings) -> None:
        taught = next((one.name for one in plan.adapters if one.chat_template is not None), None)
        if taught is not None:
            raise EngineError(
                f"adapter {taught} was taught its calls with a chat template of its own, which Ollama is not given",
                hint="serve it with llama.cpp or vLLM",
            )
        read_options(plan.options, OllamaOptions, "ollama")
        for mount in plan.adapters:
            for file in adapter_files(mount):
                if file.name != ADAPTER_CONFIG:
                    format_of(file)
                elif _is_dora(file):
                    raise EngineError(
                        f"adapter {mount.name} is a DoRA adapter, which Ollama would serve as something else",
                        hint="merge it into its base (PEFT: merge_and_unload, save_pretrained), and serve that folder",
                    )

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        options = read_options(plan.options, OllamaOptions, "ollama")
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(base_url=options.url, timeout=timeout) as http:
            ollama = _Ollama(http, options.url)
            await ollama.check_version()
            model = options.model or plan.model
            shown = await ollama.show(model, pull=options.pull)
            longest = _context_length(shown)
            if longest is not None and plan.context_tokens > longest:
                raise EngineError(
                    f"{model} has a context of {longest} tokens, {plan.context_tokens} were asked for",
                    hint=f"ask for {longest} or fewer",
                )
            _check_bases(plan, model, shown)
            made: list[str] = []
            try:
                served = await _make(ollama, plan, model, name, made)
                await _prove(ollama, options.url, served[0].upstream_name, plan.context_tokens)
            except BaseException:
                for one in made:
                    log.info("removing %s from Ollama: it did not start", one)
                    await ollama.delete(one)
                raise
        log.info(
            "%s: Ollama at %s serves %s", name, options.url, ", ".join(one.upstream_name for one in served)
        )
        abilities = shown.get("capabilities") or []
        endpoint = Endpoint(
            name=name,
            engine="ollama",
            base_url=options.url,
            models=tuple(served),
            capabilities=Capabilities(
                tools="tools" in abilities,
                json_schema=True,
                adapters=True,
                embeddings="embedding" in abilities,
            ),
            context_tokens=plan.context_tokens,
        )
        return ConnectedEngine(
            endpoint, None if options.keep else functools.partial(_remove, options.url, made)
        )


async def _remove(url: str, models: list[str]) -> None:
    """What was made is removed at the end; Ollama itself goes on."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(base_url=url, timeout=timeout) as http:
        ollama = _Ollama(http, url)
        for model in models:
            try:
                await ollama.delete(model)
            except EngineError as error:
                log.info("Ollama cannot be asked to remove %s: %s", model, error.message)
                return  # it has gone, and with it what could be removed


async def _make(
    ollama: _Ollama, plan: ServePlan, model: str, name: str, made: list[str]
) -> list[ServedModel]:
    """The base and each adapter as a model with the planned context."""
    served = []
    mounts: list[AdapterMount | None] = [None, *plan.adapters]
    for mount in mounts:
        public = plan.model if mount is None else mount.name
        ours = f"freehold-{re.sub(r'[^a-z0-9]+', '-', f'{name}-{public}'.lower()).strip('-')}:{plan.context_tokens}"
        adapters = {}
        for file in adapter_files(mount) if mount is not None else []:
            adapters[file.name] = await ollama.upload(file)
        await ollama.create(ours, model, plan.context_tokens, adapters)
        made.append(ours)
        adapter_id = mount.adapter_id if mount is not None else None
        served.append(held(ServedModel(name=public, upstream_name=ours, adapter_id=adapter_id), plan))
    return served


async def _prove(ollama: _Ollama, url: str, model: str, context_tokens: int) -> None:
    """A real completion, then the context that was really loaded."""
    try:
        await supervisor.ask_completion(url, model, seconds=SECONDS)
    except (supervisor.ProbeError, aiohttp.ClientError, TimeoutError) as error:
        raise EngineError(f"Ollama does not answer with {model}: {error}") from None
    loaded = await ollama.loaded_context(model)
    if loaded is not None and loaded < context_tokens:
        raise EngineError(
            f"Ollama loaded {model} with a context of {loaded} tokens, {context_tokens} were asked for: "
            "longer prompts would be cut silently",
            hint="give it more memory (OLLAMA_KV_CACHE_TYPE=q8_0, OLLAMA_NUM_PARALLEL=1), or ask for less",
        )


def adapter_files(mount: AdapterMount) -> list[Path]:
    """The files of an adapter: its GGUF, else its safetensors with the configuration that says how to scale them.

    Raises `InputError` when there is neither.
    """
    path = Path(mount.path)
    if not path.is_dir():
        return [path]
    if found := sorted(path.glob("*.gguf")):
        return found[:1]
    config = path / ADAPTER_CONFIG
    if found := sorted(path.glob("*.safetensors")):
        if not config.is_file():
            raise InputError(f"the adapter {mount.name} has no {ADAPTER_CONFIG} here", path=str(path))
        return [config, found[0]]
    raise InputError(f"the adapter {mount.name} has neither GGUF nor safetensors here", path=str(path))


def _check_bases(plan: ServePlan, model: str, shown: dict[str, Any]) -> None:
    """Raise `EngineError` for an adapter that was trained on other weights than Ollama has under this name.

    Ollama names a blob by its hash, and the Modelfile it shows says from which blob a model is.
    """
    found = re.search(
        r"^FROM\s.*sha256[-:]([0-9a-f]{64})\s*$", str(shown.get("modelfile") or ""), re.MULTILINE
    )
    if found is None:
        return
    for mount in plan.adapters:
        if mount.base_sha256 and mount.base_sha256 != found.group(1):
            raise EngineError(
                f"adapter {mount.name} was trained on weights with sha256 {mount.base_sha256}, "
                f"Ollama's {model} has {found.group(1)}",
                hint="freehold models export NAME --as ollama writes the right base and a Modelfile for it",
            )


def _is_dora(config: Path) -> bool:
    try:
        return bool(msgspec.json.decode(config.read_bytes(), type=dict[str, Any]).get("use_dora"))
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"cannot be read: {error}", path=str(config)) from None


def _context_length(shown: dict[str, Any]) -> int | None:
    for key, value in (shown.get("model_info") or {}).items():
        if key.endswith(".context_length") and isinstance(value, int):
            return value
    return None


class _Ollama:
    """Ollama's own API, as documented."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def check_version(self) -> None:
        text = str((await self._ask("GET", "/api/version")).get("version", ""))
        numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
        if numbers and numbers < OLDEST_VERSION:
            oldest = ".".join(map(str, OLDEST_VERSION))
            raise EngineError(f"Ollama {text} is too old", hint=f"update it: {oldest} or newer")

    async def show(self, model: str, *, pull: bool) -> dict[str, Any]:
        try:
            return await self._ask("POST", "/api/show", {"model": model})
        except _MissingError:
            if not pull:
                raise EngineError(
                    f"Ollama at {self._url} has no model {model}", hint=f"ollama pull {model}"
                ) from None
        log.info("Ollama has no %s, letting it pull that", model)
        await self._pull(model)
        return await self._ask("POST", "/api/show", {"model": model})

    async def _pull(self, model: str) -> None:
        """Let Ollama fetch a model, however long that takes: given up only when it says nothing for `SECONDS`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=SECONDS)
        body = {"model": model, "stream": True}
        try:
            async with self._http.post("/api/pull", json=body, timeout=timeout) as reply:
                async for line in reply.content:
                    told = msgspec.json.decode(line, type=dict[str, Any]) if line.strip() else {}
                    if "error" in told:
                        raise EngineError(
                            f"Ollama cannot pull {model}: {told['error']}",
                            hint="check the name, and its network",
                        )
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise EngineError(
                f"Ollama did not finish pulling {model}: {error or type(error).__name__}"
            ) from None

    async def create(self, model: str, base: str, context_tokens: int, adapters: dict[str, str]) -> None:
        body: dict[str, Any] = {
            "model": model,
            "from": base,
            "parameters": {"num_ctx": context_tokens},
            "stream": False,
        }
        if adapters:
            body["adapters"] = adapters
        await self._ask("POST", "/api/create", body)

    async def upload(self, file: Path) -> str:
        """Send a file unless it is there; returns its digest."""
        with file.open("rb") as source:
            digest = f"sha256:{hashlib.file_digest(source, 'sha256').hexdigest()}"
        async with self._http.head(f"/api/blobs/{digest}") as reply:
            if reply.status == 200:
                return digest
        with file.open("rb") as source:
            async with self._http.post(f"/api/blobs/{digest}", data=source) as reply:
                if reply.status not in (200, 201):
                    raise EngineError(f"Ollama refused {file.name}: status {reply.status}")
        return digest

    async def loaded_context(self, model: str) -> int | None:
        """The context a loaded model has (``/api/ps``); None where this version does not tell."""
        for row in (await self._ask("GET", "/api/ps")).get("models") or []:
            if row.get("name") == model or row.get("model") == model:
                context = row.get("context_length")
                return context if isinstance(context, int) else None
        return None

    async def delete(self, model: str) -> None:
        try:
            await self._ask("DELETE", "/api/delete", {"model": model})
        except _MissingError:
            return

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            async with self._http.request(method, path, json=body) as reply:
                data = await reply.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise EngineError(
                f"no Ollama answers at {self._url}", hint="ollama serve, or set OLLAMA_HOST to where it is"
            ) from None
        if reply.status == 404:
            raise _MissingError(path)
        if reply.status != 200:
            said = data[:200].decode(errors="replace")
            raise EngineError(f"Ollama answered {reply.status} to {path}: {said}")
        if not data:
            return {}
        try:
            return msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError:
            raise EngineError(f"Ollama's answer to {path} is not JSON", hint="is it an Ollama?") from None


class _MissingError(UpstreamError):
    """Ollama does not have this model."""


ENGINE = OllamaEngine()
