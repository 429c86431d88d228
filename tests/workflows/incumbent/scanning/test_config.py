import time

import pytest

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning.config import read, values


def texts(line):
    return [word.text for word in values(line, 1)]


@pytest.mark.parametrize(
    "line",
    [
        "model: gpt-4o", "MODEL=gpt-4o", '"model": "gpt-4o",', "- gpt-4o", "models: [a, gpt-4o]",
        "run: llm --model gpt-4o x",
        "llm -m gpt-4o < x", "ENV MODEL gpt-4o", 'model = "gpt-4o"', "args: --model=gpt-4o", "<model>gpt-4o</model>",
        'command: ["--model", "gpt-4o"]', "gpt-4o: {price: 1}", "model gpt-4o;",
    ],
)  # fmt: skip
def test_a_value_is_read(line):
    assert "gpt-4o" in texts(line)


@pytest.mark.parametrize(
    "line",
    [
        "description: we replaced gpt-4 by gpt-4o",
        '"text": "since gpt-4o is dear"',
        "note: gpt-4o is old",
        "say (gpt-4o) once",
    ],
)
def test_a_mention_is_not_a_value(line):
    assert "gpt-4o" not in texts(line)


def test_variables_are_holes_and_places_stay():
    (key, value) = values("model: gpt-4.1-${SIZE}-x # no", 3)
    assert (key.text, value.text, value.line, value.column) == ("model", f"gpt-4.1-{HOLE}-x", 3, 8)
    assert f"gpt-4.1-{HOLE}" in texts("model: gpt-4.1-{{ .Values.size }}")


def test_a_file_of_one_line_takes_no_longer_than_one_of_many():
    line = '{"n": 1, "model": "gpt-4o"}, ' * 40_000
    began = time.process_time()
    found = [word for word in read("[" + line + "]") if word.text == "gpt-4o"]
    assert len(found) == 40_000
    assert time.process_time() - began < 20  # seconds; a copy of the line for each word would take minutes


def test_comments_are_left_out():
    assert [word.text for word in read("a: gpt-4o # was gpt-4\n# gpt-4\nurl: https://x/y // old\n")] == [
        "a", "gpt-4o", "url", "https://x/y",
    ]  # fmt: skip
