import pytest

from freehold.catalog import models, unlisted


def test_no_row_names_a_model_that_the_catalog_has():
    names = [name for row in unlisted.rows() for name in row.ids]
    assert len(names) == len(set(names)) > 20
    assert [name for name in names if models.find(name) is not None] == []


def test_each_says_why_from_where_and_when():
    for row in unlisted.rows():
        assert row.why and row.source and row.released >= "2025-01" and row.checked.year >= 2026, row.ids


@pytest.mark.parametrize("name", ["Qwen/Qwen3.8-Flash-Next", "qwen3.8-flash-next", "Mistral Large 4"])
def test_a_row_is_found_by_its_id_or_by_how_people_call_it(name):
    assert unlisted.why(name) is not None


@pytest.mark.parametrize("name", ["mistral", "mistral-large", "Qwen/Qwen3.8-27B", "org/gone", ""])
def test_a_family_alone_is_not_enough(name):
    assert unlisted.why(name) is None


def test_the_parts_of_a_name():
    assert unlisted.numbers("Qwen/Qwen3.8-27B-FP8") == ["3.8", "27", "8"]
    assert unlisted.words("Qwen/Qwen3.8-27B-Instruct") == {"qwen", "instruct"}
    assert unlisted.family("mistralai/Mistral Large 4") == "mistral" and unlisted.family("x/7") is None
