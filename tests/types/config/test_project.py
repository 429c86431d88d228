"""Mistakes in freehold.toml name the line, the place and the way out; no secret is repeated."""

import random

import pytest

from freehold.catalog.licenses import licenses
from freehold.errors import ConfigError
from freehold.licensing.words import domain_tags
from freehold.types.config import DEFAULT_MODEL, CandidateConfig
from freehold.types.config_file import is_variable, parse
from freehold.types.config_file import parse as parse_of_candidates
from freehold.types.config_file import parse as parse_of_use_words
from freehold.types.license import BusinessClause, DomainClause
from freehold.types.use import BUSINESSES, CLOSED, DOMAINS, OPEN, PLACES, UseProfile, check_use
from freehold.workflows.license.use import with_settings

MINIMAL = '[app]\nname = "x"\n'


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (MINIMAL + "[task]\nmargn = 0.1\n", "unknown key task.margn", "did you mean margin?"),
        ("[app\n", "not valid TOML", None),
        ("", "missing required field `app`", None),
        (MINIMAL + "[train]\nepochs = -1.0\n", "train.epochs is -1.0, expected at least 0", None),
        (MINIMAL + "[train]\nlearning_rate = nan\n", "train.learning_rate is nan", None),
        (MINIMAL + "[train]\nmax_minutes = 0.0\n", "train.max_minutes is 0.0, expected above 0", None),
        (MINIMAL + "[data]\nheld_out = 1.0\n", "data.held_out is 1.0, expected from 0 to below 1", None),
        (MINIMAL + "[task]\nlooks = 0\n", "task.looks is 0, expected at least 1", None),
        (MINIMAL + "[curate]\nnear_duplicates = 0.2\n", "is 0.2, expected 0 (off) or from 0.3 to 1", None),
        (MINIMAL + "[curate]\nnear_duplicates = 2\n", "is 2.0, expected 0 (off) or from 0.3 to 1", None),
        (MINIMAL + "[serve]\ndrain_s = -1\n", "serve.drain_s is -1.0, expected from 0 to 3600", None),
    ],
)
def test_mistakes_name_the_place(text, message, hint):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert message in caught.value.message
    if hint:
        assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        '[incumbent]\nmodel = "m"\napi_key_env = "sk-secret-1234"\n',
        '[[endpoints]]\nname = "a"\nbase_url = "http://a/v1"\napi_key_env = "sk-secret-1234"\n',
        '[watch]\nwebhook_env = "https://sk-secret-1234"\n',
        '[incumbent]\nmodel = "m"\napi_key_env = "gsk_0secret1234secret1234secret1234"\n',
        '[incumbent]\nmodel = "m"\napi_key_env = "secret1234secret1234secret123456"\n',
    ],
)
def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_repeated(text):
    with pytest.raises(
        ConfigError, match=r"_env(\.\w+)? is not the name of an environment variable"
    ) as caught:
        parse(MINIMAL + text)
    assert "secret-1234" not in caught.value.message + str(caught.value.hint)


APP = '[app]\nname = "p"\n'


@pytest.mark.parametrize(
    ("more", "begins"),
    [
        ("[tsak]\n", "freehold.toml:3: unknown key tsak"),
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


INCUMBENT = APP + '[incumbent]\nmodel = "m"\nbase_url = "{}"\n'
ENDPOINT = APP + '[[endpoints]]\nname = "e"\nbase_url = "{}"\nmodels = ["m"]\n'


@pytest.mark.parametrize("name", [
    "OPENAI_API_KEY", "openai_key", "Key2", "_X", "AZURE_GPT4O_2024_KEY", "my_service_v2_key_eu_west_1",
    "AVERYLONGNAMEWITHOUTONEUNDERSCORE", "GPT4", "MYCOMPANYOPENAIKEY2025", "openaiKeyForStaging2025",
    "APIKEYGPT4OFORSTAGING2025EU",
])  # fmt: skip
def test_names_of_variables_are_taken(name):
    assert is_variable(name)


@pytest.mark.parametrize("key", [
    "sk-abc", "", "2KEY", "a b", "gsk_a1B2c3D4e5F6g7H8i9J0k1", "hf_a1b2c3d4e5f6g7h8i9j0", "f3" * 16, "A1" * 10,
])  # fmt: skip
def test_keys_in_their_place_are_not(key):
    assert not is_variable(key)


@pytest.mark.parametrize("text", [INCUMBENT, ENDPOINT])
@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("api.openai.com/v1", "is api.openai.com/v1, expected http", "https://api.openai.com/v1?"),
        ("localhost:8000", "expected http", "https://localhost:8000?"),
        ("htp://api.openai.com", "is htp://api.openai.com, expected http", "as in https"),
        ("https://", "names no host", "as in https"),
        ("https://a b/v1", "has a space in it", "as in https"),
        ("https://host:999999/v1", "is not an address", "as in https"),
        ("ftp://me:secret@host", "expected http", "as in https"),
    ],
)
def test_an_address_that_nothing_can_be_sent_to_is_refused(text, url, message, hint):
    with pytest.raises(ConfigError, match=r"freehold.toml:5: .*base_url ") as refused:
        parse(text.format(url))
    assert message in refused.value.message and hint in str(refused.value.hint)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "HTTPS://host/v1/", "http://[::1]:8/v1?api-version=1", "http://me:x@host"]
)
def test_addresses_are_taken(url):
    assert parse(INCUMBENT.format(url)).incumbent.base_url == url


@pytest.mark.parametrize("key", ["serve.context_tokens", "task.max_tokens", "train.seed"])
def test_an_integer_beyond_64_bits_is_refused(key):
    with pytest.raises(ConfigError, match=r"freehold.toml:1: .* is too large a number"):
        parse(f"{key} = {10**26}\n{APP}")


HEAD = '[app]\nname = "x"\n[[endpoints]]\nname = "house"\nbase_url = "http://h"\nmodels = ["first", "big"]\n'
SMALL = '[[candidates]]\nmodel = "org/small"\n'
LARGE = '[[candidates]]\nmodel = "big"\nendpoint = "house"\n'


def read(upper, *candidates):
    return parse("".join((HEAD, *candidates)) + f'[defer]\nupper = "{upper}"\n').upper


@pytest.mark.parametrize(
    ("upper", "more", "meant"),
    [
        ("house", "", "house"),
        ("house/other", "", "house/other"),
        ("large", 'name = "large"\n', "house/big"),
        ("big", "", "house/big"),
        ("big", 'name = "large"\n', "house/big"),
        ("large", 'name = "large"\nmethod = "as_is"\n', "house/big"),
    ],
)
def test_an_endpoint_or_a_candidate_is_found(upper, more, meant):
    assert read(upper, SMALL, LARGE + more) == meant
    assert parse(HEAD + SMALL).upper is None


@pytest.mark.parametrize(
    ("upper", "candidates", "why"),
    [
        ("lage", (SMALL, LARGE + 'name = "large"\n'), "not one of .*endpoints.* nor of .*candidates"),
        ("org/small", (SMALL, LARGE), "runs on this machine"),
        ("house", (SMALL, LARGE + 'name = "house"\n'), "names one of .* and a candidate"),
        ("big", (LARGE + 'name = "a"\n', LARGE + 'name = "b"\n'), "stands for 2 candidates"),
        ("big", (SMALL, LARGE + 'method = "prompt"\nsystem = "x"\n'), "method prompt: the gateway asks"),
        ("big", (LARGE,), "is the only candidate"),
        ("big", (), "not one of"),
    ],
)
def test_what_cannot_answer_in_the_incumbents_place_is_refused_with_the_reason(upper, candidates, why):
    with pytest.raises(ConfigError, match=why) as caught:
        read(upper, *candidates)
    assert caught.value.message.startswith("freehold.toml: defer.upper") and caught.value.hint


def typos(count):
    """Words of the vocabulary with two letters swapped, one left out, or one doubled and changed."""
    chance = random.Random(100)
    fields = {**CLOSED, **OPEN, "seat": ("Germany", "France", "Switzerland", "Japan", "Denmark")}
    known = {word.lower() for words in fields.values() for word in words}
    found = []
    while len(found) < count:
        field = chance.choice(sorted(fields))
        word = chance.choice(fields[field])
        if len(word) < 5:
            continue
        at = chance.randrange(1, len(word) - 2)
        made = chance.choice(
            (
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + word[at + 1 :],
                f"{word[:at]}x{word[at:]}",
            )
        )
        parts = made.lower().split("_")
        whole = not any(part in OPEN.get(field, ()) for part in parts)
        if made.lower() not in known and whole and f"{field}={made}" not in found:
            found.append(f"{field}={made}")
    return found


def test_of_100_typos_none_is_accepted():
    accepted = []
    for setting in typos(100):
        try:
            with_settings(UseProfile(), (setting,))
        except ConfigError:
            continue
        accepted.append(setting)
    assert accepted == []


def test_the_nearest_word_and_the_choices_are_shown_also_of_the_project_file():
    with pytest.raises(ConfigError, match=r"is none of: .*military") as caught:
        with_settings(UseProfile(), ("domain=militry",))
    assert caught.value.hint == "did you mean military?"
    with pytest.raises(ConfigError, match="is none of: internal, personal") as caught:
        with_settings(UseProfile(), ("mode=hosted",))
    assert caught.value.hint == "did you mean hosted_service?"
    with pytest.raises(ConfigError, match=r"use: domain: 'militry'"):
        parse_of_use_words('[app]\nname = "a"\n[use]\ndomain = "militry"\n')


@pytest.mark.parametrize(
    "table",
    [
        {"domain": "Medical advice", "human_review": True},
        {"domain": "automated_decision_credit, banking"},
        {
            "seat": "DE",
            "parent_seat": "us",
            "regions": ["EU", "KR", "DE-BY"],
            "user_location": "United States",
        },
        {"regions": ["worldwide"]},
        {
            "purpose": "spam classifier labels",
            "modification": "guardrails removed",
            "litigation": "patent suit",
        },
        {"business": "cloud-provider", "product_type": "inference api", "accounts": ["OpenAI"]},
        {"monthly_active_users": 0, "commercial": None, "obtained": "2024-05-30"},
    ],
)
def test_what_people_write_is_taken(table):
    check_use(table, "use")


def test_every_word_a_licence_reads_can_be_written():
    gates = {
        word
        for one in licenses().values()
        for c in one.clauses
        if isinstance(c, BusinessClause)
        for word in (*c.gated, *c.free)
    }
    assert {word.replace(" ", "_") for word in gates} - {"*"} <= set(BUSINESSES)
    barred = {
        tag
        for one in licenses().values()
        for c in one.clauses
        if isinstance(c, DomainClause)
        for tag in c.barred
    }
    reached = {tag for word in DOMAINS for tag in domain_tags(word)}
    assert barred <= reached
    assert len(PLACES) == 249 + 3


APP_of_candidates = '[app]\nname = "x"\n'
HOUSE = '[[endpoints]]\nname = "house"\nbase_url = "http://127.0.0.1:9"\n'


def one(text, *, more=""):
    return parse_of_candidates(
        f'{APP_of_candidates}{more}[[candidates]]\nmodel = "org/a"\n{text}\n'
    ).candidates[0]


def test_candidates_are_tables_or_freeholds_to_propose():
    parsed = parse_of_candidates(APP_of_candidates)
    assert (parsed.candidates, parsed.models, parsed.selection.stop) == (None, (DEFAULT_MODEL,), "first")
    made = one('method = "encoder"\nstage = "frozen"\nname = "quick"')
    assert made == CandidateConfig(model="org/a", method="encoder", stage="frozen", name="quick")
    assert one('method = "prompt"\nsystem = "One word."').system == "One word."
    assert one('endpoint = "house"', more=HOUSE).endpoint == "house"
    assert one("train = { r = 8 }").train == {"r": 8}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('method = "lorra"', "candidates[0].method: Invalid enum value 'lorra'", None),
        ('method = "lora"\nstage = "auto"', "stage is not read by method lora", "it is of method encoder"),
        ('method = "as_is"\ntrain = { r = 8 }', "train is not read by method as_is", None),
        ("train = { rr = 8 }", "candidate org/a: train: unknown key rr", "did you mean r?"),
        ("train = { epochs = -1 }", "candidate org/a: train: epochs is -1", None),
        ('endpoint = "hose"', "endpoint 'hose' is not one of [[endpoints]]", "did you mean house?"),
        ('method = "prompt"', "method prompt is asked for without a prompt", "system = "),
        ('[[candidates]]\nmodel = "org/a"', "stands there twice with method lora", "rank 16"),
    ],
)
def test_mistakes_name_the_place_and_the_way_out(text, message, hint):
    with pytest.raises(ConfigError) as caught:
        one(text, more=HOUSE)
    assert message in caught.value.message
    assert (hint or "") in (caught.value.hint or "")


def test_none_at_all_is_not_a_list_of_candidates():
    with pytest.raises(ConfigError, match="expected at least one"):
        parse_of_candidates(f"candidates = []\n{APP_of_candidates}")


READS = '[[candidates]]\nmodel = "org/reads"\nmethod = "encoder"\n'
FAR = HOUSE + '[[candidates]]\nmodel = "org/far"\nendpoint = "house"\n'
AS_IS = '[[candidates]]\nmodel = "org/as_is"\nmethod = "as_is"\n'
LEARNS = '[[candidates]]\nmodel = "org/learns"\nmethod = "qlora"\ntrain = { r = 8 }\n'


@pytest.mark.parametrize(
    ("tables", "writer", "learner"),
    [
        ("", DEFAULT_MODEL, DEFAULT_MODEL),
        ('[[candidates]]\nmodel = "a"\n[[candidates]]\nmodel = "b"\n', "a", "a"),
        (READS + FAR, None, None),
        (READS + FAR + AS_IS, "org/as_is", "org/as_is"),
        (READS + AS_IS + LEARNS, "org/as_is", "org/learns"),
    ],
)
def test_what_is_meant_where_no_model_is_named_writes_text_here(tables, writer, learner):
    config = parse_of_candidates(APP_of_candidates + tables)
    meant = (config.writer, config.learner())
    assert tuple(one and one.model for one in meant) == (writer, learner)


def test_what_a_base_learns_with_is_what_its_candidate_says():
    config = parse_of_candidates(APP_of_candidates + AS_IS + LEARNS)
    assert config.learner("org/other") is None and config.learner("org/as_is") is None
    assert config.train_of(config.learner("org/learns")).method == "qlora"
