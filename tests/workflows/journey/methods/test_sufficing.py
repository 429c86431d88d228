"""What is enough for a promotion, told from the incumbent's recorded answers."""

import dataclasses

import msgspec
from tests.workflows.journey.rehearsal import bench, project

from freehold.workflows.journey.methods.sufficing import enough, selection_rule
from freehold.workflows.project import open_project


def opened(tmp_path, more=""):
    found = project(tmp_path)
    text = found.config_path.read_text().replace("held_out = 0.5", "held_out = 0.5\nvalidation = 0.4")
    found.config_path.write_text(text.replace("[serve]", f"{more}[serve]", 1))
    return open_project(found.config_path)


def test_the_bar_follows_from_the_margin_the_incumbent_and_what_is_held_out(tmp_path):
    with bench(opened(tmp_path)) as ready:
        rule = selection_rule(ready)
        assert rule.held_out == ready.dataset.split("held_out").samples and rule.decision.margin == 0.1
        wide = enough(ready)
        assert 0.88 < wide < 0.98, "the incumbent has 98 % right"
        narrow = enough(_with_task(ready, margin=0.06))
        assert narrow > wide
        assert enough(_with_task(ready, margin=0.001)) is None, "not even all right would do"
        judge = {"model": "m", "base_url": "http://127.0.0.1:9"}
        assert enough(_with_task(ready, scorer="judge", options=judge)) is None


def test_where_all_are_to_be_tried_nothing_is_enough(tmp_path):
    with bench(opened(tmp_path, '[selection]\nstop = "all"\n')) as ready:
        assert enough(ready) is None


def _with_task(ready, **changed):
    return dataclasses.replace(ready, task=msgspec.structs.replace(ready.task, **changed))
