"""What holds answers to labels, and what of a JSON schema an engine holds."""

import asyncio

import msgspec
import pytest

from freehold import engines
from freehold.engines.constraints import grammar, held, label_fields, unenforced
from freehold.evals.replay import ReplayOptions, replay
from freehold.hardware.probes import usable_cores as machine_cores
from freehold.settings import load
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import AdapterMount, ServedModel, ServePlan
from freehold.types.evaluation import Task
from freehold.workflows.weights.pull import ensure_weights

LABELS = ("card_lost", "refund not shown", 'say "no"', "Überweisung")
PLAN = ServePlan(engine="llamacpp", model="base", labels=LABELS)


def test_each_engine_is_told_in_its_own_way():
    assert label_fields(["a", "b"], "structured_outputs") == {"structured_outputs": {"choice": ["a", "b"]}}
    assert label_fields(["a", "b"], "grammar") == {"grammar": 'root ::= "a" | "b"'}
    assert label_fields(["a"], None) == label_fields([], "grammar") == {}
    assert grammar(LABELS) == r'root ::= "card_lost" | "refund not shown" | "say \"no\"" | "Überweisung"'


def test_only_the_candidate_of_a_plan_is_held():
    plan = msgspec.structs.replace(PLAN, adapters=(AdapterMount(name="base:app", path="a"),))
    base, app = (
        ServedModel(name=name, upstream_name="base", extra_body={"lora": []}) for name in ("base", "base:app")
    )
    assert held(base, plan) == base
    assert held(app, plan).labels == LABELS
    assert held(app, plan).fields.keys() == {"model", "lora", "grammar"}
    assert held(app, msgspec.structs.replace(plan, engine="ollama")) == app
    assert held(app, msgspec.structs.replace(plan, labels=())) == app


@pytest.mark.weights
@pytest.mark.process
@pytest.mark.timeout(300)
def test_a_real_model_held_to_labels_invents_none(tmp_path):
    """SmolLM2 has never seen these labels: free, it invents; held, it cannot."""
    weights = ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())
    plan = ServePlan(
        engine="llamacpp",
        model="base",
        weights_path=weights.path,
        context_tokens=512,
        parallel=1,
        threads=machine_cores().value,
        options={"binary": "library"},
    )
    asked = [
        "My card is gone.",
        "Where is my money?",
        "No!",
        "Ich will Geld senden.",
        "hello",
        "It was stolen.",
    ]
    samples = [
        Sample(
            id=f"s{place}",
            messages=(Message(role="user", content=f"Name the topic of this message in one word: {text}"),),
            gold=LABELS[0],
        )
        for place, text in enumerate(asked)
    ]
    task = Task(name="t", scorer="label", options={"labels": list(LABELS)}, max_tokens=24)

    async def outputs(labels):
        held_plan = msgspec.structs.replace(plan, labels=labels)
        async with engines.start(held_plan, log_dir=tmp_path, name="held") as endpoint:
            return await replay(endpoint, "base", samples, task, options=ReplayOptions(1))

    free, bound = (asyncio.run(outputs(labels)) for labels in ((), LABELS))
    assert sum(not one.score.format_ok for one in free) > 0
    assert [one.output for one in bound if one.output not in LABELS] == []
    assert all(one.score.format_ok for one in bound)


PLAIN = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "green"]},
        "age": {"type": "integer", "minimum": 0},
        "day": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
        # Names of the user's own are no keywords.
        "not": {"type": "string"},
        "contains": {"$ref": "#/$defs/part"},
    },
    "$defs": {
        "part": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    },
    "required": ["colour"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("engine", ["llamacpp", "ollama", "vllm", "remote", "echo"])
def test_what_all_can_hold_is_not_complained_of(engine):
    assert unenforced(PLAIN, engine) == ()


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"type": "number", "minimum": 0}, "minimum of a number"),
        ({"type": "string", "format": "email"}, "format email"),
        ({"type": "string", "pattern": "[A-Z]"}, "pattern without ^ and $"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "https://example.com/schema.json"}, "$ref to https://example.com/schema.json"),
        ({"properties": {}, "oneOf": [{}]}, "properties next to anyOf"),
    ],
)
def test_llama_cpp_skips(part, what):
    nested = {"type": "object", "properties": {"a": {"type": "array", "items": part}}}
    assert unenforced(nested, "llamacpp") == (f"$.properties.a.items: {what}",)


def test_vllm_has_a_second_way_for_some_of_it():
    assert unenforced({"type": "string", "format": "email"}, "vllm") == ()
    assert unenforced({"type": "array", "uniqueItems": True}, "vllm") == ("$: uniqueItems",)
    assert unenforced({"type": "array", "uniqueItems": False}, "vllm") == ()
