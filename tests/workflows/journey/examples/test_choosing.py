"""How many examples: measured by a real server that answers right only when it was shown enough of them."""

import anyio
import msgspec
import pytest
from tests.gateway.loopback import ANSWER, FakeUpstream, plain

from freehold.preparing.index import write_index
from freehold.progress import Silent
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Example, ExampleIndex, Preparation, ServePlan
from freehold.types.evaluation import Task
from freehold.workflows.journey.examples import ROUNDS, choose, with_setting

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


def test_of_equally_good_ones_the_fewest_are_chosen(server, tmp_path):
    scripted(server, lambda seen: answer("right"))
    found = chosen(server, tmp_path)
    assert (found.k, found.order) == (2, "nearest_last")


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


def test_a_setting_changes_the_id_and_nothing_else():
    index = ExampleIndex(path="p", sha256="s", samples=3, k=1)
    made = Preparation.of(base_model="m", dataset_id="d", system="r", examples=index, made_from=("d",))
    other = with_setting(made, 4, "nearest_first", 0.3)
    assert other.id != made.id and with_setting(made, 1, "nearest_last", index.tokens_per_byte) == made
    kept = msgspec.structs.replace(other, id=made.id, examples=index)
    assert kept == made
    assert (other.examples.k, other.examples.order, other.examples.tokens_per_byte) == (
        4,
        "nearest_first",
        0.3,
    )
