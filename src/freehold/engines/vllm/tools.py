"""Which of vLLM's parsers understands the tool calls of a model: told by the marks its chat template writes.

vLLM is started with a parser or without tools. The template is what taught the model how a call looks, so its marks
tell the parser, also for an unknown model. Marks as in vLLM 0.32's `tool_parsers`, read 2026-11-25.
"""

from __future__ import annotations

import msgspec

from freehold.engines.vllm.options import VllmOptions

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
