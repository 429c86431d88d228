"""What is wrong in a command, or missing from its project, is one line with a way out."""

import shlex

import pytest


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("fit org/gone", "neither in the catalog nor here", "catalog sync org/gone"),
        ("assess --machine Qfoo", "accelerator Qfoo is not in the catalog", "--machine FILE.toml"),
        ("dataset build", "no complete traces in the store", "freehold import FILE"),
        ("dataset show", "no dataset yet", "freehold dataset build"),
        ("store check", "there is no store at", "freehold import"),
        ("tasks", "no traces to find tasks in", None),
        ("init gone.jsonl --dir new", "gone.jsonl: no such file", None),
        ("report", "no report yet", "freehold migrate"),
        ("report abc", "no reports have an id that begins with abc", "freehold migrate"),
        ("rescue --list", "an account is needed", "--api-key-env OPENAI_API_KEY"),
        ("rescue gone.jsonl", "gone.jsonl: no such file", None),
        ("migrate --config gone.toml", "gone.toml: no such file", "freehold init"),
        ("migrate", "there is no traffic to learn from", "freehold up"),
        ("train", "no dataset", "freehold dataset build"),
        ("rollout status", "the route support has no rollout", "freehold rollout start"),
        ("rollout start", "candidate", "--candidate"),
        ("rollout rollback --route other", "other", None),
        ("evaluate", "say what to compare", "--endpoint URL"),
        ("evaluate --a x", "say what to compare", "--a FILE --b FILE"),
        ("evaluate --endpoint http://127.0.0.1:1", "--endpoint needs --model", "lists them"),
        ("evaluate --endpoint http://127.0.0.1:1 --model m", "no dataset yet", "freehold dataset build"),
        ("evaluate --endpoint http://u --model m --option x", "expected KEY=VALUE", None),
        (
            "serve org/gone --set serve.engine=llamacpp",
            "weights of org/gone are not here",
            "FREEHOLD_OFFLINE",
        ),
        ("serve echo --adapter x", "adapter 'x' is not NAME=PATH", "--adapter support="),
        ("serve echo --host 10.0.0.1", "asks for no key", "--without-keys"),
        ("serve echo --host 10.0.0.1 --without-keys", "10.0.0.1", None),
    ],
)
def test_a_mistake_is_one_line(refused, project, monkeypatch, words, message, hint):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused(*shlex.split(words), message=message, hint=hint)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("assess --write 1", "freehold.toml: no such file", "freehold init"),
        ("init --all", "freehold.toml: no such file", "freehold init"),
        ("evaluate --a no.jsonl --b no.jsonl", "no.jsonl: cannot be read", None),
    ],
)
def test_so_is_one_in_a_folder_without_a_project(refused, words, message, hint):
    refused(*words.split(), message=message, hint=hint)
