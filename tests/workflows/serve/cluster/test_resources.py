"""The command another machine runs, and the disk it needs."""

import pytest

from freehold.types.endpoint import ServePlan
from freehold.workflows.serve.cluster.resources import adapters_of, serve_command, volume_gib


def test_the_command_carries_the_plans_settings_and_its_adapters(made):
    plan = made()
    words = serve_command(plan, adapters="~/adapters", host="127.0.0.1")
    assert words[:3] == ["freehold", "serve", "org/base"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options == {
        "--engine": "llamacpp",
        "--context": str(plan.serve.context_tokens),
        "--parallel": "3",
        "--kv-type": plan.serve.kv_type,
        "--host": "127.0.0.1",
        "--port": "8420",
        "--adapter": "org/base:shop=~/adapters/shop",
    }
    assert adapters_of(plan) == {"shop": ("org/base:shop", "/adapters/shop")}


@pytest.mark.parametrize(
    ("engine", "config", "gib"),
    [
        ("llamacpp", {"memory_gib": 2.0}, 10),
        ("llamacpp", {"memory_gib": 7.2}, 15),
        ("vllm", {"memory_gib": 7.2}, 35),
        ("vllm", {"memory_gib": 7.2, "storage_gib": 12}, 12),
    ],
)
def test_a_volume_holds_twice_the_memory_and_an_environment_of_vllm(made, weights, engine, config, gib):
    serve = ServePlan(engine=engine, model="org/base", weights_path=weights)
    assert volume_gib(made(serve, **config)) == gib
