def test_a_publisher_with_its_licences(freehold):
    (found,) = freehold("publishers", "Google", "--json").items
    assert found["name"] == "Google"
    assert found["licenses"]
    shown = freehold("publishers", "Google").out
    assert shown.startswith("Google  ")
    assert "\n  - " in shown


def test_all_are_listed_and_fit_80_columns(freehold, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = freehold("publishers").out
    assert len(freehold("publishers", "--json").items) > 10
    assert max(map(len, shown.splitlines())) <= 80


def test_an_unknown_one(refused):
    refused("publishers", "Gogle", message="no publisher Gogle in the catalog", hint="Google")
