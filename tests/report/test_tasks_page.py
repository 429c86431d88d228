from datetime import UTC, datetime

from freehold.report.tasks_page import render_tasks
from freehold.types.migrated import MigratedProject

AT = datetime(2026, 1, 2, tzinfo=UTC)


def ended(name, outcome, **more):
    return MigratedProject(name=name, folder=name, outcome=outcome, **more)


def test_a_row_for_each_with_a_link_to_its_report():
    page = render_tasks(
        [ended("a <b>", "promote", page="a b/r.html", incumbent_mean=0.9, candidate_mean=0.95, items=70, alpha=0.025),
         ended("c", "failed", why="no such file", alpha=0.05)],
        at=AT,
    )  # fmt: skip
    assert "2 tasks: 1 promote, 1 failed." in page
    assert '<a href="a%20b/r.html">a &lt;b&gt;</a>' in page and "90.0% → 95.0%" in page and ">70<" in page
    assert "no such file" in page
    assert "at most 7.5%" in page


def test_one_task_says_nothing_of_several():
    assert "at most" not in render_tasks([ended("a", "hold", alpha=0.025)], at=AT)
