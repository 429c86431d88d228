import pytest


@pytest.mark.parametrize("words", [("status", "--json"), ("down",), ("down", "--json")])
def test_a_project_without_a_cluster(refused, project, words):
    refused("cluster", *words, message="the project names no cluster", hint='[cluster] address = "auto"')
