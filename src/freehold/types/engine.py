"""The kinds of engines, and what is true of each whatever model it serves.

Code outside `freehold.engines` asks these facts, never an engine's name.
"""

from __future__ import annotations

from typing import Literal

from freehold.types.record import Record

EngineName = Literal["llamacpp", "vllm", "encoder", "ollama", "remote", "echo"]
WeightsFormat = Literal["gguf", "safetensors"]


class EngineKind(Record, frozen=True, kw_only=True):
    """Facts about a kind of engine."""

    name: EngineName
    title: str
    """As its makers write it."""
    is_rented: bool = False
    """Requests are paid for and go to another party: under the client's own credentials where no key is named."""
    names_models: bool = False
    """It keeps models itself and is asked for one by name; there are no weights to fetch for it."""
    brings_weights: bool = False
    """A candidate on it is judged as it is: nothing is fetched, fitted or trained."""
    reads: WeightsFormat | None = None
    """The format of weights it is given; None where it reads several, or none."""
    reads_adapter_folders: bool = False
    """It loads an adapter as PEFT writes it; otherwise the GGUF made from that is given where there is one."""
    takes_template: bool = False
    """A chat template may be given to it (option ``chat_template``)."""
    reserves_accelerator: bool = False
    """It takes a share of an accelerator's memory at start, and what it does not need for weights becomes cache."""
    plain_kv_only: bool = False
    """Its key/value cache is counted in 16 bits for a speed estimate, whatever type is asked for."""
    cuts_prompts: bool = False
    """A prompt longer than the context is cut without an error, so it must be asked beforehand."""
    reads_tool_names: bool = True
    """``tool_choice`` may name one tool."""
    ignores_tools_unsaid: bool = False
    """Where a model's chat template has no tools, it answers in plain text instead of refusing."""
    continues_answers: Literal["always", "repeating", "when_asked", "unsure"] = "always"
    """Whether it goes on with an assistant's turn that a request has begun, or may begin a turn of its own;
    `repeating`: it goes on, and its answer has what was begun in front."""
    counts_tokens: Literal["count_tokens", "tokenize", "answer"] | None = None
    """How it counts a prompt's tokens: by Anthropic's own call, by ``/tokenize``, with an answer of no tokens."""
    tells_stop: Literal["stop_reason", "verbose"] | None = None
    """How it tells which stop sequence ended an answer: in the choice, or where it is asked by ``verbose``."""
    tells_prompt: Literal["continuous_usage_stats", "return_progress"] | None = None
    """The field by which a stream tells at its beginning how many tokens the prompt has: an option of the stream, or
    one of the request."""
    unread_fields: tuple[str, ...] = ()
    """Fields of a chat request that it takes and does not follow."""
    joins_usage: bool = False
    """A stream of ``/v1/completions`` has its usage in the chunk of its end, not in one of its own."""
    passes_over: tuple[str, ...] = ()
    """Fields of OpenAI's API that would change an answer and that it does not look at, without an error."""
    holds_choices: Literal["grammar", "structured_outputs"] | None = None
    """How it is told that an answer must be one of several texts: by a grammar of its own, or by a list of choices."""
    schema_field: str | None = None
    """A field of its own that holds an answer to a JSON schema more firmly than ``response_format``."""
    tells_tokens: Literal["apply-template", "return_token_ids"] | None = None
    """How it tells the token ids of a prompt; parity of an engine that tells none is judged by text alone."""
    tells_confidence: Literal["probability", "logprobs", "unsure"] | None = None
    """What its answers carry of how sure it is: a calibrated probability of the whole answer, or log-probabilities of
    its tokens where those are asked for; ``unsure``: log-probabilities in some versions or models, which shows when it
    is asked."""
    measured: bool = False
    """Speed and memory are measured here, and corrected by what was."""
    installs_apart: bool = False
    """It lives in an environment of its own, made by ``freehold engines install``."""


# What OpenAI's API had before tools, and what only its own models do.
_OLD_OR_OF_OPENAI = ("function_call", "functions", "audio", "web_search_options")

ENGINE_KINDS: dict[EngineName, EngineKind] = {
    kind.name: kind
    for kind in (
        EngineKind(
            name="llamacpp",
            title="llama.cpp",
            reads="gguf",
            takes_template=True,
            reads_tool_names=False,
            ignores_tools_unsaid=True,
            joins_usage=True,
            # seen 2026-11 of xllamacpp 2026.10
            continues_answers="repeating",
            # asked with each of them 2026-11 (tests/conformance)
            passes_over=("echo", "suffix", "best_of", "dimensions", *_OLD_OR_OF_OPENAI),
            holds_choices="grammar",
            counts_tokens="count_tokens",
            tells_stop="verbose",
            tells_prompt="return_progress",
            tells_tokens="apply-template",
            tells_confidence="logprobs",
            measured=True,
        ),
        EngineKind(
            name="vllm",
            title="vLLM",
            passes_over=_OLD_OR_OF_OPENAI,
            tells_stop="stop_reason",
            tells_prompt="continuous_usage_stats",
            reads="safetensors",
            reads_adapter_folders=True,
            takes_template=True,
            reserves_accelerator=True,
            plain_kv_only=True,
            holds_choices="structured_outputs",
            schema_field="structured_outputs",
            continues_answers="when_asked",
            counts_tokens="tokenize",
            tells_tokens="return_token_ids",
            tells_confidence="logprobs",
            installs_apart=True,
        ),
        EngineKind(
            name="encoder",
            title="a trained encoder on ONNX Runtime",
            # it reads the user's turns alone, so an answer that was begun is not gone on with
            continues_answers="unsure",
            counts_tokens="tokenize",
            tells_confidence="probability",
        ),
        EngineKind(
            name="ollama",
            title="Ollama",
            names_models=True,
            cuts_prompts=True,
            reads_tool_names=False,
            # the fields it lists as supported (docs/openai.md, read 2026-11) hold neither
            unread_fields=("tool_choice", "parallel_tool_calls"),
            passes_over=("best_of", *_OLD_OR_OF_OPENAI),
            counts_tokens="answer",
            # from 0.12.11 on; older ones pass over the wish without a word
            tells_confidence="unsure",
        ),
        EngineKind(
            name="remote",
            title="a remote endpoint",
            is_rented=True,
            continues_answers="unsure",
            tells_confidence="unsure",
            names_models=True,
            brings_weights=True,
        ),
        EngineKind(
            name="echo",
            title="the shipped fake",
            counts_tokens="tokenize",
            names_models=True,
            brings_weights=True,
        ),
    )
}
