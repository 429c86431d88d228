import pytest

from freehold.errors import InputError
from freehold.hardware.json_file import read_object


def test_an_object_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": 1}')
    assert read_object(path, 100) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "not a JSON object"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 90 + b"]" * 90, "not a JSON object"),
        (b" " * 101, "too large for a config"),
    ],
)
def test_anything_else_is_an_error_that_names_the_file(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_object(path, 200 if len(content) == 180 else 100)
    assert caught.value.path == str(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_object(tmp_path / "none.json", 100)
