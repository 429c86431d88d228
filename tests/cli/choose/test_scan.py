import pytest


@pytest.fixture
def code(tmp_path):
    (tmp_path / "app.py").write_text('client.chat(model="gpt-4o-2024-08-06")\n')


def test_a_use_has_its_place_and_date(freehold, code):
    ran = freehold("scan", ".", "--as-of", "2026-01-01", "--json")
    assert ran.code == 0
    (finding,) = ran.json["findings"]
    assert (finding["path"], finding["line"], finding["model"]) == ("app.py", 1, "gpt-4o-2024-08-06")
    shown = freehold("scan", ".", "--as-of", "2026-01-01", "--why")
    assert shown.out.startswith("app.py:1:")
    assert shown.err.endswith("1 file read, 1 finding\n")


def test_a_shutdown_that_is_near_is_exit_code_1(freehold, code):
    assert freehold("scan", ".", "--as-of", "2027-01-10").code == 1


def test_code_scanning_pages_get_sarif(freehold, code):
    document = freehold("scan", ".", "--as-of", "2026-01-01", "--sarif").json
    assert document["version"] == "2.1.0"
    assert len(document["runs"][0]["results"]) == 1


def test_a_folder_that_is_not_there(refused):
    refused("scan", "gone", message="gone: no such file or folder")
