"""What `freehold up` and `freehold serve` say when they are ready."""

import pytest

from freehold.cli.serve.serve import tell
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.workflows.serve.hold import ServedAt


@pytest.mark.process
def test_it_serves_and_says_where(serving):
    assert serving["models"] == ["echo"]
    assert serving["url"].startswith("http://127.0.0.1:")


def test_mistakes(refused, project):
    refused(
        "serve", "echo", "--adapter", "x", message="adapter 'x' is not NAME=PATH", hint="--adapter support="
    )
    refused("serve", "echo", "--host", "10.0.0.1", message="asks for no key", hint="--without-keys")
    refused("serve", "echo", "--host", "10.0.0.1", "--without-keys", message="10.0.0.1")


def endpoint(name, *models):
    served = tuple(ServedModel(name=model, upstream_name=model) for model in models)
    return Endpoint(name=name, engine="echo", base_url="http://127.0.0.1:1", models=served)


def test_every_name_a_client_may_ask_for_is_told_and_who_answers_it(capsys):
    running = ServedAt(
        url="http://127.0.0.1:8420",
        endpoint=endpoint("local", "base", "base:app"),
        logs="logs",
        remote=(endpoint("incumbent", "gpt-4o"),),
    )
    tell(running, False)
    assert capsys.readouterr().out.splitlines() == [
        "ready   http://127.0.0.1:8420/v1",
        "model   base",
        "model   base:app",
        "model   gpt-4o   (passed on to incumbent)",
    ]


@pytest.mark.parametrize(
    ("remote", "others_to", "told"),
    [
        (("incumbent",), "incumbent", "others  whatever else is asked   (passed on to incumbent)"),
        (
            ("incumbent",),
            None,
            'others  refused; [incumbent] others = "pass" passes them on, with the key it names',
        ),
        ((), None, None),
    ],
)
def test_what_becomes_of_everything_else_is_told(capsys, remote, others_to, told):
    running = ServedAt(
        url="http://127.0.0.1:8420",
        endpoint=endpoint("local", "base"),
        logs="logs",
        remote=tuple(endpoint(name, "m") for name in remote),
        others_to=others_to,
    )
    tell(running, False)
    lines = [line for text in capsys.readouterr() for line in text.splitlines() if line.startswith("others")]
    assert lines == ([] if told is None else [told])
