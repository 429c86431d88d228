import msgspec
import pytest

from freehold.types.config import ProjectConfig
from freehold.types.config.explained import explained, tables


def test_every_table_of_the_file_is_there_with_its_keys():
    assert tables() == tuple(field.name for field in msgspec.structs.fields(ProjectConfig))
    assert {one.table for one in explained()} == set(tables())


@pytest.mark.parametrize(
    ("table", "key", "meaning", "words", "default"),
    [
        ("task", "scorer", "How an answer is scored.", (), "exact"),
        ("incumbent", "api", "What it speaks.", ("openai", "anthropic"), "openai"),
        ("incumbent", "model", "Its model name, dated where there is a date: `gpt-4o-2024-08-06`.", (), None),
    ],
)
def test_a_key_has_its_meaning_its_words_and_its_default(table, key, meaning, words, default):
    (found,) = (one for one in explained(table) if one.key == key)
    assert (found.meaning, found.words, found.default) == (meaning, words, default)
