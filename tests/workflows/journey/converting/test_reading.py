"""Files that are made to harm are refused within a moment; none of them may be read without end."""

import os
from decimal import Decimal

import pytest

from freehold.errors import InputError
from freehold.workflows.journey.converting.reading import MOST_BYTES, Source, as_number, read_document

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
        ("? [a]\n: b\n", "more than plain values|YAML"),
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


def test_merged_keys_unfold_to_no_more_than_they_are(tmp_path):
    """PyYAML takes each merged key once from 6.0.4 on; before, such a file is refused."""
    try:
        found = read(tmp_path, MERGED)
    except InputError as refused:
        assert "merged keys unfold" in refused.message
    else:
        assert len(found["a11"]) == 12


def test_numbers_that_would_take_minutes_are_text(tmp_path):
    sixty = "1" + ":59" * 200_000
    found = read(tmp_path, f"a: {sixty}\nb: {'9' * 100_000}\nc: 2026-13-45\nd: 12\ne: 1e-3\nf: 2.5\n")
    assert found["a"] == sixty and len(found["b"]) == 100_000 and found["c"] == "2026-13-45"
    assert (found["d"], found["e"], found["f"]) == (12, 0.001, 2.5)


def test_anchors_that_people_use_are_read(tmp_path):
    found = read(tmp_path, "base: &base {temperature: 0}\na: *base\nb: {<<: *base, max_tokens: 3}\n")
    assert found["a"] == {"temperature": 0} and found["b"] == {"temperature": 0, "max_tokens": 3}


def test_json_is_yaml_too(tmp_path):
    assert read(tmp_path, '{"a": [1]}', "a.json") == {"a": [1]}
    with pytest.raises(InputError, match=r"nested too deep|not valid"):
        read(tmp_path, "[" * 100_000, "c.json")


def test_a_folder_a_pipe_and_nothing_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent"):
        with pytest.raises(InputError):
            read_document(path)


def test_what_is_not_read_is_named_wherever_it_stands():
    source = Source({"a": 1, "b": {"c": "x", "d": None}, "e": [{"f": 2, "g": 3}], "h": []})
    assert source.number("a") == 1
    assert source.parts("e")[0].number("f") == 2
    assert source.unread() == ["b", "e[0].g"]
    assert source.part("b").text("c") == "x"
    assert source.unread() == ["e[0].g"]


def test_values_of_another_kind_stay_unread():
    source = Source(
        {"text": 3, "number": "many", "part": [1], "parts": [1, {}], "long": "x" * 5000, "whole": -1}
    )
    assert source.text("text", "long") is None and source.number("number") is None
    assert source.part("part") is None and source.parts("parts") == [] and source.whole("whole") is None
    assert len(source.unread()) == 6


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1), ("0.5", Decimal("0.5")), ("80_000", 80000), (True, None), (float("nan"), None), (float("inf"), None),
        ("1e400", None), ("x", None), (None, None), (10**30, None), ("Infinity", None),
    ],
)  # fmt: skip
def test_numbers(value, number):
    assert as_number(value) == number
