"""What a served model is sent, by whoever asks it, and what is never asked."""

import logging
from pathlib import Path

import pytest

from freehold.errors import EngineError, StorageError, UsageError
from freehold.preparing import index as index_module
from freehold.preparing import request
from freehold.preparing.index import write_index
from freehold.preparing.request import asked, check
from freehold.types.endpoint import Example, ExampleIndex, Preparation, ServedModel, ServePlan

BODY = {"model": "app", "messages": [{"role": "user", "content": "my card is lost"}], "temperature": 0}
EXAMPLES = [
    Example(id="s1", question="a lost card", answer="card"),
    Example(id="s2", question="a late transfer", answer="transfer"),
]


@pytest.fixture
def prepared(tmp_path):
    index_module._opened.cache_clear()
    request._told.clear()
    written = write_index(EXAMPLES, tmp_path)
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
