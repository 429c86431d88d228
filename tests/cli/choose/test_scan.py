import pytest

pytestmark = pytest.mark.process


@pytest.fixture
def code(tmp_path):
    (tmp_path / "app.py").write_text('client.chat(model="gpt-4o-2024-08-06")\n')


def test_a_use_has_its_place_and_date(freehold, code):
    ran = freehold("scan", ".", "--as-of", "2026-01-01", "--json")
    assert ran.code == 0
    (finding,) = ran.json["findings"]
    assert (finding["path"], finding["line"], finding["model"]) == ("app.py", 1, "gpt-4o-2024-08-06")
    (model,) = ran.json["models"]
    assert (model["model"], model["places"]) == ("gpt-4o-2024-08-06", ["app.py:1:19"])
    shown = freehold("scan", "--as-of", "2026-01-01", "--why")
    assert shown.out.startswith("warning  gpt-4o-2024-08-06: shut down on 2027-01-14")
    assert "\napp.py:1:19 warning gpt-4o-2024-08-06" in shown.out
    assert shown.err.endswith("1 file read, 1 finding\n")


def test_what_was_not_looked_into_is_named(freehold, tmp_path, code):
    (tmp_path / "view.swift").write_text('let m = "gpt-4"')
    ran = freehold("scan", ".", "--as-of", "2026-01-01")
    assert "not looked into: 1 file, no reader for Swift (view.swift)" in ran.err
    assert ran.err.endswith("1 file read, 1 finding, 1 not looked into\n")
