from datetime import UTC, datetime

import msgspec

from freehold.store import open_store
from freehold.types.evaluated import EvaluationLine
from freehold.workflows.project import open_project
from freehold.workflows.tell.evaluations import evaluations


def line(id, at):
    return EvaluationLine(
        id=id, at=at, candidate="c", incumbent="i", endpoint="files", dataset_id="sha256:d", scorer="given", n=9,
        score=1.0, ci_low=None, ci_high=None, difference=0.0, difference_low=None, difference_high=None, margin=0.1,
        verdict="hold", look=1,
    )  # fmt: skip


def test_the_last_one_comes_first_and_those_without_a_time_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project()
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    lines = [line("a", early), line("b", late), line("c", None)]
    with open_store(project.store_url) as store:
        for one in lines:
            store.put_once(one)
        store.put_once(msgspec.structs.replace(lines[0], at=late, score=0.0))
    found = evaluations(project)
    assert [one.id for one in found] == ["b", "a", "c"]
    assert found[1].score == 1.0, "one that is made again keeps its place"
