import pytest

from freehold.errors import ConfigError
from freehold.types.config.lines import line_of
from freehold.types.config.project import parse

TEXT = """[app]
name = "p"

[task]
scorer = "label"
options = { lables = [
  "a",
] }

[[candidates]]
model = "a"

[[candidates]]
model = "b"
  "method" = "lorra"
train.epochs = 1

[ capture . rules ]
x = 1
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("app", 1),
        ("task.scorer", 5),
        ("task.options.lables", 6),
        ("candidates", 10),
        ("candidates[0]", 10),
        ("candidates[1].method", 15),
        ("candidates.method", 15),
        ("candidates[1].train.epochs", 16),
        ("capture.rules.x", 19),
        ("nothing", None),
        ("", None),
    ],
)
def test_a_key_is_found(key, line):
    assert line_of(TEXT, key) == line


APP = '[app]\nname = "p"\n'


@pytest.mark.parametrize(
    ("more", "begins"),
    [
        ("[tsak]\n", "freehold.toml:3: unknown key tsak"),
        ("[task]\nmargn = 0.02\n", "freehold.toml:4: unknown key task.margn"),
        ("[task]\nmargin = 5\n", "freehold.toml:4: task.margin is 5.0"),
        ('[task]\nmargin = "x"\n', "freehold.toml:4: task.margin: Expected"),
        (
            '[[candidates]]\nmodel = "a"\n[[candidates]]\nmetod = "b"\n',
            "freehold.toml:6: unknown key candidates",
        ),
        (
            '[[candidates]]\nmodel = "a"\n[[candidates]]\nmethod = "lora"\n',
            "freehold.toml:5: candidates[1]: Object",
        ),
    ],
)
def test_an_error_says_the_line(more, begins):
    with pytest.raises(ConfigError) as caught:
        parse(APP + more)
    assert caught.value.message.startswith(begins)
