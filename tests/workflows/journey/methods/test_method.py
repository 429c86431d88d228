"""What is the same for all methods: the table, which candidates a project means, what serves them."""

from typing import get_args

import pytest

from freehold.errors import FreeholdError
from freehold.types.config import parse
from freehold.types.method import METHOD_KINDS, MethodName
from freehold.workflows.journey.methods import METHODS, Candidate, NotMadeError, candidates
from freehold.workflows.journey.methods.method import engine_of


def config(*, engine="auto", train="lora", models=("org/a", "org/b")):
    return parse(
        f'[app]\nname = "x"\n[candidates]\nmodels = {list(models)}\n[train]\nmethod = "{train}"\n'
        f'[serve]\nengine = "{engine}"\n'
    )


def test_every_method_has_its_kind_and_its_way():
    assert set(METHODS) == set(METHOD_KINDS) == set(get_args(MethodName))
    assert all(METHODS[name].name == METHOD_KINDS[name].name == name for name in METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_what_trains_is_compared_with_what_is_served_before_promotion(name):
    assert METHODS[name].trains == (METHOD_KINDS[name].parity is not None) == (METHODS[name].step_count > 0)


@pytest.mark.parametrize(
    ("engine", "train", "method"),
    [
        ("auto", "lora", "adapter"),
        ("llamacpp", "dpo", "adapter"),
        ("vllm", "full", "whole"),
        ("auto", "full", "whole"),
        ("ollama", "lora", "adapter"),
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


def test_what_was_found_out_so_far_goes_with_the_reason():
    error = NotMadeError("no room")
    assert isinstance(error, FreeholdError)
    assert (error.message, error.weights, error.fit) == ("no room", None, None)
