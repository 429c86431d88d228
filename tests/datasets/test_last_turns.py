import numpy as np

from freehold.datasets.last_turns import LastTurns
from freehold.datasets.spool import SampleSpool
from freehold.types.dataset import Message, Sample

LONG = "where is the lamp that I ordered on Tuesday for my sister?"
OTHER = "please send the invoice for last year's chairs to my accountant"


def turns(tmp_path, *conversations):
    spool = SampleSpool(tmp_path)
    for said in conversations:
        roles = ["user", "assistant"] * len(said)
        messages = tuple(Message(role=role, content=text) for role, text in zip(roles, said, strict=False))
        spool.append(Sample(id="0" * 32, messages=messages))
    return LastTurns(spool, np.arange(len(conversations)), 0.8)


def test_steps_are_alike_where_their_last_turns_are(tmp_path):
    alike = turns(tmp_path, ["a", "b", LONG], ["a", "b", LONG + "!"], ["a", "b", OTHER]).alike
    assert alike(0, 1) and not alike(0, 2)


def test_a_short_last_turn_leaves_it_to_the_context(tmp_path):
    assert turns(tmp_path, ["a", "b", "yes"], ["a", "b", "ok, do that"]).alike(0, 1)
    assert turns(tmp_path, ["a", "b", "yes"], ["a", "b", OTHER]).alike(0, 1)


def test_requests_of_one_turn_were_compared_already(tmp_path):
    assert turns(tmp_path, [LONG], [OTHER]).alike(0, 1)
    assert not turns(tmp_path, [LONG], ["a", "b", OTHER]).alike(0, 1)
