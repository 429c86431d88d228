"""The page of what holds where agrees with what runs, for the engines that cost nothing to start."""

from pathlib import Path

import pytest
import results
from subjects import SUBJECTS
from suite import FEATURES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "compatibility.md"


@pytest.mark.parametrize("name", [name for name, subject in SUBJECTS.items() if subject.cheap])
def test_what_runs_is_what_the_page_says(name):
    assert results.run(name) == results.load()[name]["cells"], f"run scripts/compatibility {name}"


@pytest.mark.weights
def test_llama_cpp_keeps_what_the_page_says():
    known = results.load()["llamacpp"]["cells"]
    found = results.run("llamacpp")
    assert {key: found[key] for key in known} == known


def test_the_page_is_made_from_the_results_and_lacks_nothing():
    assert PAGE.read_text().strip() == results.page(results.load()).strip(), "run scripts/compatibility"
    for name, made in results.load().items():
        features = {feature.key for feature in FEATURES}
        assert set(made["cells"]) <= features, name
        assert set(made["cells"]) == features or not SUBJECTS[name].cheap, name


def test_no_engine_gives_another_answer_than_was_asked_for_where_an_error_is_due():
    """What may be silently not there, engine by engine; anything else is a bug."""
    for name, made in results.load().items():
        silent = {key for key, cell in made["cells"].items() if cell["state"] == "no"}
        assert silent <= KNOWN.get(name, set()), name


# What Ollama documents it does not read; and what an answer of the chat API does not tell of itself.
UNTOLD = {"claude_stop_word", "claude_first_usage"}
KNOWN: dict[str, set[str]] = {
    "ollama": {"chat_n", "chat_named_tool", *UNTOLD},
    "openai": UNTOLD,
    "echo": UNTOLD,
}
