import io

import pytest
from tests.store.examples import trace

from freehold.store import open_store


@pytest.fixture
def traces(project):
    (project / ".freehold").mkdir()
    url = f"sqlite:///{project}/.freehold/freehold.sqlite"
    with open_store(url) as store:
        store.add_traces([trace(1, id="t-ada-1", user="ada@x.org"), trace(2, id="t-bob-1", user="bob@x.org")])
    return url


def left(url):
    with open_store(url) as store:
        return [one.id for one in store.traces()]


def test_forget_says_what_it_did_and_what_it_cannot_do(freehold, traces):
    ran = freehold("forget", "--user", "ada@x.org", "--dry-run")
    assert ran.code == 0 and ran.out.startswith("would go: 1 traces") and len(left(traces)) == 2
    ran = freehold("forget", "--user", "ada@x.org", "--yes")
    assert ran.code == 0 and "deleted: 1 traces" in ran.out and "outside the project" in ran.out
    assert left(traces) == ["t-bob-1"]
    assert freehold("forget", "--older-than", "1d", "--yes", "--json").json["traces"] == 1


def test_forget_asks_first(freehold, traces, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ran = freehold("forget", "--user", "ada@x.org")
    assert ran.code != 0 and "would go: 1 traces" in ran.err and len(left(traces)) == 2


def test_what_to_forget_is_said_in_one_way(refused, traces):
    refused("forget", message="say what to forget", hint="--conversation ID")
    refused("forget", "--user", "a", "--trace", "b", message="in one way")
    refused("forget", "--user", "nobody", "--yes", message="nothing here is of that user")


def test_one_trace_goes_by_the_beginning_of_its_id(freehold, refused, traces):
    assert freehold("forget", "--trace", "t-a", "--yes").code == 0 and left(traces) == ["t-bob-1"]
    refused("forget", "--trace", "zzz", "--yes", message="nothing here is of that trace")


def test_the_reason_is_kept_and_names_nobody(freehold, refused, traces):
    refused(
        "forget",
        "--user",
        "ada@x.org",
        "--yes",
        "--why",
        "as Ada@x.org asked",
        message="--why names the user",
    )
    assert len(left(traces)) == 2
    assert freehold("forget", "--user", "ada@x.org", "--yes", "--why", "request 17").code == 0
    entries = freehold("audit", "--action", "forget", "--json").items
    assert {one["why"] for one in entries} == {"request 17"} and "ada@" not in str(entries).casefold()
