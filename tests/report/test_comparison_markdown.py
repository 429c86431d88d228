import re

import numpy as np
from tests.report.sample_report import comparison

from freehold.report.comparison_markdown import MOST_SLICES, comparison_markdown
from freehold.stats.compare import compare_arrays
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import SliceResult


def slice_of(name, **changes):
    values = {
        "name": name, "n": 40, "difference": -0.1, "ci_low": -0.2, "ci_high": 0.0, "p_harm": 0.01,
        "p_harm_adjusted": 0.02, "harmed": True,
    }  # fmt: skip
    return SliceResult(**{**values, **changes})


def test_a_verdict_says_what_was_decided_and_on_what():
    made = comparison(verdict="hold", needed_n=1234, unscored={"candidate": 3, "incumbent": 0}, look=None)
    text = comparison_markdown(made)
    assert text.startswith("### ? Hold: not proven yet\n")
    assert f"`{made.candidate}` against `{made.incumbent}`" in text
    assert f"**{made.difference:+.4f}**" in text and f"margin {made.margin:g}" in text
    assert "| would settle it | about 1,234 held-out items |" in text
    assert "| unscored | 3 candidate |" in text


def test_bare_pairs_have_no_names():
    scores = np.ones(400)
    text = comparison_markdown(compare_arrays(scores, scores, DecisionRule(margin=0.05)))
    assert text.startswith("### ✓ Promote: safe to move")
    assert " against " not in text
    assert "| pairs | 400 of 400 items |" in text


def test_names_of_strangers_neither_tell_people_nor_refer_nor_write_markup():
    hostile = "@everyone #12 <img src=x> | [a](javascript:1) `b` &#64;all\n# Title"
    made = comparison(
        candidate=hostile, notes=(f"Left out: {hostile}",), slices=(slice_of(hostile), slice_of("team=red"))
    )
    text = comparison_markdown(made)
    outside = re.sub(r"`[^`\n]*`", "", text)  # what stands in code spans is inert
    told = outside.replace("&#8203;", "·").replace("\\", "")  # a space without width, which ends a mention
    assert "@everyone" not in told and not re.search(r"#\d", told)
    assert "<img" not in re.sub(r"\\.", "", outside)
    assert "&#64;" not in outside
    assert not re.search(r"^# Title", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


def test_a_comment_is_bounded():
    many = tuple(slice_of(f"{number:03}" + "x" * 5000) for number in range(MOST_SLICES + 7))
    text = comparison_markdown(comparison(slices=many, notes=tuple("n" * 9000 for _ in range(50))))
    assert "and 7 slices more" in text and "and 40 notes more" in text
    assert len(text) < 20_000
