import pytest

from freehold.errors import ConfigError
from freehold.types import config

MINIMAL = '[app]\nname = "x"\n'


def test_minimal_config_has_defaults():
    parsed = config.parse(MINIMAL)
    assert parsed.task.margin == 0.02
    assert parsed.train.r == 64
    assert parsed.models == ("HuggingFaceTB/SmolLM2-135M-Instruct",)


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
        (MINIMAL + "[train]\nepochs = -1.0\n", "train.epochs is -1.0, expected at least 0", None),
        (MINIMAL + "[train]\nlearning_rate = nan\n", "train.learning_rate is nan", None),
        (MINIMAL + "[train]\nmax_minutes = 0.0\n", "train.max_minutes is 0.0, expected above 0", None),
        (MINIMAL + "[train]\nlora_dropout = 1.0\n", "expected from 0 to 0.95", None),
        (MINIMAL + "[data]\nheld_out = 1.0\n", "data.held_out is 1.0, expected from 0 to below 1", None),
        (MINIMAL + "[candidates]\nmodels = []\n", "candidates.models is []", None),
        (MINIMAL + "[task]\nlooks = 0\n", "task.looks is 0, expected at least 1", None),
        (MINIMAL + "[train]\nseed = -1\n", "train.seed is -1, expected at least 0", None),
        (MINIMAL + "[curate]\nnear_duplicates = 0.2\n", "is 0.2, expected 0 (off) or from 0.3 to 1", None),
        (MINIMAL + "[curate]\nnear_duplicates = 2\n", "is 2.0, expected 0 (off) or from 0.3 to 1", None),
        (MINIMAL + "[serve]\ndrain_s = -1\n", "serve.drain_s is -1.0, expected from 0 to 3600", None),
        (MINIMAL + "[serve]\ndrain_s = inf\n", "serve.drain_s is inf", None),
        (
            MINIMAL + '[telemetry]\notlp_endpoint = "collector:4318"\n',
            "telemetry.otlp_endpoint is 'collector:4318', expected an http:// or https:// address",
            None,
        ),
        (MINIMAL + '[telemetry]\notlp_endpoint = "http://[::1"\n', "telemetry.otlp_endpoint is", None),
        (MINIMAL + '[telemetry]\notlp_endpoint = "http://a:b@c"\n', "holds a name or a password", None),
        (
            MINIMAL + '[telemetry]\notlp_headers_env = { authorization = "X" }\n',
            "otlp_endpoint, which they are for, is not",
            None,
        ),
        (
            MINIMAL + '[telemetry]\notlp_endpoint = "http://c"\notlp_headers_env = { "a b" = "X" }\n',
            "otlp_headers_env has 'a b' = 'X'",
            None,
        ),
        (
            MINIMAL + '[[routes]]\nname = "r"\nmodel = "m"\nvalidate = "there"\n',
            "Invalid enum value 'there'",
            None,
        ),
        (MINIMAL + "[cluster]\nport = 70000\n", "cluster.port is 70000, expected from 1 to 65535", None),
        (
            MINIMAL + "[cluster]\nmin_replicas = 2\n",
            "cluster.max_replicas is 1, expected at least cluster.min_replicas",
            None,
        ),
    ],
)
def test_mistakes_name_the_place(text, message, hint):
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    assert message in caught.value.message
    if hint:
        assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        '[incumbent]\nmodel = "m"\napi_key_env = "sk-secret-1234"\n',
        '[[endpoints]]\nname = "a"\nbase_url = "http://a/v1"\napi_key_env = "sk-secret-1234"\n',
        '[watch]\nwebhook_env = "https://sk-secret-1234"\n',
        '[telemetry]\notlp_headers_env = { authorization = "Bearer sk-secret-1234" }\n',
        '[incumbent]\nmodel = "m"\napi_key_env = "gsk_0secret1234secret1234secret1234"\n',
        '[incumbent]\nmodel = "m"\napi_key_env = "secret1234secret1234secret123456"\n',
    ],
)
def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_repeated(text):
    with pytest.raises(
        ConfigError, match=r"_env(\.\w+)? is not the name of an environment variable"
    ) as caught:
        config.parse(MINIMAL + text)
    assert "secret-1234" not in caught.value.message + str(caught.value.hint)
