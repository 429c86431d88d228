"""The search is in tests/workflows/serve/test_tune.py."""


def test_mistakes(refused, project, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("tune-engine", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE")
    refused("tune-engine", "echo", message="echo does not run on llama.cpp", hint="GGUF weights")
