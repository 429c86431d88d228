"""A look before anything is spent: can this end in a verdict at all, and in which. Seconds, in one record.

Do the endpoints answer that will be asked (their list of models is read, which costs nothing)? Does the scorer give
the right answers full marks? Do questions and answers fit the limits, and is everything taught that is asked? Can the
items promote at all (`reach`), and were they looked at before (`looks`)?
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import anyio
import msgspec

from freehold.datasets import building
from freehold.engines.remote import listed_models
from freehold.errors import FreeholdError, UsageError
from freehold.evals.frozen import frozen_answer, with_frozen
from freehold.evals.scorer import Scorer
from freehold.evals.scorers import for_task, score_all, scorer_of
from freehold.evals.scorers.label import LabelScorer
from freehold.progress import Progress
from freehold.stats.clustered import encode_groups
from freehold.stats.looks import ONE_LOOK, LookPlan
from freehold.store import Store
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.endpoint import CloudCredentials, Endpoint
from freehold.types.evaluation import Score, Task
from freehold.types.finding import Finding, Preflight, fail, ok, warn
from freehold.wire.base_url import stem
from freehold.workflows.data.curate import SCORERS_AT_ONCE, label_shifts_of
from freehold.workflows.prove.looks import look_findings
from freehold.workflows.prove.reach import CHECK, Items, reach_findings

ADDRESS_SECONDS = 4.0


class AskedEndpoint(NamedTuple):
    """An OpenAI-compatible endpoint that will be asked for `model` (None: whatever it serves). `who` names it in a
    sentence, `cached` says that kept answers may make asking needless."""

    who: str
    url: str
    model: str | None = None
    api_key_env: str | None = None
    cached: bool = False
    credentials: CloudCredentials | None = None


async def address_findings(address: AskedEndpoint, *, seconds: float = ADDRESS_SECONDS) -> list[Finding]:
    """Whether the endpoint answers, takes the key and lists the model; `seconds` at most."""
    who, key = address.who, os.environ.get(address.api_key_env) if address.api_key_env else None
    bad = warn if address.cached else fail
    if address.api_key_env and not key:
        text = f"{who}: the environment has no {address.api_key_env}, which should hold its key"
        return [bad("endpoint", text, f"export {address.api_key_env}=…")]
    if not address.url.startswith(("http://", "https://")):
        return [fail("endpoint", f"{who}: {address.url!r} is not an address", "http://127.0.0.1:8420")]
    base = stem(address.url.rstrip("/").removesuffix("/chat/completions"))
    endpoint = Endpoint(
        name=base,
        engine="remote",
        base_url=base,
        api_key_env=address.api_key_env,
        credentials=address.credentials,
    )
    try:
        names = await listed_models(endpoint, seconds=seconds)
    except FreeholdError as error:
        return [bad("endpoint", f"{who}: {error.message}", error.hint or "")]
    if names is None:
        return [ok("endpoint", f"{who}: {base} answers; it lists no models")]
    if address.model is None or not names or address.model in names:
        return [ok("endpoint", f"{who}: {base} answers; asking for its models cost nothing")]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
    text = f"{who}: {base} does not list the model {address.model}; it lists {shown}"
    return [warn("endpoint", text, "check the name; some endpoints serve more than they list")]


SCORER = "scorer"
SCORER_SECONDS = 6.0
"""For loading and trying a scorer: one that takes longer is told of, not waited for."""
_ENDING_SECONDS = 2.0
_TRIED = 3
"""Samples whose right answer is put to the scorer: one may be odd."""


class _Tried(NamedTuple):
    sample: Sample
    score: Score


async def scorer_findings(
    task: Task, samples: Sequence[Sample], *, seconds: float = SCORER_SECONDS
) -> list[Finding]:
    """What is wrong with the task's scorer. Right answers of `samples` are scored against themselves, which takes
    `seconds` at most."""
    try:
        scorer = for_task(task)
    except FreeholdError as error:
        return [fail(SCORER, error.message, error.hint or "docs/reference/scorers.md lists its options")]
    if scorer.asks is not None:  # its address is looked at elsewhere
        return [
            ok(SCORER, f"{task.scorer}: its options are complete; it is not tried, since that costs a call")
        ]
    known = [one for one in samples if one.gold is not None or one.incumbent is not None][:_TRIED]
    if scorer.needs_reference and not known:
        return [
            fail(
                SCORER,
                f"{task.scorer} needs right answers, and no held-out sample has one",
                "name the column of the right answer ([data] label), or choose another scorer",
            )
        ]
    tried: list[_Tried] = []
    trying = asyncio.ensure_future(_try(scorer, known, tried))
    done, _ = await asyncio.wait({trying}, timeout=seconds)
    if not done:
        # Cancelled once, so that the scorer can end its process; one that does not even end is left behind.
        trying.cancel()
        await asyncio.wait({trying}, timeout=_ENDING_SECONDS)
        return [
            warn(
                SCORER,
                f"{task.scorer} had not scored {len(known)} samples after {seconds:g} s: it loads slowly, or hangs",
                "try it on two small files: freehold evaluate --a FILE --b FILE",
            )
        ]
    try:
        trying.result()
    except FreeholdError as error:
        return [fail(SCORER, error.message, error.hint or "mend the scorer, or choose another in [task]")]
    return list(_judged(task, tried))


async def _try(scorer: Scorer, samples: Sequence[Sample], tried: list[_Tried]) -> None:
    try:
        for sample in samples:
            right = sample.target or ""
            tried.append(_Tried(sample, await scorer.score(sample, right, right)))
    finally:
        await scorer.close()


def _judged(task: Task, tried: Sequence[_Tried]) -> Iterator[Finding]:
    """What the scores of right answers say of the scorer."""
    bad = [one for one in tried if one.score.value is None or one.score.value < 1]
    if not tried:
        yield ok(SCORER, f"{task.scorer} loads")
    elif not bad:
        yield ok(SCORER, f"{task.scorer} gives the right answers full marks")
    else:
        first = bad[0]
        said = "is not scored" if first.score.value is None else f"scores {first.score.value:g}"
        why = f" ({first.score.reason})" if first.score.reason else ""
        text = (
            f"{task.scorer}: the right answer of sample {first.sample.id[:12]}, put to it as an answer, {said}{why}; "
            f"so it is for {len(bad)} of {len(tried)} tried"
        )
        fix = "look at [task] scorer and its options: an answer that says just what is right should score 1"
        yield fail(SCORER, text, fix) if len(bad) == len(tried) else warn(SCORER, text, fix)


# Do questions and answers fit the limits, and is everything taught that is asked?
#
# Tokens are told from characters, since the weights may not be here yet: at least one a `_MOST` characters, about one
# a `_USUAL`. What fails does so whatever the tokenizer.

LENGTHS, LABELS = "lengths", "labels"
_MOST = 6.0
_USUAL = 4.0
_LOOKED_AT = 20_000
_SHOWN = 5


def length_findings(
    config: ProjectConfig, dataset: Dataset, held_out: Sequence[Sample], *, trains: bool, serves: bool
) -> Iterator[Finding]:
    """Samples over `[train] max_tokens` and `[serve] context_tokens`, question and answer together."""
    if trains:
        sizes = [_characters(one) for one in islice(building.samples(dataset, "train"), _LOOKED_AT)]
        yield _lengths(
            sizes, config.train.max_tokens, "[train] max_tokens", "training samples", "are left out"
        )
    if serves:
        room = config.serve.context_tokens
        sizes = [_characters(one, answer=False) + _USUAL * config.task.max_tokens for one in held_out]
        yield _lengths(
            sizes, room, "[serve] context_tokens", "held-out requests", "are refused and count as wrong"
        )


def _characters(sample: Sample, *, answer: bool = True) -> float:
    """Characters of a request as it is written, with its answer."""
    asked = sum(_written(one.content) + _written(one.tool_calls) for one in sample.messages)
    tools = _written(sample.tools)
    return asked + tools + (sum(_written(one.content) for one in sample.answer) if answer else 0)


def _written(value: object) -> int:
    if value is None:
        return 0
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))


def _lengths(sizes: Sequence[float], limit: int, key: str, what: str, then: str) -> Finding:
    longest = int(max(sizes, default=0) / _USUAL)
    surely = sum(size / _MOST > limit for size in sizes)
    likely = sum(size / _USUAL > limit for size in sizes)
    fix = f"{key} = {_power_of_two(longest * 1.2)} in freehold.toml"
    if sizes and surely > len(sizes) / 2:
        return fail(
            LENGTHS, f"{surely:,} of {len(sizes):,} {what} are longer than {key} = {limit:,} and {then}", fix
        )
    if likely:
        text = (
            f"about {likely:,} of {len(sizes):,} {what} may be longer than {key} = {limit:,} (the longest has about "
            f"{longest:,} tokens); those {then}"
        )
        return warn(LENGTHS, text, fix)
    return ok(
        LENGTHS, f"the longest of {len(sizes):,} {what} has about {longest:,} tokens; {key} = {limit:,}"
    )


def _power_of_two(tokens: float) -> int:
    found = 1024
    while found < tokens:
        found *= 2
    return found


def shift_findings(dataset: Dataset) -> Iterator[Finding]:
    """Labels that are not as frequent in the held-out part as elsewhere, told before the look."""
    for told in label_shifts_of(dataset):
        yield warn(LABELS, told, "hold out messages of the time and place the candidate is to answer")


def label_findings(task: Task, dataset: Dataset, held_out: Sequence[Sample]) -> Iterator[Finding]:
    """Labels that are asked for in the held-out part and occur in no training sample."""
    if task.scorer != "label":
        return
    scorer = LabelScorer(task.options)
    taught = {
        scorer.label_of(one.target or "") for one in islice(building.samples(dataset, "train"), _LOOKED_AT)
    }
    asked = Counter(label for one in held_out if (label := scorer.label_of(one.target or "")) is not None)
    untaught = Counter({label: count for label, count in asked.items() if label not in taught})
    if not untaught:
        yield ok(LABELS, f"each of the {len(asked):,} labels of the held-out part is taught")
        return
    shown = ", ".join(f"{label} ({count:,})" for label, count in untaught.most_common(_SHOWN))
    more = f" and {len(untaught) - _SHOWN:,} more" if len(untaught) > _SHOWN else ""
    text = (
        f"{len(untaught):,} of {len(asked):,} labels of the held-out part are never taught: {shown}{more}; that is "
        f"{untaught.total() / max(1, asked.total()):.1%} of its items"
    )
    fix = "add training samples of those labels, or expect these items to be lost"
    yield fail(LABELS, text, fix) if len(untaught) == len(asked) else warn(LABELS, text, fix)


# How right the incumbent's recorded answers are, where that can be told in a moment.

_SCORED_AT_ONCE = SCORERS_AT_ONCE | {"turn"}
"""Scorers that only compute (unless they ask a model): all of the incumbent's answers are scored in a moment."""
_SCORING_SECONDS = 2.0


async def incumbent_scores(
    task: Task, samples: Sequence[Sample], repeats: Mapping[str, Sequence[str]]
) -> list[float] | None:
    """The incumbent's scores against what is right; None where that takes long, costs a call, or
    where nothing says what is right."""
    if task.scorer not in _SCORED_AT_ONCE or any(one.gold is None for one in samples):
        return None
    with anyio.move_on_after(_SCORING_SECONDS):
        async with scorer_of(task) as scorer:
            if scorer.asks is not None:
                return None
            results = await score_all(
                scorer,
                "incumbent",
                samples,
                [frozen_answer(one, repeats) for one in samples],
                [one.gold for one in samples],
            )
        scores = [one.score.value for one in results]
        return [value for value in scores if value is not None] if None not in scores else None
    return None


class PreflightError(UsageError):
    """What was found speaks against beginning. `preflight` is all of it."""

    def __init__(self, preflight: Preflight) -> None:
        first, count = preflight.failed[0], len(preflight.failed)
        more = f" (and {count - 1} more)" if count > 1 else ""
        super().__init__(
            f"not begun, nothing was spent: {first.text}{more}",
            hint=f"{first.fix}. --anyway begins all the same",
        )
        self.preflight = preflight

    def told(self) -> dict[str, Any]:
        """All findings."""
        return {"preflight": self.preflight}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRequest:
    """What is about to begin. `config` is None where only a served candidate is asked. `frozen` are answers of the
    incumbent by sample id; with `freezes` the rest of the held-out samples will be asked of it. `trains` says that a
    model learns to write, `teaches` that any learns the labels. `addresses` are those that will be asked, besides that
    of a model which scores."""

    dataset: Dataset
    task: Task
    held_out: Sequence[Sample]
    config: ProjectConfig | None = None
    frozen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    looks: LookPlan = ONE_LOOK
    trains: bool = False
    teaches: bool = False
    freezes: bool = False
    addresses: tuple[AskedEndpoint, ...] = ()
    store: Store | None = None
    """Where looks are kept; None leaves them out."""


async def asked_findings(
    task: Task,
    samples: Sequence[Sample],
    addresses: Sequence[AskedEndpoint] = (),
    more: Sequence[Finding] = (),
) -> list[Finding]:
    """The scorer on these samples, then `more`, then every endpoint that will be asked, that of the scorer included."""
    findings = [*await scorer_findings(task, samples), *more]

    async def ask(address: AskedEndpoint) -> None:
        findings.extend(await address_findings(address))

    async with anyio.create_task_group() as group:
        for address in (*addresses, *scorer_addresses(task)):
            group.start_soon(ask, address)
    return findings


async def preflight(request: PreflightRequest, *, more: Sequence[Finding] = ()) -> Preflight:
    """Look at everything; `more` are findings of those who know more. Ten seconds at most, in which nothing is paid."""
    began = time.monotonic()
    findings = await asked_findings(request.task, request.held_out, request.addresses, more)
    is_scored = not any(one.check == SCORER and one.outcome == "fail" for one in findings)
    if request.config is not None:
        findings += length_findings(
            request.config, request.dataset, request.held_out, trains=request.trains, serves=request.trains
        )
    if request.teaches and is_scored:
        findings += label_findings(request.task, request.dataset, request.held_out)
    findings += shift_findings(request.dataset)
    findings += await _reach(request) if is_scored else []
    if request.store is not None:
        findings += look_findings(
            request.store, request.dataset, request.task, request.held_out, request.looks
        )
    return Preflight(
        findings=tuple(findings), items=len(request.held_out), seconds=round(time.monotonic() - began, 3)
    )


def require(found: Preflight, *, anyway: bool, progress: Progress) -> None:
    """Say what was found. Raises `PreflightError` where something failed, unless `anyway`."""
    if found.failed and not anyway:
        for one in found.doubted[1:]:
            progress.say(line(one))
        raise PreflightError(found)
    for one in found.doubted:
        progress.say(line(one))


def line(one: Finding) -> str:
    """A finding in a sentence, with the way out."""
    return f"{one.check}: {one.text.removesuffix('.')}" + (
        f". {one.fix[:1].upper()}{one.fix[1:]}" if one.fix else ""
    )


def scorer_addresses(task: Task) -> Iterator[AskedEndpoint]:
    """The model that the scorer asks, where it asks one."""
    try:
        asks = for_task(task).asks
    except FreeholdError:
        return  # the scorer's finding says it
    if asks is not None:
        who = "the judge" if task.scorer == "judge" else f"the model that scores ({task.scorer})"
        yield AskedEndpoint(who, asks.base_url, asks.model, asks.api_key_env, cached=asks.kept)


def _records(request: PreflightRequest) -> int | None:
    """Records that the held-out items are a share of; None where they have files of their own, or a limit."""
    data = None if request.config is None else request.config.data
    if data is None or data.held_out_files or data.held_out_limit is not None:
        return None
    return sum(split.samples for split in request.dataset.splits)


async def _reach(request: PreflightRequest) -> list[Finding]:
    filled, repeats = with_frozen(request.held_out, request.frozen)
    compared = filled if request.freezes else [one for one in filled if one.incumbent is not None]
    if not compared:
        config = request.config
        if config is None or config.incumbent is None or not filled:
            return []
        said = f"{config.incumbent.model} has no recorded answer to the {len(filled):,} held-out items"
        then = "candidates are measured against what is right, and none can be promoted"
        fix = "record its answers with freehold freeze ([incumbent] base_url), or bring a log that has them"
        return [warn(CHECK, f"{said}: {then}", fix)]
    codes = encode_groups([one.group for one in compared])
    items = Items(
        len(compared),
        for_task(request.task).binary,
        codes,
        None if request.freezes else await incumbent_scores(request.task, compared, repeats),
        _records(request),
        judged=request.task.scorer == "judge",
    )
    try:
        return list(
            reach_findings(items, margin=request.task.margin, alpha=request.task.alpha, looks=request.looks)
        )
    except FreeholdError as error:
        return [warn("margin", error.message, error.hint or "look at [task] margin and alpha")]
