"""No command takes nan, inf or more than 64 bits for a number."""

import click
import pytest
from tests.cli.test_documents import COMMANDS, MORE, filled


def taking(number):
    for words, command in COMMANDS.items():
        for option in command.params:
            kinds = option.type.types if isinstance(option.type, click.Tuple) else [option.type]
            counts = getattr(option, "count", False)
            if any(isinstance(kind, number) for kind in kinds) and not counts:
                yield words, option.opts[0]


def given(words, option, value):
    command = COMMANDS[words]
    kind = next(one.type for one in command.params if option in one.opts)
    values = [value] * (len(kind.types) if isinstance(kind, click.Tuple) else 1)
    return [*words.split(), *MORE.get(words, filled(command)), option, *values]


@pytest.mark.parametrize("value", ["nan", "1e999"])
@pytest.mark.parametrize(("words", "option"), list(taking(click.types.FloatParamType)))
def test_every_float_is_finite(freehold, tmp_path, words, option, value):
    (tmp_path / "file.txt").write_text("")
    ran = freehold(*given(words, option, value))
    assert ran.code == 2 and ran.out == "", ran
    assert option in ran.err, ran.err
    assert "is not a finite number" in ran.err or "is not in the range" in ran.err, ran.err


@pytest.mark.parametrize(("words", "option"), list(taking(click.types.IntParamType)))
def test_every_integer_fits_into_64_bits(freehold, tmp_path, words, option):
    (tmp_path / "file.txt").write_text("")
    ran = freehold(*given(words, option, "9" * 25))
    assert ran.code == 2 and ran.out == "", ran
    assert option in ran.err, ran.err
    assert "too large a number" in ran.err or "is not in the range" in ran.err, ran.err
