import json
import math

import pytest

from freehold.errors import InputError, UsageError
from freehold.stats.compare import ScoreContext
from freehold.stats.rules import DecisionRule
from freehold.workflows.prove.compare import compare_file, read_pairs

RULE = DecisionRule(margin=0.05)


@pytest.fixture
def pairs(tmp_path):
    def write(rows):
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.mark.parametrize("key", ["id", "a", "b", "cluster", 'a"b', "a\\b", "a\nb"])
def test_a_key_that_cannot_be_sliced_by_is_refused(pairs, key):
    with pytest.raises(UsageError, match="a comparison cannot be sliced by"):
        read_pairs(pairs([{"id": 0, "a": 1, "b": 1}]), slices=(key,))


def test_columns_clusters_and_slices(pairs):
    rows = [
        {"id": 1, "a": True, "b": 0.5, "cluster": "x", "language": "de", "size": 3},
        {"id": 2, "a": None, "b": 1, "cluster": "x", "language": None},
        {"id": 3, "a": 0, "b": 0},
    ]
    found = read_pairs(pairs(rows), slices=("language", "size"))
    assert found.incumbent[0] == 1.0 and math.isnan(found.incumbent[1])
    assert found.candidate.tolist() == [0.5, 1.0, 0.0]
    assert found.clusters[0] == found.clusters[1] != found.clusters[2]
    assert found.slices == {"language": ["de", None, None], "size": ["3", None, None]}
    assert read_pairs(pairs([{"id": 1, "a": 1, "b": 1}])).clusters is None


def test_ids_with_one_score_are_an_error(pairs):
    path = pairs([{"id": n, "a": 1, "b": 1} for n in range(20)] + [{"id": "lone", "a": 1}])
    with pytest.raises(InputError, match="1 ids have a score for one model only: 'lone'"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1, "a": 2, "b": 0}\n', "a is 2, outside 0 to 1"),
        ('{"id": 1, "a": NaN, "b": 0}\n', "a score is not a number"),
        ('{"id": 1, "a": "high", "b": 0}\n', "^.*a: Expected"),
        ('{"id": 0, "a": 1, "b": 0}\n', "id '0' occurs before"),
    ],
)
def test_bad_lines_are_named(pairs, line, message):
    with pytest.raises(InputError, match=message) as raised:
        read_pairs(pairs([{"id": 0, "a": 1, "b": 1}, line]))
    assert "pairs.jsonl:2" in str(raised.value)


def test_what_is_not_there(pairs, tmp_path):
    with pytest.raises(InputError, match="no pairs in it"):
        read_pairs(pairs(["\n"]))
    with pytest.raises(InputError, match="no line has a value for the field 'langauge'"):
        read_pairs(pairs([{"id": 0, "a": 1, "b": 1}]), slices=("langauge",))
    with pytest.raises(InputError, match=r"none\.jsonl"):
        read_pairs(tmp_path / "none.jsonl")


def test_the_rule_and_what_is_known_decide(pairs):
    path = pairs([{"id": n, "a": 1, "b": 1} for n in range(200)])
    assert compare_file(path, RULE).verdict == "promote"
    assert "repeated_look" in compare_file(path, RULE, context=ScoreContext(looks=2)).reasons


def test_a_margin_nothing_could_fail(pairs):
    path = pairs([{"id": n, "a": n < 2, "b": n < 2} for n in range(100)])
    with pytest.raises(UsageError, match="no candidate could fail"):
        compare_file(path, RULE)
