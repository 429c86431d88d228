"""A command that needs Unix says so; a mistake of ours stays a mistake."""

import importlib
import os
import signal

import pytest

from freehold.cli.unix import unix_error


@pytest.mark.parametrize("look", [lambda: signal.SIGNOWHERE, lambda: os.fork_nowhere])
def test_a_call_or_signal_of_unix(look):
    with pytest.raises(AttributeError) as raised:
        look()
    told = unix_error(raised.value)
    assert "needs Linux or macOS" in told.message and raised.value.name in told.message
    assert "WSL 2" in told.hint


def test_a_module_of_unix():
    told = unix_error(ModuleNotFoundError("No module named 'fcntl'", name="fcntl"))
    assert "fcntl" in told.message


def test_other_mistakes_are_not_explained_away():
    with pytest.raises(ModuleNotFoundError) as missing:
        importlib.import_module("freehold.nowhere")
    assert unix_error(missing.value) is None
    with pytest.raises(AttributeError) as wrong:
        _ = object().nothing
    assert unix_error(wrong.value) is None
