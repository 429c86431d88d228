import msgspec

from freehold.types.asking import RecordedAsking
from freehold.types.dataset import Message, Sample, TeacherToken
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task
from freehold.workflows.journey.harvest.parts import Asked, answers_to, repeats_of

ASKED = Asked(
    Endpoint(name="x", engine="remote", base_url="http://x"),
    "rented",
    Task(name="t", scorer="exact", max_tokens=40),
)


def sample(id, content="hello", **fields):
    return Sample(id=id, messages=(Message(role="user", content=content),), gold="yes", **fields)


def test_what_has_log_probabilities_is_not_asked_for_them():
    told = sample("b", teacher=(TeacherToken(text="yes", top=()),))
    part = answers_to("train", ASKED, [sample("a"), told])
    assert [ask.about for ask in part.asks] == ["a"]
    assert part.asks[0].body["logprobs"] is True
    assert answers_to("train", ASKED, [told]).not_taken is not None


def test_repeats_are_asked_as_the_application_asked():
    own = sample("b", asking=RecordedAsking(temperature=0.7, max_tokens=9, seed=3))
    part = repeats_of(ASKED, [sample("a"), own], 2)
    assert [(ask.body.get("temperature"), ask.body["max_tokens"], ask.body.get("seed")) for ask in part.asks] == [
        (None, 40, None), (0.7, 9, 3), (None, 40, None), (0.7, 9, 4)
    ]  # fmt: skip
    assert len({ask.key for ask in part.asks}) == 4
    assert "1 of 2 requests name no temperature: the API's default" in part.notes
    assert repeats_of(ASKED, [own], 1).not_taken is not None


def test_a_picture_s_cost_has_no_bound_so_it_is_left_out():
    picture = sample("a", [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}])
    part = answers_to("held_out", ASKED, [picture, sample("b", [{"type": "text", "text": "hi"}])])
    assert [ask.about for ask in part.asks] == ["b"]
    assert part.notes[0].startswith("1 requests with pictures")


def test_a_request_s_key_does_not_depend_on_the_run():
    first, second = (answers_to("train", ASKED, [sample("a")]).asks[0] for _ in range(2))
    assert first.key == second.key
    other = msgspec.structs.replace(ASKED.endpoint, base_url="http://y")
    assert answers_to("train", ASKED._replace(endpoint=other), [sample("a")]).asks[0].key != first.key
