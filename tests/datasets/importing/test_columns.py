import pytest
from tests.datasets.importing.exports import ASKED, TOOL, answer, one, read

from freehold.datasets import importing
from freehold.errors import InputError


def test_columns_are_guessed_and_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;category;region\nwhere is it;order;EU\n")
    source = importing.sniff(path)
    assert (
        source.mapping["asked"] == "text (guessed)" and source.mapping["right answer"] == "category (guessed)"
    )
    assert source.mapping["slices"] == "region"
    (found,) = importing.read(path)
    assert (found.gold, found.metadata) == ("order", {"region": "EU"})


def test_a_table_without_the_usual_names_says_what_it_has(tmp_path):
    with pytest.raises(InputError, match="no field for the question; fields are: q, a"):
        read(tmp_path, {"q": "x", "a": "y"})
    _, found = one(tmp_path, {"question": [ASKED], "label": "x", "function": [TOOL["function"]]})
    assert found.request["tools"] == [TOOL] and found.request["messages"] == ASKED


def test_alpaca_and_sharegpt(tmp_path):
    _, found = one(tmp_path, {"instruction": "Sort.", "input": "b a", "output": "a b"})
    assert found.request["messages"] == [{"role": "user", "content": "Sort.\n\nb a"}]
    assert answer(found)["content"] == "a b"
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    format, found = one(tmp_path, {"conversations": turns})
    assert format == "openai" and found.request["messages"] == [{"role": "user", "content": "hi"}]
