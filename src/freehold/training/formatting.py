"""From samples to token ids and a mask, through the model's own chat template.

Covered: system, user, assistant and tool messages; tool calls and tool schemas, for templates that write none as
`freehold.training.templates` does; text parts of content lists; loss on assistant tokens only.
Not covered: images and audio (such samples are rejected, with the reason).

Every answer is looked for again in the tokens it is learned from, and tools, calls and results in the prompt: a sample
of which the template leaves something out is rejected, never taught as less than it is.

A sample is tokenized in the pieces a server sees: the prompt on its own, then the answer up to and with the
token that ends the turn. So the ids trained on are the ids served, whatever the tokenizer would have merged
across the seam. Nothing is ever cut: a sample over the limit is rejected and named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

from freehold.errors import TrainingError
from freehold.training.templates import (
    LOSES_CALLS,
    is_tagged,
    lost_from_answer,
    lost_from_prompt,
    tagged_template,
)
from freehold.types.dataset import Message, Sample
from freehold.types.record import Record
from freehold.types.training import WrittenCalls

TAGGED_NOTE = (
    "the base's chat template leaves out tools or calls: they are written in freehold's own format, and what is "
    "trained must be served with the template in its folder (freehold does so)"
)


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that formatting needs."""

    chat_template: Any
    eos_token_id: int | None

    def apply_chat_template(self, conversation: list[dict[str, Any]], **kwargs: Any) -> Any: ...

    def __call__(self, text: str, **kwargs: Any) -> Any: ...

    def decode(self, token_ids: Sequence[int], **kwargs: Any) -> Any: ...


class Encoded(NamedTuple):
    """One sample as tokens: `mask` is true where the token is a target (an assistant token)."""

    id: str
    ids: tuple[int, ...]
    mask: tuple[bool, ...]


class RejectedSample(Record, frozen=True, kw_only=True):
    """A sample that is not trained on, and why. `code` is the reason in a word that stays."""

    sample_id: str
    code: str
    reason: str


TRIED_SAMPLES = 256
"""Samples with tools that are tried before a format is chosen."""
TOLERATED_LOSS = 0.1
"""A template that loses no more than this share of the samples with tools stays as it is: what it writes is what the
base has learned to write."""


class EncodedSamples(NamedTuple):
    """All samples of a split: what is trained on, and what is not."""

    samples: list[Encoded]
    rejects: list[RejectedSample]


class _RejectError(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def template_sha256(tokenizer: Tokenizer) -> str:
    """SHA-256 of the chat template's text. Raises `TrainingError` when the model has none."""
    if not isinstance(tokenizer.chat_template, str):
        raise TrainingError(
            "the base model has no chat template",
            hint="use an instruction-tuned base, or one whose GGUF carries tokenizer.chat_template",
        )
    return hashlib.sha256(tokenizer.chat_template.encode()).hexdigest()


def choose_calls(tokenizer: Tokenizer, samples: Iterable[Sample]) -> WrittenCalls:
    """How tools and calls are written for these samples; the tokenizer is given the template that does so.

    ``template`` where no sample has tools, or where the model's own template writes them; else ``tagged``, if fewer
    samples are lost that way. `samples` are those of the train split, so that all splits are written alike.
    """
    if not isinstance(tokenizer.chat_template, str):
        return "template"
    with_tools = list(islice(filter(_has_tools, samples), TRIED_SAMPLES))
    if not with_tools:
        return "template"
    own = tokenizer.chat_template
    lost = _lost(tokenizer, with_tools)
    if lost <= TOLERATED_LOSS * len(with_tools):
        return "template"
    tokenizer.chat_template = tagged_template(
        own, lambda chat: str(tokenizer.apply_chat_template(chat, tokenize=False))
    )
    if _lost(tokenizer, with_tools) < lost:
        return "tagged"
    tokenizer.chat_template = own
    return "template"


def _has_tools(sample: Sample) -> bool:
    turns = (*sample.messages, *(sample.completion or ()))
    return bool(sample.tools) or any(turn.tool_calls or turn.role == "tool" for turn in turns)


def _lost(tokenizer: Tokenizer, samples: list[Sample]) -> int:
    """How many samples the tokenizer's template does not write whole."""
    rejects = format_samples(tokenizer, samples, max_tokens=2**31).rejects
    return sum(reject.code in ("template", LOSES_CALLS) for reject in rejects)


def format_samples(tokenizer: Tokenizer, samples: Iterable[Sample], *, max_tokens: int) -> EncodedSamples:
    """Tokenize samples; those that can't be trained on end in `rejects`, with the reason."""
    encoded: list[Encoded] = []
    rejects: list[RejectedSample] = []
    for sample in samples:
        try:
            one = _encode(tokenizer, sample)
            if len(one.ids) > max_tokens:
                raise _RejectError("over_long", f"{len(one.ids)} tokens, the limit is {max_tokens}")
        except _RejectError as reject:
            rejects.append(RejectedSample(sample_id=sample.id, code=reject.code, reason=str(reject)))
        else:
            encoded.append(one)
    return EncodedSamples(encoded, rejects)


def _encode(tokenizer: Tokenizer, sample: Sample) -> Encoded:
    if sample.disliked:
        raise _RejectError("disliked", "this answer was disliked, and what is right was not said")
    turns = list(sample.messages)
    if sample.answer:
        if sample.completion is None and not (sample.target or "").strip():
            raise _RejectError("empty_assistant", "the target is empty")
        if turns and turns[-1].role == "assistant":
            raise _RejectError("roles_out_of_order", "the prompt ends with an assistant message")
        turns += sample.answer
    elif not (turns and turns[-1].role == "assistant"):  # else the conversation brings its own last answer
        raise _RejectError("no_target", "neither gold nor an incumbent's answer")
    conversation = [plain_message(message) for message in turns]
    _check_order(conversation)
    trained = _trained_positions(turns)
    ids: list[int] = []
    mask: list[bool] = []
    done = ""
    tagged = is_tagged(tokenizer.chat_template)
    for at in trained:
        before = _render(tokenizer, sample, conversation[:at], prompt=True)
        after = _render(tokenizer, sample, conversation[: at + 1], prompt=False)
        if not before.startswith(done) or not after.startswith(before):
            # Templates that rewrite earlier turns (dropped reasoning, moved tools) can't be split by turns.
            raise _RejectError("template", "the chat template renders earlier turns differently later on")
        prompt = _tokens(tokenizer, before[len(done) :])
        answer = _tokens(tokenizer, after[len(before) :])
        end = _end_of_turn(tokenizer, answer)
        learned = tokenizer.decode(
            answer[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        _check_whole(lost_from_answer(conversation[at], str(learned), tagged=tagged))
        _check_whole(lost_from_prompt(sample.tools or (), conversation[:at], before))
        ids += prompt + answer
        mask += [False] * len(prompt) + [True] * end + [False] * (len(answer) - end)
        done = after
    while mask and not mask[-1]:  # What follows the last answer is never asked for.
        ids.pop()
        mask.pop()
    if not any(mask):
        raise _RejectError("empty_assistant", "no assistant token is left to learn")
    return Encoded(sample.id, tuple(ids), tuple(mask))


def _trained_positions(turns: list[Message]) -> list[int]:
    """Places of the assistant messages to learn: a message's own weight decides, else the last is learned.

    The weights are OpenAI's (0 or 1). Any above 0 counts as 1: every token learned counts the same.
    """
    answers = [at for at, message in enumerate(turns) if message.role == "assistant"]
    weights = {at: turns[at].weight for at in answers}
    trained = [at for at in answers if (weights[at] if weights[at] is not None else at == answers[-1])]
    if not trained:
        raise _RejectError("nothing_to_learn", "every assistant message has weight 0")
    return trained


def _check_whole(lost: tuple[str, str] | None) -> None:
    if lost is not None:
        raise _RejectError(*lost)


def plain_message(message: Message) -> dict[str, Any]:
    """A message as chat templates take it: text for content, arguments as objects."""
    content = message.content
    if isinstance(content, list):
        texts = []
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text":
                kind = part.get("type") if isinstance(part, dict) else type(part).__name__
                raise _RejectError("not_text", f"content part of type {kind!r}")
            texts.append(str(part.get("text", "")))
        content = "".join(texts)
    if content is not None and not isinstance(content, str):
        raise _RejectError("not_text", f"content is {type(content).__name__}, expected text")
    plain: dict[str, Any] = {"role": message.role, "content": content or ""}
    if message.name is not None:
        plain["name"] = message.name
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        plain["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    return plain


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    """Templates want arguments as an object; the API carries them as JSON text."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _RejectError("broken_tool_call", "a tool call without a function name")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError as error:
            raise _RejectError(
                "broken_tool_call", f"arguments of {function['name']} are not JSON: {error}"
            ) from None
    return {**call, "function": {**function, "arguments": arguments}}


def _check_order(conversation: list[dict[str, Any]]) -> None:
    before = None
    for at, message in enumerate(conversation):
        role = message["role"]
        if role not in ("system", "developer", "user", "assistant", "tool"):
            raise _RejectError("roles_out_of_order", f"message {at}: unknown role {role!r}")
        if role == "assistant":
            if before not in ("user", "tool"):
                raise _RejectError(
                    "roles_out_of_order",
                    f"message {at}: assistant after {before or 'nothing'}, expected user",
                )
            if not message["content"].strip() and not message.get("tool_calls"):
                raise _RejectError("empty_assistant", f"message {at}: the assistant says nothing")
        if role == "tool" and before not in ("assistant", "tool"):
            raise _RejectError("roles_out_of_order", f"message {at}: tool result after {before or 'nothing'}")
        before = role
    if before != "assistant":
        raise _RejectError("roles_out_of_order", "the conversation does not end with the assistant")


def _render(tokenizer: Tokenizer, sample: Sample, conversation: list[dict[str, Any]], *, prompt: bool) -> str:
    import jinja2

    try:
        return str(
            tokenizer.apply_chat_template(
                conversation, tools=sample.tools, tokenize=False, add_generation_prompt=prompt
            )
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise _RejectError("template", f"the chat template refuses it: {error}") from None


def _tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    # The template has written the special tokens itself.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _end_of_turn(tokenizer: Tokenizer, answer: list[int]) -> int:
    """Number of answer tokens up to and with the one that ends the turn; white space after it is template."""
    end = len(answer)
    while end > 1 and answer[end - 1] != tokenizer.eos_token_id:
        text = tokenizer.decode(answer[end - 1 : end], skip_special_tokens=False)
        if str(text).strip():
            break
        end -= 1
    return end
