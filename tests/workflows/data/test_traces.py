import pytest
from tests.workflows.shift.shifting import START, trace

from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.workflows.data.traces import Said, give_feedback


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        store.add_traces([trace(1, id="one", metadata={"language": "de"})])
        yield store


def said(store, capture="patterns", **words):
    give_feedback(store, "one", Said(**words), capture=capture, who="ada", at=START)
    return store.get_trace("one")


def test_it_is_kept_with_the_trace_after_redaction(store):
    found = said(store, thumb="down", gold="write to eve@example.com", comment="eve@example.com was right")
    assert found.gold == "write to <EMAIL>" and found.metadata["language"] == "de"
    assert found.metadata["feedback"]["comment"] == "<EMAIL> was right"
    later = said(store, capture="raw", comment="eve@example.com")
    assert later.gold == "write to <EMAIL>" and later.metadata["feedback"]["thumb"] == "down"
    assert later.metadata["feedback"]["comment"] == "eve@example.com", "as capture says"


def test_that_it_was_given_is_noted_and_not_what(store):
    said(store, gold="the right answer")
    (entry,) = audit.entries(store.database)
    assert (entry.action, entry.subject, entry.who) == ("trace.feedback", "one", "ada")
    assert "right answer" not in str(entry)


def test_nothing_said_and_a_trace_that_is_gone_are_errors(store):
    with pytest.raises(UsageError, match="nothing was said"):
        said(store)
    with pytest.raises(UsageError, match="not here any more"):
        give_feedback(store, "two", Said(thumb="up"), capture="off", who="ada", at=START)
