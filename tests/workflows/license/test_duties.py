"""A duty that was ticked is kept with who and when, is open again when it changes, and stands in the audit record."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from freehold.errors import UsageError
from freehold.store import audit, default_url, open_store
from freehold.types.config import UseProfile
from freehold.types.ruling import duty_id
from freehold.workflows.license.duties import done_duties, mark_duty
from freehold.workflows.license.rule import comply_texts, rule_for_model

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


@pytest.fixture
def ruling():
    return rule_for_model(MODEL, UseProfile(mode="distribute_weights", commercial=True))


def test_it_is_kept_taken_back_and_noted_each_time(store, ruling):
    id = duty_id(MODEL, ruling.obligations[0])
    mark_duty(store, ruling, id, done=True, who="ada", at=AT)
    assert [(one.who, one.at) for one in done_duties(store, MODEL, ruling.obligations).values()] == [
        ("ada", AT)
    ]
    mark_duty(store, ruling, id, done=False, who="bob", at=AT)
    assert done_duties(store, MODEL, ruling.obligations) == {}
    assert [(one.action, one.who, one.detail["duty"]) for one in audit.entries(store.database)] == [
        ("duty.done", "ada", ruling.obligations[0].key),
        ("duty.open", "bob", ruling.obligations[0].key),
    ]


def test_of_two_consoles_that_say_the_same_the_first_stands(store, ruling):
    id = duty_id(MODEL, ruling.obligations[0])
    mark_duty(store, ruling, id, done=True, who="ada", at=AT)
    said = mark_duty(store, ruling, id, done=True, who="bob", at=AT + timedelta(days=9))
    assert (said.who, said.at) == ("ada", AT)
    assert done_duties(store, MODEL, ruling.obligations) == {id: said}
    assert len(list(audit.entries(store.database))) == 1


def test_a_duty_that_says_something_else_is_open_again(store, ruling):
    first = ruling.obligations[0]
    mark_duty(store, ruling, duty_id(MODEL, first), done=True, who="ada", at=AT)
    changed = msgspec.structs.replace(first, text=f"{first.text} In bold type.")
    assert done_duties(store, MODEL, [changed]) == {}
    assert done_duties(store, "another/model", ruling.obligations) == {}
    with pytest.raises(UsageError, match="no such duty"):
        mark_duty(store, ruling, duty_id(MODEL, changed), done=True, who="ada", at=AT)


def test_the_checklist_is_ticked_only_where_all_that_a_line_stands_for_is_done(store, ruling):
    marks = {}
    for number, one in enumerate(ruling.obligations):
        mark = mark_duty(store, ruling, duty_id(MODEL, one), done=True, who="ada", at=AT)
        marks[mark.id] = mark
        text = comply_texts(ruling, marks=marks)["CHECKLIST.md"]
        assert text.count("(done, says ada, 2026-11-29)") == text.count("- [x]") <= number + 1
    assert "- [ ]" not in text
    assert "- [x]" not in comply_texts(ruling)["CHECKLIST.md"]
