"""What is the same for all methods: the table, which candidates a project means, what serves them."""

from typing import get_args

import pytest
from tests.workflows.journey.rehearsal import bench, candidate_of, project, training_project

from freehold.errors import UsageError
from freehold.types.config_file import parse
from freehold.types.method import METHOD_KINDS, MethodName
from freehold.workflows.journey.methods import (
    METHODS,
    Candidate,
    candidates,
    fetches,
    method_named,
)
from freehold.workflows.journey.methods.method import engine_of
from freehold.workflows.project import open_project


def config(*, engine="auto", train="lora", models=("org/a", "org/b")):
    tables = [f'[[candidates]]\nmodel = "{one}"\n' for one in models]
    return parse(
        f'[app]\nname = "x"\n{"".join(tables)}[train]\nmethod = "{train}"\n[serve]\nengine = "{engine}"\n'
    )


def test_every_method_has_its_kind_and_its_way():
    assert set(METHOD_KINDS) == set(get_args(MethodName)) >= set(METHODS)
    assert all(METHODS[name].name == METHOD_KINDS[name].name == name for name in METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_what_trains_is_compared_with_what_is_served_before_promotion(name):
    assert METHODS[name].trains == METHOD_KINDS[name].trains == (METHOD_KINDS[name].parity is not None)


@pytest.mark.parametrize(
    ("engine", "train", "method"),
    [
        ("auto", "lora", "lora"),
        ("llamacpp", "qlora", "qlora"),
        ("vllm", "full", "full"),
        ("auto", "full", "full"),
        ("ollama", "lora", "lora"),
        ("echo", "lora", "as_is"),
        ("remote", "full", "as_is"),
    ],
)
def test_engine_and_training_say_which_method_is_meant(engine, train, method):
    made = candidates(config(engine=engine, train=train))
    assert made == tuple(Candidate(model=model, method=method) for model in ("org/a", "org/b"))


@pytest.mark.parametrize(("engine", "name"), [("auto", "llamacpp"), ("vllm", "vllm"), ("echo", "echo")])
def test_llamacpp_serves_candidates_where_no_engine_is_named(engine, name):
    assert engine_of(config(engine=engine)).name == name


def test_a_key_tells_models_and_methods_apart():
    made = [Candidate(model=model, method=method) for model in ("org/a", "org/b") for method in METHODS]
    assert len({one.key for one in made}) == len(made)
    assert made[0].key == Candidate(model="org/a", method=made[0].method).key, "a step is found again by it"
    assert (made[0].short_name, Candidate(model="plain", method="as_is").short_name) == ("a", "plain")


def test_candidates_that_run_here_are_served_alike(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    with bench(opened) as ready:
        request = ready.request(candidate_of(opened, "lora"))
    assert request.engine == "llamacpp"
    assert (request.context_tokens, request.parallel) == (64, 1)


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


def test_a_method_of_another_version_is_refused_by_name(monkeypatch):
    monkeypatch.delitem(METHODS, "full")
    with pytest.raises(UsageError, match="method full is not in this version"):
        method_named("full")
