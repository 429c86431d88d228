"""What a visitor may name: words and models of the catalog, never a file or an address."""

import pytest

from freehold.errors import UnknownModelError, UsageError
from freehold.workflows.tell.views.query import catalog_model, machine_words


def test_words_for_machines_are_taken_as_they_are():
    assert machine_words("2x L4") == "2x L4"
    assert machine_words(None) is None and machine_words(" ") is None


@pytest.mark.parametrize("spec", ["/etc/passwd", "machine.toml", "..\\x", "no such card"])
def test_files_and_nonsense_are_refused(spec):
    with pytest.raises(UsageError):
        machine_words(spec)


def test_a_file_here_that_is_named_like_a_card_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "L4").write_text("x")
    with pytest.raises(UsageError, match="not by a file"):
        machine_words("L4")


def test_models_are_those_of_the_catalog():
    assert catalog_model("qwen/qwen3-8b") == "Qwen/Qwen3-8B"
    assert catalog_model(None) is None
    for name in ("http://127.0.0.1:1", "/etc/passwd", "nix/nix"):
        with pytest.raises(UnknownModelError):
            catalog_model(name)
