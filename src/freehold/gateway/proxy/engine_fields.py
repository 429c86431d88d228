"""Which fields of a client's request an engine on this machine is sent, and how large they may be.

An engine takes more than its API says: grammars, numbers of slots, ways to cut its cache. Some of that ends its
process, and with it everybody's service. So an engine gets the fields that are known here; a program of the client's or
a handle to the engine's inside is refused, anything else unknown is left out. A rented endpoint gets the bytes as they
came.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from freehold.gateway.http.headers import names_in
from freehold.types.engine import EngineKind
from freehold.wire import openai
from freehold.wire.errors import ApiError
from freehold.wire.output_schema import problem_of

_OPENAI = names_in(
    """
    model messages prompt input suffix stream stream_options stop seed echo user max_tokens
    max_completion_tokens temperature top_p n best_of presence_penalty frequency_penalty logit_bias logprobs
    top_logprobs response_format tools tool_choice parallel_tool_calls functions function_call reasoning_effort
    verbosity metadata store service_tier safety_identifier prompt_cache_key encoding_format dimensions
    modalities
    """
)
# Of the APIs that an engine may speak itself: Anthropic's (count_tokens) and the Responses API.
_OTHER_APIS = names_in(
    """
    system stop_sequences thinking output_config instructions max_output_tokens reasoning text include
    truncation previous_response_id background max_tool_calls
    """
)
# Of engines: how tokens are drawn and prompts are written, by numbers and switches alone.
_SAMPLING = names_in(
    """
    top_k min_p typical_p top_n_sigma xtc_probability xtc_threshold repeat_penalty repetition_penalty
    repeat_last_n dry_multiplier dry_base dry_allowed_length mirostat dry_penalty_last_n mirostat_tau
    mirostat_eta dynatemp_range dynatemp_exponent ignore_eos min_tokens length_penalty skip_special_tokens
    spaces_between_special_tokens cache_prompt add_generation_prompt continue_final_message add_special_tokens
    chat_template_kwargs enable_thinking reasoning_format return_token_ids return_tokens timings_per_token
    bad_words stop_token_ids include_stop_str_in_output truncate_prompt_tokens priority
    """
)
# Added by the gateway itself, from its own configuration, behind this check.
REFUSED = names_in(
    """
    grammar grammar_lazy grammar_triggers preserved_tokens json_schema samplers guided_json guided_regex
    guided_grammar guided_choice guided_decoding_backend structured_outputs logits_processors chat_template lora
    id_slot n_discard n_keep n_probs post_sampling_probs n_indent t_max_predict_ms n_cache_reuse
    kv_transfer_params input_prefix input_suffix input_extra image_data mm_processor_kwargs vllm_xargs
    """
)
"""Programs of the client's, and handles to the inside of an engine. `response_format` and `tools` do their work."""
_KNOWN = _OPENAI | _OTHER_APIS | _SAMPLING
_SHAPED = ("response_format", "tools", "functions", "chat_template_kwargs", "output_config", "text")
_SHAPE_BYTES_MAX = 256 * 1024
_REMEMBERED_BYTES_MAX = 16 * 1024
_DEPTH_MAX = 64
_REPEATS_MAX = 4096
_PATTERN_LENGTH_MAX = 1000
_PATTERN_DEPTH_MAX = 16
_LIST_MAX = {"logit_bias": 1024, "stop": 64, "stop_sequences": 64, "bad_words": 256, "stop_token_ids": 256}
_AT_MOST = {
    **dict.fromkeys(("n", "best_of"), 16),
    **dict.fromkeys(("logprobs", "top_logprobs"), 20),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens"), 2**24),
    **dict.fromkeys(("repeat_last_n", "dry_penalty_last_n", "dry_allowed_length", "top_k"), 2**20),
}
_LEAST = -1
_SAYS_NOTHING = (b"null", b"false", b'""', b"[]", b"{}", b'"none"', b"1")
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{}]', re.DOTALL)
_REPEATS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_COUNTS = re.compile(r"\{(\d+)?(?:,(\d+)?)?\}")


def known_fields(kind: EngineKind, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields an engine is sent, of the raw ones of a request. Raises `ApiError` (400) for what may end it
    and for a schema that is none."""
    if kind.is_rented:
        return fields
    for name in fields.keys() & REFUSED:
        if bytes(fields[name]) not in (b"null", b"false", b'""', b"[]", b"{}"):
            raise _refused(
                name, "is not passed on to a model served here; response_format and tools do its work"
            )
    for name in kind.passes_over:
        if name not in fields or bytes(fields[name]) in _SAYS_NOTHING:
            continue
        # The best of as many as are wanted are all of them.
        if name != "best_of" or bytes(fields[name]) != bytes(fields.get("n", b"")):
            raise _refused(name, f"is not possible with a model on {kind.title}")
    if "modalities" in fields and b'"audio"' in bytes(fields["modalities"]):
        raise _refused(
            "modalities", f"is {_shown(fields['modalities'])}, and a model on {kind.title} writes text"
        )
    for name in fields.keys() & _AT_MOST.keys():
        _check_number(name, bytes(fields[name]))
    for name in fields.keys() & _LIST_MAX.keys():
        _check_list(name, bytes(fields[name]))
    for name in _SHAPED:
        if name in fields:
            _check_shape(name, bytes(fields[name]))
    return {name: value for name, value in fields.items() if name in _KNOWN}


def told_to_messages(kind: EngineKind, chat: bytes, *, stream: bool) -> dict[str, Any]:
    """The fields with which an answer tells what one of Anthropic's messages says: which stop sequence ended it, and at
    a stream's beginning the tokens of the prompt."""
    fields: dict[str, Any] = {}
    if kind.tells_stop == "verbose" and b'"stop"' in chat:
        fields["verbose"] = True
    if stream and kind.tells_prompt == "return_progress":
        fields["return_progress"] = True
    elif stream and kind.tells_prompt == "continuous_usage_stats":
        fields["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    return fields


def _shown(value: Any) -> str:
    return bytes(value)[:100].decode(errors="replace")


def _refused(name: str, why: str) -> ApiError:
    return ApiError(400, f"{name} {why}", code="unsupported_field", param=name)


def _check_number(name: str, raw: bytes) -> None:
    if raw in (b"null", b"true", b"false"):
        return
    try:
        value = msgspec.json.decode(raw, type=int)
    except msgspec.MsgspecError:
        raise _refused(name, "must be a whole number") from None
    if not _LEAST <= value <= _AT_MOST[name]:
        raise _refused(name, f"is {value}, and may be {_AT_MOST[name]} at most")


def _check_list(name: str, raw: bytes) -> None:
    if len(raw) > _SHAPE_BYTES_MAX:
        raise _refused(name, "is too long")
    value = msgspec.json.decode(raw)
    if isinstance(value, list | dict) and len(value) > _LIST_MAX[name]:
        raise _refused(name, f"has {len(value)} entries, and may have {_LIST_MAX[name]} at most")
    if name == "logit_bias" and isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else value
        for pair in pairs:
            token, bias = pair if isinstance(pair, list | tuple) and len(pair) == 2 else (None, None)
            is_token = str(token).isdigit() and int(str(token)) < 2**31
            if (
                not is_token
                or not isinstance(bias, int | float)
                or isinstance(bias, bool)
                or abs(bias) > 1000
            ):
                raise _refused(name, "must be token ids with numbers from -100 to 100")


def _check_shape(name: str, raw: bytes) -> None:
    """A schema is made into a grammar by the engine: deep or often repeated ones are too much for its stack."""
    if len(raw) > _SHAPE_BYTES_MAX:
        raise _refused(name, f"has {len(raw)} bytes, and may have {_SHAPE_BYTES_MAX} at most")
    (_look_once if len(raw) <= _REMEMBERED_BYTES_MAX else _look_once.__wrapped__)(name, raw)


@functools.lru_cache(maxsize=256)
def _look_once(name: str, raw: bytes) -> None:
    """Once, for an application sends the same few schemas. Only what is right is remembered: errors are raised."""
    depth = 0
    for token in _STRUCTURE.finditer(raw):
        if token.group() in b"[{":
            depth += 1
            if depth > _DEPTH_MAX:
                raise _refused(name, f"is nested more than {_DEPTH_MAX} deep")
        elif token.group() in b"]}":
            depth -= 1
    value = msgspec.json.decode(raw)
    _check_schema(name, value)
    _check_is_schema(name, value)


def check_schemas(chat: bytes) -> None:
    """Raise `ApiError` (400) for a schema that is none, in a chat request that is translated to another API or from
    one."""
    if b'"tools"' not in chat and b'"json_schema"' not in chat:
        return
    fields = openai.raw_fields(chat)
    for name in ("response_format", "tools"):
        if name in fields:
            _check_is_schema(name, msgspec.json.decode(fields[name]))


def _check_is_schema(name: str, value: Any) -> None:
    if name == "response_format" and isinstance(value, dict) and isinstance(value.get("json_schema"), dict):
        form = value["json_schema"]
        if (problem := problem_of(form.get("schema"))) is not None:
            raise ApiError(
                400,
                f"Invalid schema for response_format '{str(form.get('name'))[:100]}': {problem}.",
                code="invalid_json_schema",
                param=name,
            )
    if name == "tools" and isinstance(value, list):
        _check_parameters(value)


def _check_parameters(tools: list[Any]) -> None:
    for place, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or (parameters := function.get("parameters")) is None:
            continue
        if (problem := problem_of(parameters)) is not None:
            raise ApiError(
                400,
                f"Invalid schema for function '{str(function.get('name'))[:100]}': {problem}.",
                code="invalid_function_parameters",
                param=f"tools[{place}].function.parameters",
            )


def _check_schema(name: str, value: Any) -> None:
    """The parts that a grammar repeats. As deep as `_check_shape` lets anything be."""
    if isinstance(value, list):
        for one in value:
            _check_schema(name, one)
        return
    if not isinstance(value, dict):
        return
    for key in _REPEATS:
        count = value.get(key)
        if isinstance(count, int | float) and not 0 <= count <= _REPEATS_MAX:
            raise _refused(name, f"asks for {key} {count}, and may for 0 to {_REPEATS_MAX}")
    if isinstance(pattern := value.get("pattern"), str):
        _check_pattern(name, pattern)
    for one in value.values():
        _check_schema(name, one)


def _check_pattern(name: str, pattern: str) -> None:
    if len(pattern) > _PATTERN_LENGTH_MAX:
        raise _refused(name, f"has a pattern of {len(pattern)} characters, at most {_PATTERN_LENGTH_MAX}")
    depth = deepest = 0
    for character in pattern:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    repeats = 1
    for low, high in _COUNTS.findall(pattern):
        repeats *= max(1, *(int(count[:9]) for count in (low, high) if count), 1)
    if deepest > _PATTERN_DEPTH_MAX or repeats > _REPEATS_MAX:
        raise _refused(name, "has a pattern that is nested too deeply or repeats too often")
