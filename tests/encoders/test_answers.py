"""The answer in the application's form, its tokens, and what their probabilities mean."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.encoders.answers import answer, probabilities
from freehold.encoders.pieces import edges_of, likeliest
from freehold.encoders.runner import EncodedText
from freehold.types.encoder import EncoderManifest, FieldHead


def manifest(answer, *fields, **more):
    return EncoderManifest(base_model="b", base_sha256="0", width=2, answer=answer, fields=fields, **more)


def read(*logits, spans=()):
    rows = tuple(np.array(one, np.float32) for one in logits)
    return EncodedText(5, 0, np.zeros(2, np.float32), rows, spans)


def one(labels, name="", **more):
    return FieldHead(name=name, kind="one", labels=labels, **more)


def several(labels, name="", **more):
    return FieldHead(name=name, kind="several", labels=labels, **more)


def test_a_temperature_flattens_and_keeps_the_order():
    sharp, flat = (probabilities(one(("a", "b"), temperature=t), np.array([2.0, 0.0])) for t in (1, 4))
    assert sharp.sum() == pytest.approx(1) and flat.sum() == pytest.approx(1)
    assert sharp[0] == pytest.approx(1 / (1 + math.exp(-2)))
    assert flat[0] == pytest.approx(1 / (1 + math.exp(-0.5)))


def test_logits_beyond_all_bounds_give_probabilities():
    for kind in (one(("a", "b", "c")), several(("a", "b", "c"))):
        shares = probabilities(kind, np.array([1e4, -1e4, 0], np.float32))
        assert np.isfinite(shares).all() and shares[0] == pytest.approx(1)


def test_values_are_json_of_their_own_type():
    made = answer(
        manifest("json", one((True, False), "urgent"), one((None, 3, "3"), "level")),
        read([1, 0], [0, 9, 1]),
        "x",
    )
    assert made.text == '{"urgent": true, "level": 3}'
    assert made.probability == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-4)


def test_names_and_labels_are_escaped_as_json_and_kept_readable():
    made = answer(manifest("json", one(('say "hi"', "ü"), 'a "b"')), read([0, 5]), "x")
    assert json.loads(made.text) == {'a "b"': "ü"} and "ü" in made.text


def test_a_label_of_several_is_given_from_its_threshold():
    fields = several(("a", "b"), threshold=0.2)
    assert answer(manifest("labels", fields), read([-1, -2]), "x").text == '["a"]'
    assert answer(manifest("labels", several(("a", "b"))), read([-1, -2]), "x").text == "[]"


def test_the_copied_piece_is_the_likeliest_of_whole_words_and_null_where_none_is():
    field = FieldHead(name="number", kind="copied", copied_as="upper", temperature=2.0)
    text = "see ab 1 and cd2 for"
    spans = [(0, 0), (0, 3), (4, 6), (7, 8), (9, 12), (13, 14), (14, 15), (15, 16), (17, 20), (0, 0)]
    logits = [
        [0, 0, 0],
        [0, 0, 0],
        [3, 0, 2],
        [0, 0, 1],
        [0, -9, 0],
        [3, 0, 0],
        [9, 1, 0],
        [0, 1, 4],
        *[[0, -9, 0]] * 2,
    ]
    made = answer(manifest("json", field), read(logits, spans=spans), text, top=2)
    assert made.text == '{"number": "CD2"}', "neither begins nor ends within cd"
    assert [one for one, _ in made.tokens[0].likeliest] == ['{"number": "CD2"}', '{"number": null}']
    assert made.probability / math.exp(made.tokens[0].likeliest[1][1]) == pytest.approx(
        math.exp((3 + 2 + 4) / 2)
    )
    nothing = answer(manifest("json", field), read([[-30, 0, 0]] * 10, spans=spans), text)
    assert nothing.text == '{"number": null}' and nothing.probability > 0.9


def test_digits_of_a_piece_may_be_the_value():
    field = FieldHead(name="n", kind="copied", copied_as="number")
    logits = [[4, 0, 0], [0, 0, 4]]
    made = answer(manifest("json", field), read(logits, spans=[(0, 3), (4, 7)]), "12. 345", top=1)
    assert json.loads(made.text) == {"n": 12345}


@given(
    st.lists(st.tuples(*[st.floats(-30, 30, width=32)] * 3), min_size=1, max_size=5),
    st.text("ab1 éא-", min_size=5, max_size=5),
)
def test_pieces_and_none_share_one_softmax(logits, text):
    spans = [(at, at + 1) for at in range(len(logits))]
    rows, edges = np.array(logits), edges_of(text, spans)
    scores = {None: 0.0}
    for i, j in itertools.combinations_with_replacement(range(len(rows)), 2):
        if edges.begins[i] >= 0 and edges.ends[j] >= 0:
            scores[i, j] = rows[i, 0] + rows[i + 1 : j + 1, 1].sum() + rows[j, 2]
    total = sum(map(math.exp, scores.values()))
    piece = likeliest(rows, text, edges)
    assert piece.probability == pytest.approx(max(map(math.exp, scores.values())) / total)
    assert piece.none == pytest.approx(1 / total)


def test_a_piece_never_begins_within_a_word_that_spaces_end():
    assert edges_of("a café", [(0, 1), (1, 4), (4, 6)]).begins.tolist() == [0, 2, -1]
    assert edges_of("東京へ", [(0, 2), (2, 3)]).begins.tolist() == [0, 2]
    assert edges_of("13pm", [(0, 2), (2, 4)]).ends.tolist() == [2, 4]
    assert [one.tolist() for one in edges_of("€", [(0, 1)] * 2)] == [[0, -1], [-1, 1]]


LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3)


@given(LOGITS, LOGITS, LOGITS, st.integers(1, 5))
def test_tokens_join_to_json_and_the_least_sure_is_the_probability(first, second, third, top):
    fields = (one(("a", "b", "c"), "x"), several((1, 2, 3), "y"), one((None, True, "z"), "w"))
    made = answer(manifest("json", *fields, separators=(",", ":")), read(first, second, third), "t", top=top)
    assert list(json.loads(made.text)) == ["x", "y", "w"]
    assert 0 <= made.probability <= 1
    if made.probability > 1e-25:
        assert math.exp(min(one.logprob for one in made.tokens)) == pytest.approx(made.probability, rel=1e-4)
    for token in made.tokens:
        assert len(token.likeliest) <= max(1, top) and token.likeliest[0] == (token.text, token.logprob)
        assert [share for _, share in token.likeliest] == sorted(
            (share for _, share in token.likeliest), reverse=True
        )


@given(st.lists(st.integers(-9, 9), min_size=3, max_size=3), st.integers(1, 4))
def test_a_list_joins_too(logits, top):
    made = answer(manifest("labels", several(("a", "b", "c"))), read(logits), "t", top=top)
    value = json.loads(made.text)
    assert value == [label for label, logit in zip("abc", logits, strict=True) if logit >= 0]
    assert len(made.tokens) == max(1, len(value))
