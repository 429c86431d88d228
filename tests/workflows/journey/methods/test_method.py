"""What is the same for all methods: the table, which candidates a project means, what serves them."""

import dataclasses
from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import Told, bench, project
from tests.workflows.journey.rehearsal import project as rehearsed

from freehold.store import open_store
from freehold.types.config import MethodSettings
from freehold.types.config_file import parse
from freehold.types.endpoint import Preparation
from freehold.types.method import METHOD_KINDS
from freehold.workflows.journey.methods import METHODS, candidates
from freehold.workflows.journey.methods import as_is as method
from freehold.workflows.journey.methods.method import Candidate, NotMadeError, fetches
from freehold.workflows.journey.methods.sufficing import enough, selection_rule
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project


def config(*, engine="auto", train="lora", models=("org/a", "org/b")):
    tables = [f'[[candidates]]\nmodel = "{one}"\n' for one in models]
    return parse(
        f'[app]\nname = "x"\n{"".join(tables)}[train]\nmethod = "{train}"\n[serve]\nengine = "{engine}"\n'
    )


@pytest.mark.parametrize("name", METHODS)
def test_what_trains_is_compared_with_what_is_served_before_promotion(name):
    assert METHODS[name].trains == METHOD_KINDS[name].trains == (METHOD_KINDS[name].parity is not None)


@pytest.mark.parametrize(
    ("engine", "train", "method"),
    [
        ("auto", "lora", "lora"),
        ("llamacpp", "qlora", "qlora"),
        ("remote", "lora", "as_is"),
    ],
)
def test_engine_and_training_say_which_method_is_meant(engine, train, method):
    made = candidates(config(engine=engine, train=train))
    assert made == tuple(Candidate(model=model, method=method) for model in ("org/a", "org/b"))


ELSEWHERE = """
[app]
name = "x"
[[endpoints]]
name = "house"
base_url = "http://127.0.0.1:9/v1/"
api_key_env = "HOUSE_KEY"
context_tokens = 8192
[train]
r = 32
epochs = 1
[[candidates]]
model = "org/a"
[[candidates]]
model = "org/a"
method = "qlora"
[[candidates]]
model = "org/a"
name = "rank 4"
train = { r = 4 }
[[candidates]]
model = "org/b"
endpoint = "house"
"""


def test_one_run_has_several_methods_on_a_model_several_settings_and_models_elsewhere():
    parsed = parse(ELSEWHERE)
    plain, quantized, small, elsewhere = made = candidates(parsed)
    assert [one.method for one in made] == ["lora", "qlora", "lora", "as_is"]
    assert len({one.key for one in made}) == 4, "each has steps of its own"
    assert (plain.training(parsed).r, small.training(parsed).r, small.training(parsed).epochs) == (32, 4, 1)
    assert quantized.training(parsed).method == "qlora"
    assert small.short_name == "a (rank 4)"
    assert parsed.models == ("org/a", "org/b")
    assert fetches(plain, parsed) and not fetches(elsewhere, parsed)


def test_one_behind_an_endpoint_is_asked_there(tmp_path):
    opened = project(tmp_path)
    path = opened.config_path
    path.write_text(
        path.read_text()
        + ELSEWHERE.partition("[train]")[0].partition("[[endpoints]]")[2].join(("[[endpoints]]", ""))
    )
    with bench(open_project(path)) as ready:
        request = ready.request(Candidate(model="org/b", method="as_is", endpoint="house"))
    assert (request.engine, request.context_tokens) == ("remote", 8192)
    assert request.options == {"base_url": "http://127.0.0.1:9", "api": "openai", "api_key_env": "HOUSE_KEY"}


CONFIG = """[[candidates]]
model = "HuggingFaceTB/SmolLM2-135M-Instruct"
method = "prompt"
system = "Answer with one label."
[serve]
engine = "echo"
[serve.options]
in_process = true
rules = [{ contains = "refund", answer = "refund" }, { contains = "lamp", answer = "lamp" }]
"""


def test_a_whole_migration_proves_and_serves_what_was_said(tmp_path):
    rehearsed(tmp_path)
    path = tmp_path / "freehold.toml"
    path.write_text(path.read_text().partition("[[candidates]]")[0] + CONFIG)
    opened = open_project(path)
    migration = migrate(opened, progress=Told())
    (report,) = migration.report.candidates
    assert report.comparison.candidate_mean == 1.0 and migration.exit_code == 0
    assert migration.plan.preparation.system == "Answer with one label."
    with open_store(opened.store_url) as store:
        assert store.latest(Preparation) == migration.plan.preparation
    assert (
        "The candidate was asked with a system prompt of its own in"
        in Path(migration.written.html).read_text()
    )


def test_another_system_prompt_stands_where_the_applications_does(tmp_path, monkeypatch):
    said = MethodSettings(system="One word.")
    with bench(rehearsed(tmp_path), progress=Told()) as at:
        made = METHODS["prompt"].make(Candidate(model="echo", method="prompt", settings=said), at)
        assert made.plan.preparation.system == "One word."
        assert made.plan.preparation.system_was == method.system_of(at.dataset)
        monkeypatch.setattr(method, "_SHARED", 1.1)
        with pytest.raises(NotMadeError, match="no system prompt is there to stand in for"):
            METHODS["prompt"].make(Candidate(model="echo", method="prompt", settings=said), at)


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
