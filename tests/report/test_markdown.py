import re

from tests.report import sample_report as sample
from tests.report.sample_full import full, hostile

from freehold.report import render_markdown


def test_it_says_what_the_first_screen_says():
    text = render_markdown(full())
    assert text.startswith("# helpdesk: Not proven yet\n")
    assert "4\\.1" not in text and "4.1 points below rented" in text.replace("\\", "")
    for wanted in ("What next", "freehold import FILE --held-out", "What would change it", "14 January 2027"):
        assert wanted in text.replace("\\", ""), wanted
    assert "| What does it cost? | **Less than today**" in text
    assert "Of 246 pairs the candidate lost 16 and won 6." in text
    assert "`" + "c" * 32 + "`" in text


def test_words_of_strangers_are_shown_and_do_nothing():
    text = render_markdown(hostile())
    assert "\x1b" not in text and "\u202e" not in text and "\u0301" * 9 not in text
    unescaped = re.sub(r"\\.", "", text)
    assert "<script" not in unescaped and "](javascript" not in unescaped and "**bold**" not in unescaped
    assert not re.search(r"^# Title", text, re.MULTILINE)
    assert len(text) < 200_000


def test_a_report_without_a_candidate_is_told():
    assert "no candidate was tried" in render_markdown(sample.report())
