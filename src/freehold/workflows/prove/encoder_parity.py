"""Whether an encoder is served as it was trained: messages that PyTorch answered before it was written, to the engine.

Both sides read the messages themselves, so a prefix, a tokenizer, a pooling, heads or a calibration that got lost on
the way shows. Judged by answers, and by their probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from freehold import __version__, engines
from freehold.engines import keys
from freehold.errors import UpstreamError, WeightsError
from freehold.late import aiohttp
from freehold.progress import Progress
from freehold.store import open_store
from freehold.training.encoder import output, read_record
from freehold.types.dataset import Sample
from freehold.types.encoder import EncoderManifest, EncoderModel
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.gates import Cause, EncoderReference, ParityItem, ParityReport
from freehold.types.record import content_id
from freehold.wire.base_url import joined
from freehold.workflows.project import Project, now
from freehold.workflows.serve.encoder import plan_encoder
from freehold.workflows.weights.trained import ENCODERS, encoder_folder

SECONDS = 300.0
MOST_APART = 0.01
"""Of probabilities. The served graph computes in the same precision as PyTorch and stays within 0.001; an encoder that
was cut into other tokens, pooled otherwise or packed into fewer bits does not."""
MOST_OTHER = 0.01
"""Share of values that may differ: near ties, which rounding decides."""


def encoder_meant(project: Project, model: str | None, chosen: ServePlan | None) -> EncoderModel | None:
    """The encoder that a name means, or without one the chosen plan; None where that is another model.

    Raises `WeightsError` for a folder that is gone or has no record of its making, `UsageError` for a name of several.
    """
    if model is None:
        folder = None if chosen is None or chosen.engine != "encoder" else Path(chosen.weights_path or "")
    else:
        folder = encoder_folder(model)
    if folder is not None:
        if (record := read_record(folder)) is None:
            raise WeightsError(
                f"{folder} holds no encoder with the record of its making",
                hint="freehold migrate makes it again",
            )
        return record
    return ENCODERS.find(project, model) if model is not None and ENCODERS.matching(project, model) else None


def parity_of(
    project: Project, encoder: EncoderModel, *, plan: ServePlan | None, most: int, progress: Progress
) -> ParityReport:
    """`encoder_parity` as `plan` would serve it, else as `freehold serve` would."""
    serve = project.config.serve
    plan = plan or plan_encoder(
        Path(encoder.path),
        encoder.name,
        project.settings,
        context_tokens=serve.context_tokens,
        parallel=serve.parallel,
    )
    plan = msgspec.structs.replace(plan, port=0)
    return encoder_parity(project, plan=plan, encoder=encoder, progress=progress, most=most)


def encoder_parity(
    project: Project, *, plan: ServePlan, encoder: EncoderModel, progress: Progress, most: int | None = None
) -> ParityReport:
    """Serve `plan`, compare its answers with those the trainer's model gave, to at most that many messages, and keep
    the report. Raises what starting an engine and reading the answers raise."""
    trained = output.read_answers(encoder)[:most]
    progress.say(f"{len(trained)} messages to {plan.model}, which its trainer's model has answered")
    served = anyio.run(_ask, project, plan, [one.sample for one in trained], progress)
    items = [compare(encoder.manifest, one, other) for one, other in zip(served, trained, strict=True)]
    draft = summarize(items, model=plan.model, adapter_id=encoder.id)
    return kept_report(project, draft, (encoder.id, encoder.base_sha256))


def kept_report(project: Project, draft: ParityReport, made_from: tuple[str, ...]) -> ParityReport:
    """The report with its time and id, kept in the project's store."""
    report = msgspec.structs.replace(draft, at=now().isoformat(), made_from=made_from)
    report = msgspec.structs.replace(report, id=content_id(report))
    with open_store(project.store_url) as store:
        store.put(report, made_from=made_from)
    return report


async def _ask(
    project: Project, plan: ServePlan, samples: Sequence[Sample], progress: Progress
) -> list[EncoderReference]:
    answers = []
    async with (
        engines.start(plan, log_dir=project.state / "engines", name="parity") as endpoint,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=SECONDS), headers=keys.headers(endpoint)
        ) as http,
    ):
        for number, sample in enumerate(samples):
            answers.append(await _answer(http, endpoint, plan.model, sample))
            progress.update(number + 1, len(samples), unit="messages")
    return answers


async def _answer(
    http: aiohttp.ClientSession, endpoint: Endpoint, model: str, sample: Sample
) -> EncoderReference:
    messages = [
        {"role": message.role, "content": message.content}
        for message in sample.messages
        if message.role in ("system", "developer", "user", "assistant")
    ]
    url = joined(endpoint.base_url, "/v1/chat/completions")
    try:
        async with http.post(url, json={"model": model, "messages": messages}) as reply:
            data = await reply.read()
            if reply.status != 200:
                raise UpstreamError(f"{url} answered {reply.status}: {data[:200].decode(errors='replace')}")
            body = msgspec.json.decode(data)
        return EncoderReference(
            sample=sample,
            tokens=body["usage"]["prompt_tokens"],
            answer=body["choices"][0]["message"]["content"],
            probability=body["freehold"]["probability"],
        )
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, LookupError) as error:
        raise UpstreamError(f"{url}: {error or type(error).__name__}") from None


def compare(manifest: EncoderManifest, served: EncoderReference, trained: EncoderReference) -> ParityItem:
    """One message's two sides."""
    equal_tokens = served.tokens == trained.tokens
    mine, other = (_values(manifest, text) for text in (served.answer, trained.answer))
    return ParityItem(
        sample_id=trained.sample.id,
        prompt_tokens=trained.tokens,
        difference_at=None if equal_tokens else min(served.tokens, trained.tokens),
        trainer_token=None if equal_tokens else f"{trained.tokens} tokens",
        served_token=None if equal_tokens else f"{served.tokens} tokens",
        tokens=len(other),
        agreeing=sum(a == b for a, b in zip(mine, other, strict=False)) if len(mine) == len(other) else 0,
        distance=abs(served.probability - trained.probability),
    )


def summarize(items: Sequence[ParityItem], *, model: str, adapter_id: str | None) -> ParityReport:
    """Join items into a report; id and time are added later. An item's distance is one of probabilities."""
    values, agreeing = sum(item.tokens for item in items), sum(item.agreeing for item in items)
    apart = max((item.distance or 0.0 for item in items), default=0.0)
    unequal = [item for item in items if item.difference_at is not None]
    cause: Cause = "template" if unequal else "numbers"
    reason = None
    if not values:
        reason = "no message was compared"
    elif unequal:
        reason = (
            f"{len(unequal)} of {len(items)} messages are cut into other tokens; the first has "
            f"{unequal[0].trainer_token} trained, {unequal[0].served_token} served"
        )
    elif apart > MOST_APART or values - agreeing > MOST_OTHER * values:
        reason = (
            f"{values - agreeing} of {values} values differ, probabilities are up to {apart:.3f} apart: other "
            "weights, pooling or heads than those trained"
        )
    return ParityReport(
        id="",
        at="",
        version=__version__,
        model=model,
        adapter_id=adapter_id,
        engine="encoder",
        passed=reason is None,
        causes=() if reason is None else (cause,),
        reasons=() if reason is None else (reason,),
        prompts=len(items),
        prompts_equal=len(items) - len(unequal),
        tokens=values,
        token_agreement=agreeing / values if values else 0.0,
        distance=None,
        base_distance=None,
        stops=0,
        stops_equal=0,
        probability_distance=apart,
        # An item's distance is in nats everywhere else.
        items=tuple(msgspec.structs.replace(item, distance=None) for item in items),
    )


def _values(manifest: EncoderManifest, answer: str) -> list[Any]:
    """The values of an answer, one of each field; the whole text where it is not of the encoder's own form."""
    if manifest.answer != "json":
        return [answer]
    try:
        value = json.loads(answer)
    except ValueError:
        return [answer]
    return [value.get(field.name) for field in manifest.fields] if isinstance(value, dict) else [answer]
