import pytest

pytestmark = pytest.mark.process


def test_what_is_served_is_listed(freehold, serving, project):
    found = freehold("served", "list", "--json").json
    assert found["url"] == serving["url"]
    assert [(one["model"], one["state"]) for one in found["models"]] == [("echo", "ready")]
    ran = freehold("served", "list")
    assert ran.err == f"{serving['url']}/v1\n"
    assert ran.out.split()[:2] == ["ready", "echo"]


def test_mistakes_while_serving(refused, serving, project):
    refused("served", "add-adapter", "x", message="adapter 'x' is not NAME=PATH")
    refused("served", "list", "--port", "1", message="1")


def test_nothing_is_served(refused, project):
    for words in (("list",), ("add-adapter", "a=b"), ("remove-adapter", "a")):
        refused("served", *words, message="nothing is served from this project", hint="freehold serve MODEL")
