"""Messages without an answer: what is taken of a store, and what is never read."""

import json

from tests.workflows.journey.rehearsal import project

from freehold.datasets import building
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.trace import Trace
from freehold.workflows.data.dataset import unanswered, unlabelled_traffic
from freehold.workflows.journey.steps import prepare
from freehold.workflows.project import now, open_project

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "lamp"}, "finish_reason": "stop"}]}


def trace(text, response=None, **fields):
    request = {"model": "rented-1", "messages": [{"role": "user", "content": text}]}
    return Trace(
        id=text, at=now(), source="gateway", model="rented-1", request=request, response=response, **fields
    )


def taken(opened, *traces):
    dataset = prepare(opened, progress=Silent())
    with open_store(opened.store_url) as store:
        store.add_traces(traces)
        return dataset, unlabelled_traffic(opened, store, dataset)


def test_what_got_no_answer_is_taken_the_newest_first(tmp_path):
    opened = project(tmp_path, rows=40)
    _, found = taken(
        opened,
        trace("is my parcel lost somewhere on its way to me"),
        trace("answered already by someone else", ANSWER),
        trace("the line broke off in the middle of it", ANSWER, completeness="upstream_cut"),
        trace("this one was told what is right", gold="lamp"),
        trace("a mirrored request of the shadow", parent_id="x"),
        trace("is my  parcel lost somewhere on its way to me ", status=500),
    )
    assert [one.messages[-1].content.strip() for one in found.samples] == [
        "is my  parcel lost somewhere on its way to me",
        "the line broke off in the middle of it",
    ]
    assert found.left_out == {"the same again": 1}


def test_what_is_held_out_and_what_nearly_repeats_it_is_not_read(tmp_path):
    opened = project(tmp_path, rows=40)
    dataset = prepare(opened, progress=Silent())
    held = next(building.samples(dataset, "held_out")).messages[-1].content
    _, found = taken(
        opened, trace(held), trace(f"{held}!"), trace("nothing of the kind was ever asked before")
    )
    assert [one.id[:4] for one in found.samples] and len(found.samples) == 1
    assert found.left_out == {"nearly the same as what is held out or chosen by": 2}


def test_personal_data_is_replaced_as_in_a_dataset(tmp_path):
    _, found = taken(project(tmp_path, rows=40), trace("write to jane.doe@example.com about her order"))
    assert "jane.doe" not in found.samples[0].messages[-1].content


def test_rows_without_an_answer_are_kept_where_the_project_says_so(tmp_path):
    opened = project(tmp_path, rows=40)
    with (tmp_path / "traffic.jsonl").open("a") as file:
        file.write(json.dumps({"message": "nobody has labelled this message so far"}) + "\n")
    path = tmp_path / "freehold.toml"
    path.write_text(path.read_text().replace("[task]", "unlabelled = true\n[task]"))
    dataset, found = taken(open_project(path))
    assert [one.messages[-1].content for one in found.samples] == ["nobody has labelled this message so far"]
    assert dataset.dropped["no answer"] == 1
    with open_store(opened.store_url) as store:
        assert len(unanswered(store, 9)) == 1
