"""What a project says about its candidates, and mistakes in it."""

import pytest

from freehold.errors import ConfigError
from freehold.types.config import DEFAULT_MODEL, CandidateConfig
from freehold.types.config_file import parse

APP = '[app]\nname = "x"\n'
HOUSE = '[[endpoints]]\nname = "house"\nbase_url = "http://127.0.0.1:9"\n'


def one(text, *, more=""):
    return parse(f'{APP}{more}[[candidates]]\nmodel = "org/a"\n{text}\n').candidates[0]


def test_left_out_they_are_freeholds_to_propose():
    parsed = parse(APP)
    assert (parsed.candidates, parsed.models, parsed.selection.stop) == (None, (DEFAULT_MODEL,), "first")


def test_a_table_each_says_model_method_and_what_the_method_reads():
    made = one('method = "encoder"\nstage = "frozen"\nname = "quick"')
    assert made == CandidateConfig(model="org/a", method="encoder", stage="frozen", name="quick")
    assert one('method = "prompt"\nsystem = "One word."').system == "One word."
    assert one('endpoint = "house"', more=HOUSE).endpoint == "house"
    assert one("train = { r = 8 }").train == {"r": 8}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('methd = "lora"', "unknown key candidates.methd", "did you mean method?"),
        ('method = "lorra"', "candidates[0].method: Invalid enum value 'lorra'", None),
        ('stage = "late"', "candidates[0].stage: Invalid enum value 'late'", None),
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
        parse(f"candidates = []\n{APP}")


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
    config = parse(APP + tables)
    meant = (config.writer, config.learner())
    assert tuple(one and one.model for one in meant) == (writer, learner)


def test_what_a_base_learns_with_is_what_its_candidate_says():
    config = parse(APP + AS_IS + LEARNS)
    assert config.learner("org/other") is None and config.learner("org/as_is") is None
    assert config.train_of(config.learner("org/learns")).method == "qlora"
