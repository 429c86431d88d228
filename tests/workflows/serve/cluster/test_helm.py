"""Helm is asked for the chart's manifests, and where it is missing or refuses, that is said."""

import os

import pytest
from tests.deploy.chart import CHART, LEAST, helm

from freehold.errors import UsageError
from freehold.workflows.serve.cluster.helm import chart_folder, template


def test_the_chart_is_found_beside_the_source():
    assert chart_folder() == CHART


@helm
def test_a_release_is_rendered_in_its_namespace():
    assert "name: shop-freehold\n  namespace: models\n" in template("shop", "models", LEAST)


@helm
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "^helm does not render the chart: image.repository is empty"),
        ({**LEAST, "gatewey": {}}, "gatewey"),
    ],
)
def test_what_helm_refuses_is_told(values, words):
    with pytest.raises(UsageError, match=words):
        template("shop", "models", values)


def test_without_helm_the_way_out_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    with pytest.raises(UsageError, match="Helm, and it is not installed") as error:
        template("shop", "models", LEAST)
    assert "freehold cluster render values" in error.value.hint
