"""Files that are made to harm are refused within a moment; none of them may be read without end."""

import os

import pytest

from freehold.errors import InputError
from freehold.workflows.journey.converting.reading import MOST_BYTES, read_document

BILLION = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
MERGED = "a0: &a0 {k0: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n  k{n}: 1\n" for n in range(1, 12)
)


def read(tmp_path, text, name="c.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_document(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BILLION, "values or"),
        ("a: &a [*a]\n", "values or"),
        ("[" * 2000, "YAML|deep"),
        ("a:\n" + "".join(" " * n + "- a:\n" for n in range(1, 400, 2)), "values or|deep|YAML"),
        ("!!python/object/apply:os.system ['touch ran']\n", "more than plain values"),
        ("a: !include other.yaml\n", "more than plain values"),
        ("a: [1, 2\n", "not valid YAML"),
        ("just text\n", "does not hold a mapping"),
        ("", "does not hold a mapping"),
        (b"a: \xff\xfe\n", "not UTF-8"),
        ("a: " + "x" * MOST_BYTES, "more than"),
    ],
)
def test_what_may_do_harm_is_refused(text, said, tmp_path):
    with pytest.raises(InputError, match=said):
        read(tmp_path, text)
    assert not (tmp_path / "ran").exists()


def test_merged_keys_unfold_within_the_same_bounds(tmp_path):
    with pytest.raises(InputError, match="values or"):
        read(tmp_path, MERGED)


def test_anchors_that_people_use_are_read(tmp_path):
    found = read(tmp_path, "base: &base {temperature: 0}\na: *base\nb: {<<: *base, max_tokens: 3}\n")
    assert found["a"] == {"temperature": "0"} and found["b"] == {"temperature": "0", "max_tokens": "3"}


def test_json_is_yaml_too(tmp_path):
    assert read(tmp_path, '{"a": [1]}', "a.json") == {"a": ["1"]}
    with pytest.raises(InputError, match=r"nested too deep|not valid"):
        read(tmp_path, "[" * 100_000, "c.json")


def test_a_folder_a_pipe_and_nothing_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent"):
        with pytest.raises(InputError):
            read_document(path)
