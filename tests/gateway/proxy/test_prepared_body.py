import json

import pytest

from freehold.gateway.proxy.prepared_body import PreparedBody, prepared, question
from freehold.types.preparation import Example, ExampleIndex, Preparation
from freehold.wire.errors import ApiError

INDEX = ExampleIndex(path="i", sha256="s", samples=2, k=1)
PREPARATION = Preparation.of(base_model="b", dataset_id="d", reminder="One word.", examples=INDEX)
BODY = b'{"model":"m","messages":[{"role":"user","content":"caf\\u00e9?"}],"seed":1.50}'


def test_the_question_is_found_and_why_there_is_none():
    assert question(PREPARATION, BODY) == (None, ["café?".encode()])
    assert question(PREPARATION, b'{"messages":[]}') == ("no_question", [b""])
    assert question(PREPARATION, b'{"prompt":"hi"}') == ("not_chat", [b""])


def test_other_fields_stay_as_they_came():
    found = (Example(id="s", question="tea?", answer="drink"),)
    used, (body,) = prepared(PreparedBody(PREPARATION, found), BODY)
    assert used == 1 and b'"seed":1.50' in body
    assert [one["content"] for one in json.loads(body)["messages"]] == ["tea?", "drink", "café?\n\nOne word."]


def test_text_that_cannot_be_read_is_refused_not_sent_without_examples():
    with pytest.raises(ApiError, match="cannot be prepared") as caught:
        question(PREPARATION, b'{"messages":[{"role":"user","content":"\\ud800"}]}')
    assert caught.value.status == 400
