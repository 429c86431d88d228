import pytest

from freehold.errors import ConfigError
from freehold.evals.judging.rubric import load


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = 'pairwise'", "missing required field `prompt`"),
        ("nonsense", "not valid TOML"),
        ("kind = 'absolute'\nprompt = '{answer}'\nverdict = '(a)'", "kind is absolute, expected pairwise"),
        ("kind = 'pairwise'\nprompt = '{answer_a}'\nverdict = '(a)'", "lacks answer_b"),
        ("kind = 'pairwise'\nprompt = '{answer_a}{answer_b}{x}'\nverdict = '(a)'", "names x"),
        ("kind = 'pairwise'\nprompt = '{answer_a}{answer_b}'\nverdict = 'a'", "no group"),
        ("kind = 'pairwise'\nprompt = '{answer_a}{answer_b}'\nverdict = '('", "can't be read"),
        ("kind = 'pairwise'\nprompt = ''\nverdict = ''\ncolour = 1", "unknown field `colour`"),
    ],
)
def test_a_rubric_with_a_mistake_is_named(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        load(path, "pairwise")
    assert "mine.toml" in raised.value.message


def test_braces_in_answers_are_left_alone():
    asked = load(None, "pairwise").messages(
        question="{x}", reference="–", answer_a='{"a": 1}', answer_b="{answer_a}"
    )
    assert '{"a": 1}' in asked[-1]["content"]
    assert "{answer_a}" in asked[-1]["content"]
