"""Properties of a prepared request: nothing of the client's is lost, and nothing of the preparation is forgotten."""

import copy
import logging
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import EngineError, MissingExtraError, StorageError, UsageError
from freehold.preparing import index as index_module
from freehold.preparing import request
from freehold.preparing.conversation import (
    is_chat,
    prepare,
    prompt_bytes,
    question_of,
    turn_tokens,
    unprepared,
)
from freehold.preparing.index import Bm25, words, write_index
from freehold.preparing.request import asked, check
from freehold.types.endpoint import Example, ExampleIndex, Preparation, ServedModel, ServePlan

SYSTEM = "Name the intent."


def index(**fields):
    return ExampleIndex(
        **{"path": "i", "sha256": "s", "samples": 9, "k": 4, "context_tokens": 10**6} | fields
    )


def preparation(**fields):
    return Preparation.of(**{"base_model": "base", "dataset_id": "d"} | fields)


def example(number):
    return Example(id=f"s{number}", question=f"question {number}", answer=f"answer {number}")


EXAMPLES = [example(number) for number in range(6)]
texts = st.text(min_size=1, max_size=30)
contents = texts | st.lists(texts, min_size=1, max_size=3).map(
    lambda found: [{"type": "text", "text": text} for text in found]
)
turns = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "content": contents}),
    max_size=6,
)
bodies = st.builds(
    lambda system, said, last, more: {
        "messages": [{"role": role, "content": SYSTEM} for role in system]
        + said
        + [{"role": "user", "content": last}],
        **more,
    },
    st.sampled_from([(), ("system",), ("developer",)]),
    turns,
    contents,
    st.fixed_dictionaries({}, optional={"max_tokens": st.integers(1, 500), "temperature": st.just(0)}),
)
preparations = st.builds(
    lambda system, k, order, context: preparation(
        system=system,
        system_was=SYSTEM if system is not None else None,
        examples=index(k=k, order=order, context_tokens=context) if k else None,
    ),
    st.none() | texts,
    st.integers(0, 5),
    st.sampled_from(["nearest_first", "nearest_last"]),
    st.sampled_from([40, 300, 10**6]),
)


def text_of(message):
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


@given(bodies, preparations)
def test_what_the_client_said_is_all_there_and_the_request_itself_is_left_alone(body, how):
    before = copy.deepcopy(body)
    if unprepared(body, how) is not None:
        return
    made = prepare(body, how, EXAMPLES)
    assert body == before
    assert {k: v for k, v in made.body.items() if k != "messages"} == {
        k: v for k, v in body.items() if k != "messages"
    }
    messages, asked = made.body["messages"], [m for m in body["messages"] if m["content"] != SYSTEM]
    last = messages[-len(asked) :]
    assert [m["role"] for m in last] == [m["role"] for m in asked], "the client's turns are the last ones"
    assert all(text_of(old) in text_of(new) for old, new in zip(asked, last, strict=True))
    assert question_of(body) == text_of(body["messages"][-1])
    assert is_chat(made.body)


@given(bodies, preparations)
def test_all_that_a_preparation_says_is_done(body, how):
    if unprepared(body, how) is not None:
        return
    made = prepare(body, how, EXAMPLES)
    messages = made.body["messages"]
    system = (
        how.system if how.system is not None else SYSTEM if body["messages"][0]["content"] == SYSTEM else None
    )
    if system is not None:
        assert messages[0]["role"] in ("system", "developer") and text_of(messages[0]) == system
    assert made.examples <= (how.examples.k if how.examples is not None else 0)
    for one in EXAMPLES[: made.examples]:
        place = next(p for p, m in enumerate(messages) if text_of(m) == one.answer)
        assert messages[place]["role"] == "assistant"
        assert messages[place - 1]["role"] == "user" and text_of(messages[place - 1]).endswith(one.question)


@given(st.integers(20, 3000), st.integers(1, 300), st.sampled_from([0.25, 0.6, 1.0]))
def test_no_more_examples_than_the_context_holds_and_the_farthest_leave_first(context, answer, rate):
    found = index(k=6, context_tokens=context, tokens_per_byte=rate, order="nearest_first")
    body = {"messages": [{"role": "user", "content": "where?"}], "max_tokens": answer}
    made = prepare(body, preparation(examples=found), EXAMPLES)
    shown = [m["content"] for m in made.body["messages"][:-1:2]]
    assert shown == [one.question for one in EXAMPLES[: made.examples]]
    used = sum(turn_tokens(one, found) for one in EXAMPLES[: made.examples])
    asked = prompt_bytes(body) * rate
    assert not made.examples or used + asked + answer <= context
    if made.examples < len(EXAMPLES):
        assert used + turn_tokens(EXAMPLES[made.examples], found) + asked + answer + 20 > context


def test_the_nearest_stands_next_to_the_question_or_first():
    body = {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "q"}]}
    last = prepare(body, preparation(examples=index(k=2)), EXAMPLES).body["messages"]
    assert [m["content"] for m in last] == [
        SYSTEM, "question 1", "answer 1", "question 0", "answer 0", "q",
    ]  # fmt: skip
    first = prepare(body, preparation(examples=index(k=2, order="nearest_first")), EXAMPLES).body["messages"]
    assert [m["content"] for m in first[1:5]] == ["question 0", "answer 0", "question 1", "answer 1"]


@pytest.mark.parametrize(
    ("messages", "fields", "why"),
    [
        ([("system", "  Name \n the intent. ")], {"system": "x", "system_was": SYSTEM}, None),
        ([("system", "Name the"), ("developer", "intent.")], {"system": "x", "system_was": SYSTEM}, None),
        ([("system", "name the intent.")], {"system": "x", "system_was": SYSTEM}, "other_system"),
        ([], {"system": "x", "system_was": SYSTEM}, "other_system"),
        ([], {"system": "x"}, None),
        ([("system", SYSTEM)], {"system": "x"}, "other_system"),
        ([("system", "Another.")], {"system_was": SYSTEM, "examples": index()}, "other_system"),
        ([("system", "Another.")], {"examples": index()}, None),
        ([("system", [{"type": "image_url"}])], {"system": "x", "system_was": SYSTEM}, "other_system"),
    ],
)
def test_only_requests_it_was_made_for_are_prepared(messages, fields, why):
    said = [{"role": role, "content": content} for role, content in messages]
    body = {"messages": [*said, {"role": "user", "content": "q"}]}
    assert unprepared(body, preparation(**fields)) == why


def test_a_question_with_an_image_has_no_examples_but_may_have_another_system_prompt():
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    body = {"messages": [{"role": "user", "content": parts}]}
    assert unprepared(body, preparation(examples=index())) == "not_text"
    how = preparation(system="One word.")
    assert unprepared(body, how) is None
    assert prepare(body, how).body["messages"][1]["content"] == parts


def test_without_a_user_there_is_nothing_to_find_examples_by():
    body = {"messages": [{"role": "system", "content": SYSTEM}]}
    assert unprepared(body, preparation(examples=index())) == "no_question"
    how = preparation(system="New.", system_was=SYSTEM)
    assert unprepared(body, how) is None
    assert prepare(body, how).body["messages"] == [{"role": "system", "content": "New."}]


def test_system_messages_in_the_middle_stay_where_they_are():
    body = {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "system", "content": "from now on in French"},
            {"role": "user", "content": "q2"},
        ]
    }
    made = prepare(body, preparation(system="New.", examples=index(k=1)), EXAMPLES).body["messages"]
    assert [m["content"] for m in made] == [
        "New.", "question 0", "answer 0", "q", "from now on in French", "q2",
    ]  # fmt: skip


@pytest.mark.parametrize("messages", [None, "hi", [1], [{"content": "no role"}], [{"role": 7}]])
def test_what_is_no_conversation_is_told_apart(messages):
    assert not is_chat({"messages": messages})


BODY = {"model": "app", "messages": [{"role": "user", "content": "my card is lost"}], "temperature": 0}
EXAMPLES_of_request = [
    Example(id="s1", question="a lost card", answer="card"),
    Example(id="s2", question="a late transfer", answer="transfer"),
]


@pytest.fixture
def prepared(tmp_path):
    index_module._opened.cache_clear()
    request._told.clear()
    written = write_index(EXAMPLES_of_request, tmp_path)
    index = ExampleIndex(path=written.path, sha256=written.sha256, samples=2, k=1)
    made = Preparation.of(base_model="base", dataset_id="d", system_was="Be brief.", examples=index)
    return ServedModel(name="app", upstream_name="base", extra_body={"lora": []}, preparation=made)


def with_system(text):
    return {**BODY, "messages": [{"role": "system", "content": text}, *BODY["messages"]]}


def test_a_model_without_a_preparation_is_sent_its_name_and_fields():
    served = ServedModel(name="app", upstream_name="base", extra_body={"lora": [{"id": 0}]})
    assert asked(served, BODY) == {**BODY, "model": "base", "lora": [{"id": 0}]}
    assert asked(served, {"input": "hi"}, path="/v1/embeddings") == {"input": "hi", **served.fields}
    assert BODY["model"] == "app", "the request itself stays as it is"


def test_the_nearest_example_comes_before_the_question(prepared):
    assert asked(prepared, with_system("Be  brief.")) == {
        "model": "base",
        "messages": [
            {"role": "system", "content": "Be  brief."},
            {"role": "user", "content": "a lost card"},
            {"role": "assistant", "content": "card"},
            {"role": "user", "content": "my card is lost"},
        ],
        "temperature": 0,
        "lora": [],
    }


def test_what_it_was_not_made_for_goes_as_it_came_and_that_is_told_once(prepared, caplog):
    with caplog.at_level(logging.WARNING):
        for text in ("Another.", "A third."):
            body = with_system(text)
            assert asked(prepared, body) == {**body, **prepared.fields}
    assert len(caplog.messages) == 1 and "the system prompt is another one" in caplog.messages[0]


def test_only_chat_is_prepared_and_what_asks_for_no_answer_goes_through(prepared):
    counted = {"model": "app", "messages": BODY["messages"]}
    assert asked(prepared, counted, path="/tokenize")["messages"] == BODY["messages"]
    for path in ("/v1/completions", "/v1/responses", "/v1/messages"):
        with pytest.raises(UsageError, match="only chat requests can be prepared"):
            asked(prepared, {"model": "app", "prompt": "hi"}, path=path)


def test_without_its_index_it_is_not_asked_at_all(prepared):
    (Path(prepared.preparation.examples.path) / index_module.EXAMPLES).write_bytes(b"")
    with pytest.raises(StorageError):
        asked(prepared, with_system("Be brief."))
    plan = ServePlan(engine="echo", model="app", preparation=prepared.preparation)
    with pytest.raises(EngineError, match="is not the one that was proven"):
        check(plan)


def test_a_plan_is_checked_for_the_context_its_examples_count_on(prepared):
    check(ServePlan(engine="echo", model="app"))
    plan = ServePlan(engine="echo", model="app", preparation=prepared.preparation, context_tokens=2048)
    check(plan)
    with pytest.raises(EngineError, match="for a context of 2,048 tokens, and the plan has 1,024"):
        check(ServePlan(engine="echo", model="app", preparation=prepared.preparation, context_tokens=1024))


def test_words_are_cut_at_what_is_no_letter_or_digit():
    assert words("Where's my CARD-42? Größe") == ["where", "s", "my", "card", "42", "größe"]


def test_scripts_without_spaces_are_cut_into_pairs():
    assert words("退款在哪里") == ["退款", "款在", "在哪", "哪里"]
    assert words("บัตร")[0] == "บั" and words("金") == ["金"]
    assert words("हिन्दी में") == ["हिन्दी", "में"], "a vowel sign ends no word"


def test_a_text_that_shares_rare_words_is_nearer():
    found = Bm25(["my card is lost", "my card is late", "my transfer is late"])
    assert found.scores("lost card").argmax() == 0
    assert found.scores("transfer").tolist()[:2] == [0, 0]


def test_words_that_no_text_has_say_nothing():
    found = Bm25(["a card", "a transfer"])
    assert (
        found.scores("zebra").tolist() == [0, 0] == found.scores("").tolist() == found.scores("?!").tolist()
    )


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match="'examples'"):
        Bm25(["a"])
