"""What an application needs of a model: what traffic shows, its languages, the kind of task, and how fast."""

from __future__ import annotations

import itertools
import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from freehold.costs.traffic import CHARACTERS_PER_TOKEN
from freehold.datasets.messages import message_text, response_message
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.training.encoder.answers import form_of
from freehold.types.choosing import ModelLimits, Needs, TaskKind
from freehold.types.config import ProjectConfig, TaskConfig
from freehold.types.dataset import demands_a_call
from freehold.types.machine import Speed
from freehold.types.trace import Trace
from freehold.workflows.choose.traffic import logged, text_of
from freehold.workflows.project import Project

LEAST_LETTERS = 20
LEAST_WORDS = 4
"""Common words that must be found before Latin text gets a language."""

_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", "\u3040-\u30ff"), ("ko", "\uac00-\ud7af\u1100-\u11ff"), ("zh", "\u4e00-\u9fff"),
    ("ru", "\u0400-\u04ff"), ("ar", "\u0600-\u06ff"), ("he", "\u0590-\u05ff"), ("el", "\u0370-\u03ff"),
    ("th", "\u0e00-\u0e7f"), ("hi", "\u0900-\u097f"),
)  # fmt: skip
_WORDS: dict[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": "the of and to is in that it for was with as on are this be have not you my from or what how",
        "de": "der die und das ist nicht ein eine zu mit den von auf für sich dem es im auch ich wie bei wird",
        "fr": "le les des est et une du pour que dans pas qui sur plus avec ce vous je il sont au mais comment",
        "es": "el los las una del por con para que es no se su lo como más pero mi está yo cómo hay muy",
        "it": "il gli che di è per una non con del sono della mi si come più ma questo alla nel lo ho anche",
        "pt": "o os uma do da não para com que é em por mais como mas se eu ao dos está você meu são muito",
        "nl": "de het een van en niet dat op te is voor met zijn die ik aan er maar bij ook hoe wat mijn",
        "pl": "w na i nie że się do jest to z jak ale co po tak dla od czy już przez mam jestem mój proszę",
        "sv": "och att det som är en på för med av inte den till jag har om ett men hur kan var min från",
        "tr": "ve bir bu da için ile ne çok daha var değil ben gibi olarak mi nasıl ama en benim kadar",
    }.items()
}
_TOKEN = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """The language of a text by its script, and for Latin letters by the commonest short words (ISO 639-1).

    Made for whole prompts; short texts and mixtures give None rather than a guess."""
    letters = sum(map(str.isalpha, text))
    if letters < LEAST_LETTERS:
        return None
    for code, span in _SCRIPTS:
        share = len(re.findall(f"[{span}]", text)) / letters
        # Japanese mixes its own letters with Chinese ones; a few percent of them are sign enough.
        if share > (0.05 if code == "ja" else 0.3):
            return code
    counts = Counter(_TOKEN.findall(text.lower()))
    hits = {code: sum(counts[word] for word in words) for code, words in _WORDS.items()}
    best, second = sorted(hits.values(), reverse=True)[:2]
    if best < LEAST_WORDS or best < 1.3 * second:
        return None
    return max(hits, key=lambda code: hits[code])


LANGUAGE_SHARE = 0.05
"""A language in fewer of the traces is not yet a need."""
LOOKED_AT_CHARACTERS = 2_000
NO_TRACES = (
    "no traces: what is not stated is assumed (4,096 tokens a request, one at once, neither tools nor images)"
)
SEEN_TRACES = 5_000
"""Traces looked at, newest last; enough for medians and maxima."""


def needs_of(traces: Iterable[Trace]) -> Needs:
    """Needs as the traces show them; without traces nothing is concluded."""
    originals = [trace for trace in traces if trace.parent_id is None]
    if not originals:
        return Needs(how=(NO_TRACES,))
    usages = [logged(trace, trace.at).counted()[0] for trace in originals]
    prompts = [usage.prompt_tokens or 0 for usage in usages]
    answers = [usage.completion_tokens or 0 for usage in usages]
    longest = max(prompt + answer for prompt, answer in zip(prompts, answers, strict=True))
    requests = [trace.request for trace in originals]
    how = [f"{len(originals):,} traces"]
    shares = _languages(originals)
    languages = tuple(code for code, share in shares if share >= LANGUAGE_SHARE)
    if languages:
        how.append(f"languages by script and common words: {', '.join(languages)}")
    rest = [(code, share) for code, share in shares if share < LANGUAGE_SHARE]
    if sum(share for _, share in rest) >= LANGUAGE_SHARE:
        named = ", ".join(f"{code} {share:.0%}" for code, share in rest[:4])
        how.append(
            f"other languages together {sum(share for _, share in rest):.0%} ({named}), each too few to be a need: "
            "--language names one"
        )
    if any(trace.usage is None for trace in originals):
        how.append(f"tokens without a count estimated at {CHARACTERS_PER_TOKEN} characters each")
    demanded = sum(map(demands_a_call, requests))
    if demanded:
        how.append(f"{demanded:,} of them demand a tool call")
    return Needs(
        calls_demanded=demanded,
        tools=any(request.get("tools") or request.get("functions") for request in requests),
        json_schema=any(_format(request) in ("json_schema", "json_object") for request in requests),
        vision=any(_has_image(request.get("messages")) for request in requests),
        languages=languages,
        context_tokens=max(256, -(-longest // 256) * 256),
        concurrency=_concurrency(originals),
        prompt_tokens=round(statistics.median(prompts)),
        completion_tokens=round(statistics.median(answers)),
        duplicate_share=1 - len({msgspec.json.encode(request) for request in requests}) / len(requests),
        cacheable_prefix_share=_prefix_share(requests),
        prompt_tokens_p95=_share_under(prompts, 0.95),
        completion_tokens_p95=_share_under(answers, 0.95),
        peak_factor=_peak(originals),
        language_shares=shares,
        traces=len(originals),
        how=tuple(how),
    )


def needs_in(project: Project, stated: Needs | None = None) -> Needs:
    """What the traces of a project ask of a model, joined with what is stated."""
    with open_store(project.reading_url) as store:
        traces = list(store.latest_traces(SEEN_TRACES))
    needs = needs_of(traces)
    if stated is not None:
        needs = msgspec.structs.replace(
            needs,
            tools=needs.tools or stated.tools,
            json_schema=needs.json_schema or stated.json_schema,
            vision=needs.vision or stated.vision,
            languages=stated.languages or needs.languages,
            context_tokens=max(needs.context_tokens if needs.traces else 0, stated.context_tokens)
            or Needs().context_tokens,
            concurrency=max(needs.concurrency, stated.concurrency),
        )
    task = known_task(project.config, traces, stated.task if stated is not None else None)
    how = needs.how if task.how is None else (f"task: {task.how}", *needs.how)
    calls = task.kind in ("tools", "agent")
    return msgspec.structs.replace(needs, task=task.kind, tools=needs.tools or calls, how=how)


def _share_under(values: list[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _peak(traces: list[Trace]) -> float | None:
    """Busiest hour over average hour."""
    times = [trace.at.timestamp() for trace in traces]
    hours = (max(times) - min(times)) / 3600
    if hours < 24:
        return None
    busiest = max(Counter(int(at // 3600) for at in times).values())
    return max(1.0, busiest / (len(times) / hours))


def _languages(traces: list[Trace]) -> tuple[tuple[str, float], ...]:
    """Shares of languages: what the caller stated in the metadata, else by the user's own words."""
    found: Counter[str] = Counter()
    for trace in traces:
        stated = trace.metadata.get("language")
        code = stated.lower()[:2] if isinstance(stated, str) and len(stated) >= 2 else _own_language(trace)
        if code is not None:
            found[code] += 1
    return tuple((code, count / sum(found.values())) for code, count in found.most_common())


def _own_language(trace: Trace) -> str | None:
    messages = trace.request.get("messages")
    if not isinstance(messages, list):
        return None
    own = [one for one in messages if isinstance(one, dict) and one.get("role") == "user"]
    return language_of(text_of(own)[:LOOKED_AT_CHARACTERS])


def _format(request: dict[str, Any]) -> str | None:
    chosen = request.get("response_format")
    kind = chosen.get("type") if isinstance(chosen, dict) else None
    return kind if isinstance(kind, str) else None


def _has_image(messages: Any) -> bool:
    if not isinstance(messages, list):
        return False
    return any(
        isinstance(part, dict) and part.get("type") in ("image_url", "input_image", "image")
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for part in message["content"]
    )


def _concurrency(traces: list[Trace]) -> int:
    """Most requests under way at one moment, where the traces say how long each took."""
    moments: list[tuple[float, int]] = []
    for trace in traces:
        if trace.total_ms:
            began = trace.at.timestamp()
            moments += [(began, 1), (began + trace.total_ms / 1000, -1)]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return max(1, most)


def _prefix_share(requests: list[dict[str, Any]]) -> float:
    """How much of the prompts repeats the beginning of another: neighbours in sorted order share the most."""
    prompts = sorted(text_of(request.get("messages")) for request in requests)
    total = sum(map(len, prompts))
    shared = 0
    for one, other in itertools.pairwise(prompts):
        length = 0
        for left, right in zip(one, other, strict=False):
            if left != right:
                break
            length += 1
        shared += length
    return shared / total if total else 0.0


TASK_WORDS: dict[TaskKind, str] = {
    "labels": "answers from a closed set",
    "extraction": "JSON with parts of the text",
    "text": "free text",
    "tools": "calls of tools",
    "agent": "an agent's turns",
    "code": "program text",
}
_OF_SCORER: dict[str, TaskKind] = {
    "label": "labels", "json_fields": "extraction", "tool_call": "tools", "turn": "agent", "code": "code",
    "numeric": "text", "contains": "text", "regex": "text", "semantic": "text", "judge": "text",
}  # fmt: skip
_NEARLY_ALL, _FEW, _OFTEN = 0.95, 0.05, 0.3
_FEWEST = 20
"""Answers from which their kind is told."""


class KnownTask(NamedTuple):
    """The kind of a task, and how it is known; None where it is not."""

    kind: TaskKind | None
    how: str | None = None


def known_task(config: ProjectConfig, traces: Sequence[Trace], stated: TaskKind | None) -> KnownTask:
    """The task that was stated, else the one that the scorer of `[task]` says, else what answers look like."""
    if stated is not None:
        return KnownTask(stated, f"{TASK_WORDS[stated]}, as stated")
    answers = [answer for trace in traces if (answer := _answer(trace)) is not None]
    said = _OF_SCORER.get(config.task.scorer) if config.task != TaskConfig() else None
    if said == "extraction" and _are_closed(answers):
        said = "labels"
    if said is not None:
        return KnownTask(said, f"{TASK_WORDS[said]}: [task] scorer is {config.task.scorer}")
    if len(answers) < _FEWEST:
        return KnownTask(None)
    seen = kind_of(answers)
    return KnownTask(seen, f"{TASK_WORDS[seen]}, by {len(answers):,} answers of the traffic")


class Answer(NamedTuple):
    """An answer's text, and whether it calls tools."""

    text: str
    calls: bool = False


def kind_of(answers: Sequence[Answer]) -> TaskKind:
    """What answers are, most particular first."""
    calls = sum(one.calls for one in answers) / len(answers)
    if calls >= _NEARLY_ALL:
        return "tools"
    if calls >= _FEW:
        return "agent"
    if sum("```" in one.text for one in answers) >= _OFTEN * len(answers):
        return "code"
    if _are_closed(answers):
        return "labels"
    if sum(_is_object(one.text) for one in answers) >= _NEARLY_ALL * len(answers):
        return "extraction"
    return "text"


def _answer(trace: Trace) -> Answer | None:
    message = response_message(trace.response) if trace.response else None
    if message is None or trace.parent_id is not None:
        return None
    text = message_text(message)
    calls = bool(message.get("tool_calls") or message.get("function_call"))
    return Answer(trace.gold or text or "", calls) if text or calls or trace.gold else None


def _are_closed(answers: Sequence[Answer]) -> bool:
    if len(answers) < _FEWEST:
        return False
    texts = [one.text for one in answers]
    try:
        form_of(texts, [""] * len(texts))
    except UsageError:
        return False
    return True


def _is_object(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict)


_USUAL_PROMPT = 500
_USUAL_ANSWER: dict[TaskKind | None, int] = {
    "labels": 5, "extraction": 150, "tools": 40, "text": 200, "agent": 200, "code": 400, None: 100,
}  # fmt: skip
"""Tokens of an answer where no traffic says how long they are."""


def seconds(speed: Speed | None, needs: Needs, end: int | None = None) -> float | None:
    """For one request as long as those of the traffic, or usual ones where there is none: at the slow (0) or fast (1)
    end of the speed, or in its middle."""
    if speed is None:
        return None
    prompt, answer = (
        needs.prompt_tokens or _USUAL_PROMPT,
        needs.completion_tokens or _USUAL_ANSWER[needs.task],
    )
    return prompt / _rate(speed.prefill_tokens_per_second, end) + answer / _rate(
        speed.decode_tokens_per_second, end
    )


def _rate(interval: tuple[float, float], end: int | None) -> float:
    return math.sqrt(interval[0] * interval[1]) if end is None else interval[end]


def speed_reasons(speed: Speed | None, needs: Needs, limits: ModelLimits) -> Iterator[tuple[bool, str]]:
    """What is too slow even at the fast end of its estimate, which excludes it, or may be at the slow end."""
    least, most = limits.least_tokens_per_second, limits.most_seconds
    if speed is None:
        if least is not None or most is not None:
            yield True, "speed: not known for this machine"
        return
    low, high = speed.decode_tokens_per_second
    if least is not None and low < least:
        yield high < least, f"speed: {low:,.3g} to {high:,.3g} tokens/s, {least:g} wanted"
    slow, fast = seconds(speed, needs, 0), seconds(speed, needs, 1)
    if most is not None and slow is not None and fast is not None and slow > most:
        yield fast > most, f"speed: {fast:,.2g} to {slow:,.2g} s for a request, {most:g} at most wanted"


def is_doubtful(speed: Speed | None, needs: Needs, limits: ModelLimits) -> bool:
    """Whether the middle of the estimate misses a limit."""
    if speed is None:
        return False
    least, middle = limits.least_tokens_per_second, seconds(speed, needs)
    too_slow = least is not None and _rate(speed.decode_tokens_per_second, None) < least
    too_late = limits.most_seconds is not None and middle is not None and middle > limits.most_seconds
    return too_slow or too_late
