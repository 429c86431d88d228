import pytest

from freehold.errors import ConfigError
from freehold.types import config

MINIMAL = '[app]\nname = "x"\n'


def test_minimal_config_has_defaults():
    parsed = config.parse(MINIMAL)
    assert parsed.task.margin == 0.02
    assert parsed.train.r == 64
    assert parsed.candidates.models == ("HuggingFaceTB/SmolLM2-135M-Instruct",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (MINIMAL + "[task]\nmargn = 0.1\n", "unknown key task.margn", "did you mean margin?"),
        (MINIMAL + "[tsk]\n", "unknown key tsk", "did you mean task?"),
        (MINIMAL + "[use]\ncomercial = true\n", "unknown key use.comercial", "did you mean commercial?"),
        (MINIMAL + "[task]\nmargin = 2\n", "task.margin is 2.0, expected between 0 and 1", None),
        (MINIMAL + '[task]\nmargin = "wide"\n', "task.margin: Expected `float`, got `str`", None),
        ("[app\n", "not valid TOML", None),
        ("", "missing required field `app`", None),
        (MINIMAL + "[candidates]\nmodels = []\n", "candidates.models is []", None),
    ],
)
def test_mistakes_name_the_place(text, message, hint):
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    assert message in caught.value.message
    if hint:
        assert hint in (caught.value.hint or "")
