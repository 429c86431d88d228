"""A real cluster is in tests/workflows/serve/cluster."""

import pytest
import yaml
from tests.deploy.chart import helm


@pytest.mark.parametrize("target", ["ray", "sky", "values", pytest.param("kubernetes", marks=helm)])
def test_a_plan_is_rendered(freehold, project, target):
    with (project / "freehold.toml").open("a") as config:
        config.write('[cluster]\nimage = "registry/freehold:1"\n')
    ran = freehold("cluster", "render", target, "echo")
    assert ran.code == 0, ran.err
    assert list(yaml.safe_load_all(ran.out))


@pytest.mark.parametrize("words", [("status", "--json"), ("down",), ("down", "--json")])
def test_a_project_without_a_cluster(refused, project, words):
    refused("cluster", *words, message="the project names no cluster", hint='[cluster] address = "auto"')


def test_mistakes(refused, project):
    refused(
        "cluster",
        "render",
        "kubernetes",
        "echo",
        message="the project names no image",
        hint="[cluster] image",
    )
    refused("cluster", "render", "ray", "echo", "--adapter", "x", message="adapter 'x' is not NAME=PATH")
