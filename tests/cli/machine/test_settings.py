import pytest


def test_each_setting_has_its_value_and_where_it_is_from(freehold, monkeypatch):
    monkeypatch.setenv("FREEHOLD_PORT", "9000")
    rows = {row["variable"]: row for row in freehold("settings", "--json").items}
    assert (rows["FREEHOLD_PORT"]["value"], rows["FREEHOLD_PORT"]["from"]) == ("9000", "environment")
    assert (rows["FREEHOLD_LOG"]["value"], rows["FREEHOLD_LOG"]["from"]) == (None, "default")
    assert "FREEHOLD_PORT=9000  (environment)\n" in freehold("settings").out


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FREEHOLD_PROT", "1", "unknown setting FREEHOLD_PROT in the environment"),
        ("FREEHOLD_PORT", "ninety", "FREEHOLD_PORT is 'ninety', expected a whole number"),
    ],
)
def test_mistakes(refused, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    refused("settings", message=message)


def test_the_databases_password_is_not_shown(freehold, monkeypatch):
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "postgresql://me:s3cret@host/db")
    for asked in (("settings",), ("settings", "--json")):
        told = freehold(*asked).out
        assert "s3cret" not in told and "postgresql://me:***@host/db" in told


def test_the_keys_of_the_file_are_explained(freehold):
    shown = freehold("settings", "--keys", "task").out
    assert shown.startswith("[task]\n") and "margin = 0.02" in shown and "Largest drop you accept" in shown
    assert "[serve]" in freehold("settings", "--keys").out
    assert {one["table"] for one in freehold("settings", "--keys", "data", "--json").items} == {"data"}
    assert "it has app, incumbent" in " ".join(freehold("settings", "--keys", "tsak").err.split())
    assert "goes with --keys" in freehold("settings", "task").err
