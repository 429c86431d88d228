"""Examples in a prompt: which samples become one, how many are shown, and the candidate that shows them."""

import json
import shutil
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.gateway.loopback import ANSWER, FakeUpstream, plain
from tests.workflows.journey.rehearsal import Told, bench, candidate_of, project, training_project

from freehold.datasets import building
from freehold.errors import EngineError
from freehold.preparing import request
from freehold.preparing.index import is_there, write_index
from freehold.progress import Silent
from freehold.types.config import MethodSettings
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Example, ExampleIndex, Preparation, ServePlan
from freehold.types.evaluation import Task
from freehold.workflows.journey.examples import (
    ROUNDS,
    Gathered,
    choose,
    example_of,
    gather,
    near_twins,
    refusal,
)
from freehold.workflows.journey.methods import METHODS, Candidate, NotMadeError
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project
from freehold.workflows.serve.plan import project_plan

TASK = Task(name="t", scorer="exact", max_tokens=8)
EXAMPLES = [Example(id=f"e{n}", question=f"shop {n}", answer="no") for n in range(40)]
SAMPLES = [
    Sample(id=f"v{n}", messages=(Message(role="user", content=f"shop of {n}"),), gold="right")
    for n in range(120)
]
SETTINGS = [(k, order) for k in (2, 4, 8) for order in ("nearest_last", "nearest_first")]


@pytest.fixture
def server():
    upstream = FakeUpstream()
    yield upstream
    upstream.close()


def answer(text, prompt_tokens=40):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 1, "total_tokens": prompt_tokens + 1}
    return plain({**ANSWER, "choices": [choice], "usage": usage})


def scripted(server, reply):
    """Let `reply` answer what is asked; the list of models is not asked."""
    listed = plain({"object": "list", "data": [{"id": "m"}]})
    server.answer = lambda seen: reply(seen) if seen.body else listed


def chosen(server, folder, *, settings=SETTINGS, samples=SAMPLES, context=4096):
    written = write_index(EXAMPLES, folder / "examples")
    index = ExampleIndex(
        path=written.path, sha256=written.sha256, samples=40, k=1, context_tokens=context, answer_tokens=8
    )
    made = Preparation.of(base_model="m", dataset_id="d", examples=index)
    options = {"base_url": server.base_url, "capabilities": {"streaming": False}}
    plan = ServePlan(engine="remote", model="m", options=options, context_tokens=context)

    async def run():
        return await choose(plan, made, settings, samples, TASK, folder=folder, progress=Silent())

    return anyio.run(run)


def shown(seen):
    return (len(seen.json["messages"]) - 1) // 2


def test_the_setting_that_does_best_is_chosen_within_its_budget(server, tmp_path):
    """Eight do, and the nearest must be next to the question."""

    def reply(seen):
        messages = seen.json["messages"]
        number = messages[-1]["content"].split()[-1]
        near = len(messages) < 3 or number not in messages[0]["content"].split()
        right = shown(seen) == 8 and near
        return answer("right" if right else "wrong", prompt_tokens=20 * len(messages))

    scripted(server, reply)
    found = chosen(server, tmp_path)
    assert (found.k, found.order) == (8, "nearest_last")
    best = next(one for one in found.tried if (one.k, one.order) == (8, "nearest_last"))
    assert best.asked == ROUNDS[-1] and best.mean > 0.9
    without = next(one for one in found.tried if one.k == 0)
    assert (without.asked, without.mean) == (ROUNDS[0], 0)
    asked = [shown(one) for one in server.seen if one.path.endswith("completions")]
    assert max(asked.count(k) for k in (2, 4, 8)) <= 2 * ROUNDS[-1] + 8
    assert len(asked) <= 25 * 7 + 25 * 3 + 50 * 2 + 8, "halved after each round"
    questions = {
        one.json["messages"][-1]["content"] for one in server.seen if one.path.endswith("completions")
    }
    assert "shop of 0" not in questions, "the front of the split is left to who compares candidates"


def test_tokens_are_counted_by_the_engine(server, tmp_path):
    scripted(
        server,
        lambda seen: answer("right", prompt_tokens=8 * len(seen.json["messages"]) + len(seen.body) // 4),
    )
    found = chosen(server, tmp_path, settings=[(2, "nearest_last")], samples=SAMPLES[:10])
    assert 0.25 < found.tokens_per_byte < 0.6
    assert found.tried[-1].asked == 10


def test_a_measurement_that_was_stopped_goes_on(server, tmp_path):
    """The server dies in the middle: what was answered is not asked again."""
    left = [60]

    def reply(seen):
        left[0] -= 1
        return answer("right") if left[0] > 0 else plain({"error": {"message": "gone"}}, status=401)

    scripted(server, reply)
    with pytest.raises(Exception, match="401"):
        chosen(server, tmp_path)
    before = [seen.body for seen in server.seen if seen.path.endswith("completions")][:59]
    server.seen.clear()
    scripted(server, lambda seen: answer("right"))
    assert chosen(server, tmp_path).k == 2
    again = set(before) & {seen.body for seen in server.seen}
    assert len(again) <= 4, "only what was under way at the end"


def sample(*turns, **fields):
    messages = tuple(Message(role=role, content=content) for role, content in turns)
    return Sample(**{"id": "s", "messages": messages, "gold": "refund"} | fields)


ONE = (("system", "Be brief."), ("user", "my money"))


def test_a_question_and_its_answer_are_shown():
    shown = example_of(sample(*ONE))
    assert (shown.id, shown.question, shown.answer) == ("s", "my money", "refund")
    assert example_of(sample(*ONE, gold=None, incumbent="as they said")).answer == "as they said"


@pytest.mark.parametrize(
    "left_out",
    [
        sample(*ONE, ("assistant", "which?"), ("user", "that one")),
        sample(*ONE, gold=None),
        sample(*ONE, gold=" "),
        sample(*ONE, disliked=True),
        sample(*ONE, tools=[{"type": "function"}]),
        sample(("user", [{"type": "image_url"}])),
        sample(("assistant", "hello")),
        sample(*ONE, completion=(Message(role="assistant", content="x", tool_calls=[{}]),)),
        sample(*ONE, completion=(Message(role="assistant"), Message(role="tool", content="x"))),
    ],
)
def test_what_is_more_or_less_than_that_is_left_out(left_out):
    assert example_of(left_out) is None


def test_nothing_held_out_ever_becomes_an_example(tmp_path):
    with bench(project(tmp_path)) as ready:
        gathered = gather(ready.dataset)
        by_split = {
            name: list(building.samples(ready.dataset, name)) for name in ("train", "validation", "held_out")
        }
    assert {one.id for one in gathered.examples} == {one.id for one in by_split["train"]}
    shown = {one.question for one in gathered.examples}
    written = write_index(gathered.examples, tmp_path / "examples")
    files = b"".join(path.read_bytes() for path in sorted((tmp_path / "examples").rglob("*.json*")))
    for split in ("validation", "held_out"):
        assert len(by_split[split]) >= 10
        for one in by_split[split]:
            asked = one.messages[-1].content
            assert asked not in shown and one.id.encode() not in files
            assert json.dumps(asked).encode() not in files
    assert written.samples == len(by_split["train"])


def test_why_none_can_be_made(tmp_path):
    with bench(project(tmp_path)) as ready:
        dataset, task = ready.dataset, ready.task
        gathered = gather(dataset)
        assert refusal(gathered, dataset, task, 2048) is None
        assert "no room for one example" in refusal(gathered, dataset, task, task.max_tokens + 10)
        none = refusal(Gathered((), None, 7), dataset, task, 2048)
        assert "none of the 7 training samples is one question" in none


def test_a_question_that_stands_among_the_examples_is_its_twin():
    asked = [sample(("user", "My money!"), id="twin"), sample(("user", "your money"), id="other")]
    assert near_twins(asked, [example_of(sample(*ONE))]) == {"twin"}


EXAMPLES_of_examples = METHODS["examples"]


def candidate(opened, **settings):
    plain = candidate_of(opened, "examples")
    return Candidate(model=plain.model, method="examples", settings=MethodSettings(**settings))


def test_the_plan_carries_the_preparation(tmp_path):
    with bench(project(tmp_path)) as ready:
        made = EXAMPLES_of_examples.make(candidate(ready.project), ready)
        assert ready.store.latest(Preparation) == made.plan.preparation
        as_is = METHODS["as_is"].make(candidate_of(ready.project, "as_is"), ready)
    preparation = made.plan.preparation
    assert msgspec.structs.replace(made, plan=msgspec.structs.replace(made.plan, preparation=None)) == as_is
    index = preparation.examples
    assert Path(index.path).parent == ready.project.state / "examples" and is_there(index)
    assert index.samples == ready.dataset.split("train").samples
    assert (index.k, index.order, index.retriever) == (2, "nearest_last", "bm25"), "all are right: the fewest"
    assert index.context_tokens == made.plan.context_tokens
    assert made.plan.key != as_is.plan.key, "it is proven as what it is"


def test_each_step_is_done_once_and_again_where_its_index_is_gone(tmp_path):
    opened, first, second, third = project(tmp_path), Told(), Told(), Told()
    for who in (first, second):
        with bench(opened, progress=who) as ready:
            made = EXAMPLES_of_examples.make(candidate(opened), ready)
    assert len(first.steps) == 2 and [note for _, note in first.steps] == ["", ""]
    assert [note for _, note in second.steps] == ["unchanged since the last run"] * 2
    assert any("of 25 validation samples" in line or "validation samples" in line for line in first.said)
    shutil.rmtree(made.plan.preparation.examples.path)
    with bench(opened, progress=third) as ready:
        assert EXAMPLES_of_examples.make(candidate(opened), ready).plan == made.plan
    assert [note for _, note in third.steps] == ["", "unchanged since the last run"]


def test_a_context_without_room_is_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)  # 64 tokens of context, as many as an answer may have
    who = Told()
    with bench(opened, progress=who) as ready, pytest.raises(NotMadeError, match="no room for one example"):
        EXAMPLES_of_examples.make(candidate(opened), ready)
    assert who.steps == []


def test_what_a_migration_promoted_is_what_is_served_from_then_on(tmp_path):
    """Named in the file, proven with its examples, kept, and started again by `freehold up`."""
    opened = project(tmp_path)
    path = tmp_path / "freehold.toml"
    named = path.read_text().partition("[[candidates]]")
    serve = named[2].partition("[serve]")
    table = f'[[candidates]]\nmodel = "{opened.config.models[0]}"\nmethod = "examples"\n'
    path.write_text(named[0] + table + serve[1] + serve[2])
    opened = open_project(path)
    migration = migrate(opened, progress=Silent())
    assert migration.exit_code == 0
    (candidate_report,) = migration.report.candidates
    assert candidate_report.method == "examples"
    plan = project_plan(opened)
    shown = f"was asked with {plan.preparation.examples.k} of"
    assert any(shown in note for note in candidate_report.comparison.notes)
    request.check(plan)
    shutil.rmtree(plan.preparation.examples.path)
    with pytest.raises(EngineError, match="cannot be read"):
        request.check(project_plan(opened))
    assert migrate(opened, progress=Silent()).exit_code == 0
    request.check(project_plan(opened))
