"""The files of a harvest, written from the answers that are there, and the manifest that lists them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.datasets.identity import question_id
from freehold.datasets.writing import MADE_BY
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.answer_cache import AnswerCache
from freehold.evals.frozen import FrozenAnswers, read_frozen
from freehold.types.dataset import Message, SplitName
from freehold.types.harvest import Harvest, HarvestedAnswer, HarvestFile
from freehold.workflows.journey.harvest.parts import Ask, PlannedPart
from freehold.workflows.journey.harvest.written import critique_in, paraphrases_in

MANIFEST, ASKED = "harvest.json", "asked.jsonl"
WHAT = {
    ASKED: "every request with its answer and what it cost; what is here is never paid again",
    "answers.jsonl": "answers to samples, with log-probabilities where the model gives them",
    "repeats.jsonl": "several answers to each held-out sample, at the application's own temperature",
    "traffic.jsonl": "requests that had no answer, with the incumbent's: for freehold import",
    "rubric.md": "how the incumbent says its task is to be graded",
    "critiques.jsonl": "what the incumbent says of the candidate's errors, with a grade",
    "paraphrases.jsonl": "made-up messages of rare classes, marked as made by a model: for freehold import",
}


class HarvestedRepeats(FrozenAnswers, frozen=True, kw_only=True):
    """One line of ``repeats.jsonl``: all answers to a sample, and how many `different` texts are among them."""

    different: int


_FULL = "free some space, then run the same command again: what was answered is not asked again"
Answers = Mapping[str, ChatAnswer]


def usable(answer: ChatAnswer | None) -> bool:
    """Whether an answer came: a cut one too, it is what the application would have got."""
    return answer is not None and answer.output is not None and answer.fault != "infrastructure"


def write_outputs(
    folder: Path,
    parts: Sequence[PlannedPart],
    answers: Answers,
    splits: Mapping[str, SplitName],
    held_out: set[str],
) -> None:
    """Write what was answered. `splits` says where a sample is, `held_out` are the questions that must not be taught.

    Raises `StorageError`.
    """
    by_name = {part.name: [ask for ask in part.asks if usable(answers.get(ask.key))] for part in parts}
    # What an earlier dataset was answered stays: its samples may come again.
    told = {one.sample_id: one for one in _lines(folder / "answers.jsonl")}
    told |= {
        one.sample_id: one for one in _answers([*by_name["held_out"], *by_name["train"]], answers, splits)
    }
    _write(folder / "answers.jsonl", told.values())
    repeats = read_frozen(folder / "repeats.jsonl") | _repeats(by_name["repeats"], answers)
    _write(
        folder / "repeats.jsonl",
        (
            HarvestedRepeats(sample_id=id, answers=some, different=len(set(some)))
            for id, some in repeats.items()
        ),
    )
    _write(folder / "traffic.jsonl", (_exchange(ask, answers[ask.key]) for ask in by_name["unlabelled"]))
    _write(
        folder / "critiques.jsonl",
        (critique_in(ask, answers[ask.key].output or "") for ask in by_name["critiques"]),
    )
    _write(folder / "paraphrases.jsonl", _paraphrases(by_name["paraphrases"], answers, held_out))
    for ask in by_name["rubric"]:
        with files.writing(f"{folder / 'rubric.md'}: cannot be written", hint=_FULL):
            files.write(folder / "rubric.md", (answers[ask.key].output or "") + "\n", private=True)


def freeze_as_well(path: Path, part: PlannedPart, answers: Answers) -> None:
    """Put the answers where `freeze` looks for its own, so that it does not ask again. Raises `StorageError`."""
    with AnswerCache(path) as cache:
        for ask in part.asks:
            answer = answers.get(ask.key)
            if ask.plain_key is not None and answer is not None and cache.get(ask.plain_key) is None:
                cache.put(ask.plain_key, msgspec.structs.replace(answer, teacher=None))
    path.chmod(0o600)


def write_manifest(folder: Path, harvest: Harvest) -> Harvest:
    """Write ``harvest.json`` with every file that is there. Raises `StorageError`."""
    found = []
    with files.writing(f"{folder / MANIFEST}: cannot be written", hint=_FULL):
        for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.name != MANIFEST):
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines = path.read_bytes().count(b"\n") if path.suffix == ".jsonl" else None
            what = WHAT.get(name, "of the account, as the API gave it")
            found.append(
                HarvestFile(path=name, what=what, bytes=path.stat().st_size, sha256=digest, records=lines)
            )
        harvest = msgspec.structs.replace(harvest, files=tuple(found))
        text = msgspec.json.format(msgspec.json.encode(harvest)) + b"\n"
        files.write(folder / MANIFEST, text, private=True, durable=True)
    return harvest


def _answers(
    asks: Iterable[Ask], answers: Answers, splits: Mapping[str, SplitName]
) -> Iterable[HarvestedAnswer]:
    for ask in asks:
        answer = answers[ask.key]
        yield HarvestedAnswer(
            sample_id=ask.about,
            split=splits[ask.about],
            model=ask.model,
            answer=answer.output or "",
            teacher=answer.teacher,
        )


def _lines(path: Path) -> list[HarvestedAnswer]:
    if not path.exists():
        return []
    with files.reading(path):
        return [msgspec.json.decode(line, type=HarvestedAnswer) for line in path.read_bytes().splitlines()]


def _repeats(asks: Iterable[Ask], answers: Answers) -> dict[str, tuple[str, ...]]:
    told: dict[str, list[str]] = {}
    for ask in asks:
        told.setdefault(ask.about, []).append(answers[ask.key].output or "")
    return {id: tuple(some) for id, some in told.items()}


def _exchange(ask: Ask, answer: ChatAnswer) -> dict[str, Any]:
    """A line as OpenAI's stored completions are, which `freehold import` reads."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.output}
    if ask.sample is not None and ask.sample.tools and (answer.output or "").startswith("[{"):
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": msgspec.json.decode(answer.output or ""),
        }
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    if answer.teacher is not None:
        content = [
            {"token": one.text, "top_logprobs": [{"token": t, "logprob": p} for t, p in one.top]}
            for one in answer.teacher
        ]
        choice["logprobs"] = {"content": content}
    told = {
        key: value for key, value in ask.body.items() if key not in ("messages", "logprobs", "top_logprobs")
    }
    return {
        **told,
        "id": f"harvest-{ask.key}",
        "object": "chat.completion",
        "messages": ask.body["messages"],
        "choices": [choice],
        "metadata": {"harvested_from": ask.model},
    }


def _paraphrases(asks: Iterable[Ask], answers: Answers, held_out: set[str]) -> Iterable[dict[str, Any]]:
    """Lines that `freehold import` reads: made by a model, for training only, never a question that is held out."""
    for ask in asks:
        assert ask.sample is not None
        before = ask.sample.messages[:-1]
        for text in paraphrases_in(answers[ask.key].output or ""):
            asked = (*before, Message(role=ask.sample.messages[-1].role, content=text))
            if question_id(asked) in held_out:
                continue
            yield {
                "messages": [
                    *msgspec.to_builtins(asked),
                    {"role": "assistant", "content": ask.sample.target},
                ],
                "metadata": {"split": "train", MADE_BY: ask.model, "paraphrase_of": ask.about},
            }


def _write(path: Path, lines: Iterable[Any]) -> None:
    """One file, private, in one step; none where there is nothing to write and there was none."""
    data = b"".join(msgspec.json.encode(one) + b"\n" for one in lines)
    if not data and not path.exists():
        return
    with files.writing(f"{path}: cannot be written", hint=_FULL):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(path, data, private=True)
