def test_known_models_are_listed(freehold):
    found = freehold("catalog", "list", "gemma-3-270m", "--json").json
    assert "google/gemma-3-270m" in [model["id"] for model in found["shipped"]]
    assert found["synced"] == []
    header, *rows = freehold("catalog", "list", "gemma-3-270m").out.splitlines()
    assert header.split() == ["model", "size", "context", "checked"]
    assert rows[0].split()[1].endswith("M")


def test_none_is_exit_code_1(freehold):
    ran = freehold("catalog", "list", "nothing-like-it")
    assert (ran.code, ran.out) == (1, "")
    assert "freehold catalog sync asks a hub" in ran.err
    assert freehold("catalog", "list", "nothing-like-it", "--json").fields == {"shipped": [], "synced": []}


def test_one_model_is_shown_with_its_sources(freehold):
    found = freehold("catalog", "show", "google/gemma-3-27b-it", "--json").json
    assert found["shape"]["context_tokens"] > 100_000
    shown = freehold("catalog", "show", "google/gemma-3-27b-it").out
    for word in ("parameters", "context", "tools", "source"):
        assert f"\n  {word} " in shown


def test_mistakes(refused, monkeypatch):
    refused(
        "catalog",
        "show",
        "org/gone",
        message="neither in the catalog nor synced",
        hint="catalog sync org/gone",
    )
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    refused("catalog", "sync", "a/b", message="http://127.0.0.1:1 cannot be reached", hint="HF_ENDPOINT")
