"""Whether an encoder is served as it was trained: messages that PyTorch answered before it was written, to the engine.

Both sides read the messages themselves, so a prefix, a tokenizer, a pooling, heads or a calibration that got lost on
the way shows. Judged by answers, and by their probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import msgspec

from freehold import engines
from freehold.engines import keys
from freehold.errors import UpstreamError
from freehold.late import aiohttp
from freehold.store import open_store
from freehold.training.encoder import reference
from freehold.types.dataset import Sample
from freehold.types.encoder import EncoderModel
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.parity import ParityReport
from freehold.types.progress import Progress
from freehold.types.record import content_id
from freehold.wire.base_url import joined
from freehold.workflows.project import Project, now
from freehold.workflows.prove.encoder_parity.judging import EncoderAnswered, compare, summarize

SECONDS = 300.0


def encoder_parity(
    project: Project, *, plan: ServePlan, encoder: EncoderModel, progress: Progress, most: int | None = None
) -> ParityReport:
    """Serve `plan`, compare its answers with those the trainer's model gave, to at most that many messages, and keep
    the report. Raises what starting an engine and reading the answers raise."""
    trained = reference.read(encoder)[:most]
    progress.say(f"{len(trained)} messages to {plan.model}, which its trainer's model has answered")
    served = anyio.run(_ask, project, plan, [one.sample for one in trained], progress)
    items = [compare(encoder.manifest, one, other) for one, other in zip(served, trained, strict=True)]
    draft = summarize(items, model=plan.model, adapter_id=encoder.id)
    report = msgspec.structs.replace(draft, at=now().isoformat(), made_from=(encoder.id, encoder.base_sha256))
    report = msgspec.structs.replace(report, id=content_id(report))
    with open_store(project.store_url) as store:
        store.put(report, made_from=report.made_from)
    return report


async def _ask(
    project: Project, plan: ServePlan, samples: Sequence[Sample], progress: Progress
) -> list[EncoderAnswered]:
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
) -> EncoderAnswered:
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
        return EncoderAnswered(
            tokens=body["usage"]["prompt_tokens"],
            answer=body["choices"][0]["message"]["content"],
            confidence=body["freehold"]["probability"],
        )
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, LookupError) as error:
        raise UpstreamError(f"{url}: {error or type(error).__name__}") from None
