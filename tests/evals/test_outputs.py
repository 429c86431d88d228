import json

import pytest

from freehold.errors import InputError, UsageError
from freehold.evals.outputs import OutputLine, as_text, listed, pair, read_lines, unique


def write(tmp_path, *lines):
    path = tmp_path / "outputs.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def line(id, **fields):
    return OutputLine(id=id, **fields)


def test_every_usual_name_of_a_field_is_read(tmp_path):
    path = write(
        tmp_path,
        {"id": 7, "output": "a", "gold": "b", "score": True, "group": 3, "metadata": {"k": 1}},
        "",
        {
            "custom_id": "x",
            "response": {"body": {"choices": [{"message": {"content": "hi"}}]}},
            "score": None,
        },
        {"doc_id": "y", "prediction": {"a": 1}, "target": ["t"], "input": "?", "conversation_id": "c"},
    )
    first, second, third = read_lines(path)
    assert first == line("7", output="a", gold="b", score=1.0, scored=True, group="3", metadata={"k": 1})
    assert (second.id, second.output, second.score, second.scored) == ("x", "hi", None, True)
    assert third == line("y", output='{"a":1}', gold='["t"]', question="?", group="c")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object"),
        ('{"output": "a"}', "no id"),
        ('{"id": "a", "score": "good"}', "score is 'good', expected a number or null"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, given, message):
    with pytest.raises(InputError, match=message) as raised:
        read_lines(write(tmp_path, {"id": "fine"}, given))
    assert "outputs.jsonl:2" in str(raised.value)


def test_nan_has_a_hint_and_a_missing_file_its_reason(tmp_path):
    with pytest.raises(InputError) as raised:
        read_lines(write(tmp_path, '{"id": "a", "score": NaN}'))
    assert "write null" in raised.value.hint
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_lines(tmp_path / "none.jsonl")


def test_an_id_may_occur_once(tmp_path):
    assert list(unique([line("a"), line("b")], tmp_path)) == ["a", "b"]
    with pytest.raises(UsageError, match="1 duplicate ids: a"):
        unique([line("a"), line("b"), line("a")], tmp_path)


def test_only_ids_that_both_files_have_are_paired():
    a, b = {"x": line("x"), "y": line("y")}, {"x": line("x"), "z": line("z")}
    with pytest.raises(UsageError, match="do not hold the same items"):
        pair(a, b)
    with pytest.raises(UsageError, match="do not hold the same items") as caught:
        pair(a, {"q": line("q")})
    assert "no id is in both" in (caught.value.hint or "")
    assert len(pair(a, a).pairs) == 2


def test_text_stays_text_and_the_rest_is_json():
    assert [as_text(value) for value in ("a", None, [1, "b"])] == ["a", None, '[1,"b"]']
    assert listed("abcdefg", limit=5) == "a, b, c, d, e, … and 2 more"


def test_an_answer_that_is_json_of_its_own_stays_what_it_is(tmp_path):
    own = [{"id": 1, "output": {"error": "none"}}, {"id": 2, "output": {"output": ["a"]}}]
    assert [one.output for one in read_lines(write(tmp_path, *own))] == [
        '{"error":"none"}',
        '{"output":["a"]}',
    ]
