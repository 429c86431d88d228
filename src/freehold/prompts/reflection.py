"""A system prompt rewritten by a model that reads what went wrong: GEPA, by the library `gepa` (extra ``prompt``).

GEPA (Agrawal et al. 2025, arXiv 2507.19457) keeps a pool of prompts, takes one that is best on some sample, shows a
proposer a few of its answers with what the scorer says of them, and keeps the rewritten prompt where it does better on
these; the pool is measured on other samples. The library's part is the search; what is asked, paid, refused and kept is
freehold's. It is run without a folder of its own: with the same seed and the same answers it does the same again, and
answers are kept where they are asked, so a second run goes on where the first was killed.

Not covered: merging two prompts (there is one text here, so there is nothing to merge).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from freehold.errors import MissingExtraError
from freehold.prompts.checks import Checks
from freehold.prompts.measuring import Measure, PromptAnswer, SearchEndedError, trial, worth
from freehold.prompts.variants import AskedOf, rewritten
from freehold.types.dataset import Sample
from freehold.types.preparation import Preparation
from freehold.types.prompting import PromptTrial

log = logging.getLogger(__name__)

MINIBATCH = 4
"""Answers that are shown to the proposer at a time."""
_COMPONENT = "system"
QUOTES = "'''"
"""In place of a fence in what is shown."""
_LONGEST_SHOWN = 1500
"""Characters of a message or an answer that is shown to the proposer."""

TEMPLATE = """An application sends this system prompt to a language model, before each user's message:
```
<curr_param>
```

Below are messages, the model's answers to them, and what was wrong or right with each answer:
```
<side_info>
```
<form>
Write a better system prompt for this model, in place of the one above. Keep what the application asks for. \
Say plainly what an answer must look like, and whatever else the model got wrong. \
Write rules that hold for messages that are still to come: do not quote the messages above or their answers."""
"""The question but for its end, which says the form of the reply (`freehold.prompts.replies`)."""


class Reflected(NamedTuple):
    """Prompts that were kept, measured on all samples, and why the search ended before its budget did."""

    trials: list[PromptTrial]
    stopped: str | None


class Propose(Protocol):
    """Answers a text with a reply that holds a prompt in place of `current`."""

    def __call__(self, text: str, ids: Sequence[str], *, current: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionPlan:
    """What GEPA works with. `propose` answers a text with a text, and raises `SearchEndedError` where the budget is
    spent or the proposer is gone; `ids` names the samples that the text shows, and `current` is the prompt that is to
    be made better. `form` says how answers look, where that is known."""

    asked: AskedOf
    start: Preparation
    train: Sequence[Sample]
    validation: Sequence[Sample]
    measure: Measure
    propose: Propose
    checks: Checks
    most_proposals: int
    form: str | None = None
    seed: int = 0

    @property
    def most_requests(self) -> int:
        """Requests to the model at most: each proposal is tried on a minibatch, after its parent was, and on all
        validation samples where it is kept."""
        return len(self.validation) + self.most_proposals * (2 * MINIBATCH + len(self.validation))


def require() -> None:
    """Raise `MissingExtraError` where the library is not installed."""
    try:
        import gepa  # noqa: F401
    except ImportError:
        raise MissingExtraError("rewriting a prompt with a proposer", "prompt") from None


def reflect(plan: ReflectionPlan) -> Reflected:
    """Search, and measure what was kept. What was found before an early end is returned with the reason."""
    require()
    from gepa.api import optimize

    adapter = _Adapter(plan)
    as_gepa: Any = adapter  # it keeps the protocol, which is not there without the extra
    done: Any = adapter.done
    try:
        optimize(
            seed_candidate={_COMPONENT: _system(plan)},
            trainset=list(plan.train),
            valset=list(plan.validation),
            adapter=as_gepa,
            reflection_minibatch_size=min(MINIBATCH, len(plan.train)),
            max_metric_calls=plan.most_requests,
            stop_callbacks=done,
            logger=_Logger(),
            seed=plan.seed,
            raise_on_exception=True,
            cache_evaluation=False,
            track_best_outputs=False,
        )
    except SearchEndedError as error:
        adapter.stopped = error.message
    return Reflected(list(adapter.kept.values()), adapter.stopped)


def _system(plan: ReflectionPlan) -> str:
    return plan.start.system if plan.start.system is not None else (plan.asked.system or "")


class _Adapter:
    """GEPA's view of the model: one text, whose answers are scored.

    It is asked for every prompt on minibatches, and on all validation samples for those that GEPA keeps.
    """

    def __init__(self, plan: ReflectionPlan) -> None:
        self._plan = plan
        self._whole = [one.id for one in plan.validation]
        self._names: dict[str, str] = {}
        self._perfect = False
        self.kept: dict[str, PromptTrial] = {}
        self.stopped: str | None = None

    def done(self, state: Any) -> bool:
        """Whether GEPA should stop before its next proposal."""
        if self._perfect:
            self.stopped = "every answer to the validation samples is right"
        return self.stopped is not None or len(self._plan.checks.proposals) >= self._plan.most_proposals

    def evaluate(self, batch: list[Sample], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        from gepa.core.adapter import EvaluationBatch

        text = candidate[_COMPONENT]
        preparation = self._preparation(text)
        name = self._names.get(text, "start")
        answers = self._plan.measure(preparation, batch, name=name)
        if [one.id for one in batch] == self._whole:
            self._perfect = self._perfect or worth(answers) == 1.0
            if text in self._names:
                self.kept[text] = trial(name, preparation, answers)
        return EvaluationBatch(
            outputs=[one.output for one in answers],
            scores=[one.worth for one in answers],
            trajectories=answers if capture_traces else None,
        )

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        return {_COMPONENT: [shown(one) for one in eval_batch.trajectories]}

    def propose_new_texts(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        from gepa.strategies.instruction_proposal import InstructionProposalSignature

        if self.done(None):
            return {}
        current = candidate[_COMPONENT]
        rows = reflective_dataset[_COMPONENT]
        prompt = InstructionProposalSignature.prompt_renderer(
            {
                "current_instruction_doc": current,
                "dataset_with_feedback": [
                    {name: value for name, value in row.items() if name != "id"} for row in rows
                ],
                "prompt_template": TEMPLATE.replace("<form>", _stated(self._plan.form)),
            }
        )
        assert isinstance(prompt, str)  # there are no images in what is shown
        try:
            reply = self._plan.propose(prompt, [str(row["id"]) for row in rows], current=current)
        except (
            SearchEndedError
        ) as error:  # GEPA would take what is raised here for a proposal that failed, and go on
            self.stopped = error.message
            return {}
        made = self._plan.checks.take(reply, current)
        if made.text is None:
            log.info("proposal %d refused: %s", made.number, made.why_refused)
            return {}
        self._names[made.text] = f"proposal {made.number}"
        return {_COMPONENT: made.text}

    def _preparation(self, text: str) -> Preparation:
        if text == _system(self._plan):
            return self._plan.start
        return rewritten(self._plan.asked, self._plan.start, text)


class _Logger:
    """GEPA's own talk, which would stand on stdout."""

    def log(self, message: str) -> None:
        log.debug("gepa: %s", message)


def shown(answer: PromptAnswer) -> dict[str, Any]:
    """One answer as the proposer is shown it, with what was wanted and what the scorer says."""
    sample = answer.sample
    said = [_text(message.content) for message in sample.messages if message.role == "user"]
    if answer.score is not None and answer.score >= 1.0:
        feedback = "Right."
    elif not answer.format_ok:
        feedback = f"The form is wrong: {answer.reason or 'it cannot be read'}."
    else:
        feedback = f"Wrong: {answer.reason or 'this is not the answer that was wanted'}."
    if sample.target is not None and (answer.score or 0.0) < 1.0:
        feedback += f" Wanted: {_cut(sample.target)}"
    return {
        "id": sample.id,
        "Message": _cut(said[-1] if said else ""),
        "Answer": _cut(answer.output) or "(nothing)",
        "Feedback": feedback,
    }


def _stated(form: str | None) -> str:
    """The form of answers as the question says it; empty where it is not known."""
    return "" if form is None else f"\nWhat the application expects:\n{form.replace('```', QUOTES)}\n"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _cut(text: str) -> str:
    # A fence in what is shown would end the block in which it stands.
    text = text.replace("```", QUOTES)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
