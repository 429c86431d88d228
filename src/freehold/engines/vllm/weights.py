"""What vLLM is told (`ServePlan.options`) and given: a folder of safetensors with its configuration, adapters as PEFT
writes them, and which of its parsers understands the tool calls of a model, told by the marks its chat template
writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.engines.weights.convert import source_of
from freehold.engines.weights.store import format_of
from freehold.errors import EngineError, InputError
from freehold.types.endpoint import AdapterMount, ServePlan

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


class CacheShape(NamedTuple):
    """What the configuration says of the model. A number that is not there is None."""

    context_tokens: int | None
    kv_bytes_per_token: int | None


def read_shape(folder: Path) -> CacheShape:
    """Read ``config.json``. Raises `InputError` when it is not there or not JSON."""
    raw = _json(folder / CONFIG)
    text: dict[str, Any] = raw.get("text_config") or raw
    heads = text.get("num_attention_heads")
    per_head = text.get("head_dim") or (
        text["hidden_size"] // heads if heads and "hidden_size" in text else None
    )
    layers, kv_heads = text.get("num_hidden_layers"), text.get("num_key_value_heads") or heads
    known = all(isinstance(value, int) for value in (layers, kv_heads, per_head))
    # Keys and values, two bytes each: vLLM's cache has the model's own numbers, 16 bits wide on every engine here.
    bytes_per_token = 2 * 2 * layers * kv_heads * per_head if known else None  # type: ignore[operator]
    context = text.get("max_position_embeddings")
    return CacheShape(context if isinstance(context, int) else None, bytes_per_token)


def check_weights(plan: ServePlan, *, has_template: bool) -> CacheShape:
    """The model's shape, when the plan's folder can be served. Raises `EngineError` and `InputError`."""
    if plan.weights_path is None:
        raise EngineError(f"no weights are named for {plan.model}", hint=f"freehold models pull {plan.model}")
    folder = Path(plan.weights_path)
    if folder.is_file() and format_of(folder) == "gguf":
        raise EngineError(
            f"vLLM reads safetensors, and {folder} is GGUF",
            hint=f"freehold serve {plan.model} --set serve.engine=vllm converts it; or serve it by llamacpp",
        )
    if folder.is_file():
        raise EngineError(f"vLLM reads a folder, and {folder} is a file", hint=f"name {folder.parent}")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise EngineError(f"{folder} holds no safetensors", hint=f"freehold models pull {plan.model} --again")
    for file in files:
        format_of(file)
    shape = read_shape(folder)
    if shape.context_tokens is not None and plan.context_tokens > shape.context_tokens:
        raise EngineError(
            f"{plan.model} has a context of {shape.context_tokens} tokens, {plan.context_tokens} were asked for",
            hint=f"ask for {shape.context_tokens} or fewer: [serve] context_tokens = {shape.context_tokens}",
        )
    if not has_template and template_of(folder) is None:
        raise EngineError(
            f"{folder} carries no chat template, so messages cannot be turned into a prompt",
            hint='give one: [serve] options = { chat_template = "…" }, or use the instruct version',
        )
    return shape


def template_of(weights: str | Path | None) -> str | None:
    """The Jinja chat template a folder carries, in whichever of the three places; of several named ones the one for
    tools. None without one, and for what is not a folder here. Raises `InputError` for broken JSON."""
    if weights is None:
        return None
    folder = Path(weights)
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = _json(folder / name).get("chat_template") if (folder / name).is_file() else None
        if isinstance(found, list):
            named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
            found = named.get("tool_use") or named.get("default") or next(iter(named.values()), None)
        if isinstance(found, str) and found:
            return found
    return None


def adapter_folder(mount: AdapterMount) -> Path:
    """The folder PEFT wrote: the path, or the folder of the file it names (a GGUF next to them)."""
    path = Path(mount.path)
    return path if path.is_dir() else path.parent


def check_adapter(mount: AdapterMount, plan: ServePlan) -> int:
    """The adapter's rank, when vLLM can serve it on these weights.

    An adapter that names the hash of its base is refused on others; weights converted from that base are that base.
    Raises `EngineError` and `InputError`.
    """
    folder = adapter_folder(mount)
    config = _json(folder / ADAPTER_CONFIG)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise InputError(
            f"the adapter {mount.name} has no {ADAPTER_WEIGHTS}, which vLLM reads",
            path=str(folder),
            hint="name the folder that freehold train made",
        )
    format_of(folder / ADAPTER_WEIGHTS)
    if config.get("peft_type", "LORA") != "LORA":
        raise EngineError(f"adapter {mount.name} is {config['peft_type']}, and vLLM serves LoRA only")
    if config.get("use_dora"):
        raise EngineError(
            f"adapter {mount.name} is a DoRA adapter, which vLLM does not serve",
            hint="merge it into its base (PEFT: merge_and_unload, save_pretrained), and serve that folder",
        )
    known = {plan.weights_sha256, source_of(plan.weights_path)} - {None}
    if mount.base_sha256 and known and mount.base_sha256 not in known:
        raise EngineError(
            f"adapter {mount.name} was trained on weights with sha256 {mount.base_sha256}, "
            f"these have {plan.weights_sha256}",
            hint="serve the weights it was trained on, or train again on these",
        )
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    return max((rank for rank in ranks if isinstance(rank, int)), default=8)


def _json(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise InputError("no such file", path=str(file)) from None
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"cannot be read: {error}", path=str(file)) from None
    return found


KV_TYPES = {
    "f16": "auto",
    "bf16": "auto",
    "auto": "auto",
    "fp8": "fp8",
    "fp8_e4m3": "fp8_e4m3",
    "fp8_e5m2": "fp8_e5m2",
}
"""A plan's KV types and vLLM's (``--kv-cache-dtype``). llama.cpp's ``f16`` means: as the model's own numbers."""


class VllmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`python` is the interpreter of an environment that has vLLM (default: what `freehold engines install` made).

    Memory: `gpu_memory_utilization` is the share of a GPU that vLLM takes; `kv_cache_gib` sets the cache itself, on a
    GPU or on a CPU, where by default it holds `parallel` requests of full context. `tensor_parallel` splits each layer
    over that many GPUs.

    `max_adapters` is how many one batch may mix. `tool_parser` names vLLM's parser of a model's tool calls (default:
    the one whose marks the chat template writes; ``none`` for no tools). With `embeddings` it embeds instead of
    chatting. `chat_template` is Jinja text for weights that carry none.
    """

    python: str | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_gib: float | None = None
    tensor_parallel: int = 1
    max_adapters: int | None = None
    tool_parser: str | None = None
    embeddings: bool = False
    chat_template: str | None = None
    ready_seconds: float = 900.0


NONE = "none"
"""The option that switches tools off."""

# The first line whose marks are all in the template counts, so what is more particular stands first.
MARKS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("<minimax:tool_call>",), "minimax_m2"),
    (("<arg_key>",), "glm45"),
    (("<|tool_calls_section_begin|>",), "kimi_k2"),
    (("<｜tool▁calls▁begin｜>", "```json"), "deepseek_v3"),
    (("<｜tool▁calls▁begin｜>",), "deepseek_v31"),
    (("<|START_ACTION|>",), "cohere_command3"),
    (("[TOOL_CALLS]",), "mistral"),
    (("<|python_start|>",), "llama4_pythonic"),
    (("<|start_header_id|>", "ipython"), "llama3_json"),
    (("functools",), "phi4_mini_json"),
    (("<|tool_call_start|>",), "lfm2"),
    (("<function_calls>",), "olmo3"),
    (("<start_function_call>",), "functiongemma"),
    (("<|tool_call>",), "gemma4"),
    (("<|channel|>", "functions."), "openai"),
    (("<tool_calls>",), "jamba"),
    (("<|tool_call|>",), "granite"),
    (("<tool_call>", "<function="), "qwen3_coder"),
    (("<tool_call>", "<response>"), "ernie45"),
    (("<tool_call>",), "hermes"),
)


def parser_for(template: str | None) -> str | None:
    """vLLM's parser for a Jinja chat template; None where it teaches no tools, or in a way that is not known."""
    if template is None or "tools" not in template:
        return None
    return next((parser for marks, parser in MARKS if all(mark in template for mark in marks)), None)


HOLDS_CALLS = (0, 32)
"""The first vLLM that can be told to hold every call to its schema (``--tool-strict-level``)."""


def holds_calls(version: str) -> bool:
    """Whether a version of vLLM can be told so; one that is not known can."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return not numbers or numbers >= HOLDS_CALLS


def with_parser(options: VllmOptions, template: str | None) -> VllmOptions:
    """The options with the parser that will be used: the one asked for, none for `NONE`, else the template's.

    `template` is that of the weights; one given in the options takes precedence.
    """
    asked = options.tool_parser
    if asked is None and not options.embeddings:
        asked = parser_for(options.chat_template or template)
    return msgspec.structs.replace(options, tool_parser=None if asked == NONE else asked)
