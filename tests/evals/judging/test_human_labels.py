import pytest

from freehold.errors import InputError
from freehold.evals.judging.human_labels import answers_key, read_differences, read_labels


def test_human_labels(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"id": "a", "winner": "candidate"}\n{"id": "b", "winner": "tie"}\n\n{"id": "c", "winner": null}\n'
        '{"id": "d", "candidate": 2, "incumbent": 5}\n{"id": "a", "winner": "incumbent"}\n'
    )
    assert read_labels(path) == {"a": -1.0, "b": 0.0, "d": -1.0}
    assert read_differences(path, 4) == {"d": -0.75}
    path.write_text('{"id": "a", "winner": "mine"}\n')
    with pytest.raises(InputError, match=r"labels.jsonl:1: winner is 'mine'"):
        read_labels(path)


def test_a_pair_that_was_skipped_later_has_no_label(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "a", "winner": "candidate"}\n{"id": "a", "winner": null}\n')
    assert read_labels(path) == {}


def test_white_space_makes_no_other_answers():
    assert answers_key("a  b", "c") == answers_key(" a b\n", "c") != answers_key("c", "a b")
