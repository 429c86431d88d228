"""`freehold evaluate --trajectories`: does the candidate bring whole sessions to the same end as the recorded ones?

Sessions of the held-out split are played from their opening: the candidate's own decisions, the recorded results of
tools, the recorded user. No tool is run. A session is one item: its turns depend on each other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.datasets import building
from freehold.errors import UsageError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.answer_cache import AnswerCache
from freehold.evals.chat.asker import Asker
from freehold.evals.chat.chat_client import ChatClient
from freehold.evals.chat.requests import asking_notes, chat_request, request_key
from freehold.evals.comparing import SideBySide, compare
from freehold.evals.replay import ReplayOptions, served_model
from freehold.evals.scorer import Scorer
from freehold.evals.scorers import make
from freehold.evals.trajectories.playing import Ask, Played, play
from freehold.evals.trajectories.recorded_tools import LEAST_LIKENESS
from freehold.evals.trajectories.sessions import RecordedSession, RecordedSessions, session_id, sessions_of
from freehold.evals.trajectories.success import Success, success_of
from freehold.stats.compare import ScoreContext
from freehold.stats.survival import product_limit
from freehold.store import open_store
from freehold.types.dataset import Dataset, Sample
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Comparison, EvalResult, LookCount, Score, Task
from freehold.types.progress import Progress, Silent
from freehold.types.record import content_id
from freehold.types.trajectory import Trajectory, TrajectoryEvaluation, TurnSurvival
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.evaluate import WHOLE_LATEST, HeldOutSelection, ServedCandidate
from freehold.workflows.prove.looks import Looks, look_at, with_look
from freehold.workflows.prove.preflight.check import require
from freehold.workflows.prove.preflight.sessions import SessionsRequest, sessions_preflight

_OPTIONS = ReplayOptions()


class TrajectoryRequest(NamedTuple):
    """When a session has succeeded (see `success_of`). `anyway` plays also where a look beforehand finds no good
    end."""

    success: str
    anyway: bool = False


async def evaluate_trajectories(
    project: Project,
    candidate: ServedCandidate,
    task: Task,
    request: TrajectoryRequest,
    *,
    selection: HeldOutSelection = WHOLE_LATEST,
    options: ReplayOptions = _OPTIONS,
    fresh: bool = False,
    progress: Progress | None = None,
) -> TrajectoryEvaluation:
    """Play the held-out sessions with a candidate, compare with the recorded ones, and keep the record.

    Answers are kept as they come, so that a stopped run goes on. `selection.limit` takes the first sessions only.
    Raises `UsageError` where no session is held out, `ConfigError` for an unknown success, as `replay` does, and before
    anything is asked `PreflightError` where no good end is possible (with `request.anyway` it is only told).
    """
    progress = progress or Silent()
    success = success_of(request.success)
    folder = project.state / "evaluations"
    with open_store(project.store_url) as store:
        dataset = find_dataset(store, selection.dataset_id)
        found = _sessions(dataset, selection.limit)
        if fresh:
            _cache(folder, candidate).unlink(missing_ok=True)
        addresses = [candidate.address(kept=_cache(folder, candidate).exists())]
        seen = await sessions_preflight(
            SessionsRequest(
                dataset=dataset,
                task=task,
                success=request.success,
                sessions=found.sessions,
                decisions=_decisions(dataset, found),
                addresses=tuple(addresses),
                store=store,
                planned_looks=selection.planned_looks,
            )
        )
        require(seen, anyway=request.anyway, progress=progress)
        table = _Table(candidate, task, request, success, options, progress)
        trajectories = await table.play(found.sessions, folder)
        looks = Looks(store, selection.planned_looks)
        made = _evaluation(dataset, found, table, trajectories, looks)
        path = folder / f"trajectories-{made.id}.jsonl"
        made = msgspec.structs.replace(made, results_file=str(_write(path, trajectories)))
        store.put(made.comparison, made_from=made.comparison.made_from)
        store.put_once(made, made_from=(dataset.id, made.comparison.id))
    return made


def _sessions(dataset: Dataset, limit: int | None) -> RecordedSessions:
    found = sessions_of(building.samples(dataset, "held_out"))
    if not found.sessions:
        raise UsageError(
            "no held-out session has an answer of the assistant", hint="freehold dataset build holds some out"
        )
    return found._replace(sessions=found.sessions[:limit])


def _decisions(dataset: Dataset, found: RecordedSessions) -> list[Sample]:
    """The samples of the sessions: judged one by one they are the same evidence."""
    ids = {one.id for one in found.sessions}
    return [one for one in building.samples(dataset, "held_out") if session_id(one) in ids]


def _cache(folder: Path, candidate: ServedCandidate) -> Path:
    answers = candidate.answers_file(folder)
    return answers.with_name(f"trajectory-{answers.name}")


class _Table(NamedTuple):
    """What all sessions of one evaluation are played with."""

    candidate: ServedCandidate
    task: Task
    request: TrajectoryRequest
    success: Success
    options: ReplayOptions
    progress: Progress

    async def play(self, sessions: Sequence[RecordedSession], folder: Path) -> list[Trajectory]:
        """The trajectories, in the sessions' order; as many sessions at once as the options say."""
        options = self.task.options if self.task.scorer == "turn" else {}
        # Whether a text was wanted decides how a session goes on; what it says is for the success to judge.
        scorer = make("turn", {**options, "text": "any", "text_options": {}})
        limit, done = asyncio.Semaphore(self.options.concurrency), 0
        async with AsyncExitStack() as stack:
            ask = await self._asking(
                stack,
                self.candidate.endpoint,
                self.candidate.model,
                _cache(folder, self.candidate),
                len(sessions),
            )

            async def one(session: RecordedSession) -> Trajectory:
                nonlocal done
                async with limit:
                    made = await self._trajectory(session, ask, scorer)
                done += 1
                self.progress.update(done, len(sessions), unit="sessions")
                return made

            try:
                return await asyncio.gather(*map(one, sessions))
            finally:
                await self.success.close()

    async def _asking(
        self, stack: AsyncExitStack, endpoint: Endpoint, model: str, kept: Path, expected: int
    ) -> Ask:
        served = served_model(endpoint, model)
        cache = stack.enter_context(AnswerCache(kept))
        client = await stack.enter_async_context(
            ChatClient(endpoint, concurrency=self.options.concurrency, patience=self.options.patience)
        )
        asker = Asker(client, cache, self.options.budget, expected)

        async def ask(sample: Sample) -> ChatAnswer:
            body = chat_request(sample, served, self.task, endpoint)
            answer, _ = await asker.ask(request_key(body, served, endpoint), body)
            return answer

        return ask

    async def _trajectory(self, session: RecordedSession, ask: Ask, scorer: Scorer) -> Trajectory:
        played = await play(session, ask, scorer)
        recorded = Score(value=1.0)
        if not self.success.by_recording:
            recorded = await self.success.check(session, session.transcript)
        return Trajectory(
            session=session.id,
            turns=played.turns,
            ended=played.ended,
            success=await self._success(session, played),
            recorded_success=recorded,
            recorded_turns=len(session.decisions),
            parted_at=played.parted_at,
            messages=played.messages,
            error=played.error,
            metadata=session.sample.metadata,
        )

    async def _success(self, session: RecordedSession, played: Played) -> Score:
        if played.ended == "infrastructure":
            return Score(value=None, reason=played.error)
        if played.ended in ("fault", "broken_call"):
            return Score(value=0.0, reason=played.error, format_ok=False)
        if played.ended == "turn_limit":
            return Score(value=0.0, reason=played.error)
        return await self.success.check(session, played.messages)


def _evaluation(
    dataset: Dataset, found: RecordedSessions, table: _Table, trajectories: Sequence[Trajectory], looks: Looks
) -> TrajectoryEvaluation:
    incumbent = dataset.incumbent_model or "incumbent"
    answers = [
        [[turn.answer for turn in one.turns], one.success.value, one.recorded_success.value]
        for one in trajectories
    ]
    id = content_id([dataset.id, table.task, table.request.success, answers])
    results = Counter(
        source.partition(" ")[0] for one in trajectories for turn in one.turns for source in turn.results
    )
    with_miss = sum(one.results("miss") > 0 for one in trajectories)
    notes = _notes(found, table, results, with_miss)
    look = looks.take(
        look_at(
            _decisions(dataset, found),
            evaluation_id=id,
            dataset_id=dataset.id,
            names=(incumbent, table.candidate.model),
            alpha=table.task.alpha,
        )
    )
    return TrajectoryEvaluation(
        id=id,
        task=table.task,
        success=table.success.name,
        dataset_id=dataset.id,
        incumbent=incumbent,
        candidate=table.candidate.model,
        endpoint=table.candidate.endpoint.base_url,
        comparison=with_look(_comparison(dataset, found, table, trajectories, look), look),
        sessions=len(trajectories),
        turns=sum(len(one.turns) for one in trajectories),
        ended=dict(Counter(one.ended for one in trajectories)),
        results=dict(results),
        sessions_with_a_miss=with_miss,
        survival=survival(trajectories),
        sandbox=table.success.sandbox,
        notes=notes,
    )


def _comparison(
    dataset: Dataset,
    found: RecordedSessions,
    table: _Table,
    trajectories: Sequence[Trajectory],
    look: LookCount,
) -> Comparison:
    """RecordedSessions as items, each with its success on either side."""
    items = [msgspec.structs.replace(one.sample, id=one.id, group=None) for one in found.sessions]
    incumbent = dataset.incumbent_model or "incumbent"

    def column(model: str, scores: Sequence[Score]) -> list[EvalResult]:
        return [
            EvalResult(sample_id=one.id, model=model, output=None, score=score)
            for one, score in zip(items, scores, strict=True)
        ]

    sides = SideBySide(
        items,
        [None] * len(items),
        column(incumbent, [one.recorded_success for one in trajectories]),
        column(table.candidate.model, [one.success for one in trajectories]),
        incumbent,
        table.candidate.model,
    )
    lengths: list[str | None] = [_bucket(one.recorded_turns) for one in trajectories]
    task = table.task
    return compare(
        sides,
        msgspec.structs.replace(task, alpha=look.alpha, slices=()),
        made_from=(dataset.id,),
        context=ScoreContext(looks=1 if look.may_promote else look.number),
        slices={"recorded turns": lengths} if len(set(lengths)) > 1 else None,
    )


def _bucket(turns: int) -> str:
    return str(turns) if turns < 3 else "3 to 5" if turns <= 5 else "6 and more"


def survival(trajectories: Sequence[Trajectory]) -> tuple[TurnSurvival, ...]:
    """How long trajectories stay as recorded, decision by decision, beside what independent errors would give."""
    lasted = [
        (sum(turn.as_recorded is not None for turn in one.turns), one.parted_at is not None)
        for one in trajectories
    ]
    curve = product_limit([one for one in lasted if one[0]])
    decisions = sum(step.at_risk for step in curve)
    accuracy = 1 - sum(step.failed for step in curve) / decisions if decisions else 0.0
    return tuple(
        TurnSurvival(
            turn=step.number,
            at_risk=step.at_risk,
            as_recorded=step.at_risk - step.failed,
            accuracy=1 - step.failed / step.at_risk,
            survived=step.survived,
            if_independent=accuracy**step.number,
        )
        for step in curve
    )


def _notes(found: RecordedSessions, table: _Table, results: Counter[str], with_miss: int) -> tuple[str, ...]:
    notes = [
        f"No tool was run. Of {results.total():,} calls {results['exact']:,} got the result recorded for this call, "
        f"{results['nearest']:,} that of the nearest call of the tool (likeness from {LEAST_LIKENESS:g}), "
        f"{results['miss']:,} none, in {with_miss:,} sessions."
    ]
    if table.success.by_recording:
        notes.append(
            "The recorded session is right by construction, and another way to the same end is wrong: the candidate "
            "can only lose. A function of your own judges both sides."
        )
    if found.off_the_way:
        notes.append(
            f"{found.off_the_way:,} samples lie off the longest way of their session and were not played."
        )
    samples = [one.sample for one in found.sessions]
    return (*notes, *asking_notes(samples, table.candidate.endpoint))


def _write(path: Path, trajectories: Sequence[Trajectory]) -> Path:
    with files.writing(
        f"{path}: trajectories cannot be written",
        hint="free some space or check who owns the folder, then run the command again",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in trajectories))
    return path
