import json

import pytest

from freehold.errors import UsageError
from freehold.training.encoder.answers import form_of, label_text, span_of, targets_of, untaught


def json_answers(count, **fields):
    return [json.dumps({name: value(n) for name, value in fields.items()}) for n in range(count)]


def test_one_label():
    form = form_of(["refund", "status", "refund"] * 4, [""] * 12)
    assert (form.answer, form.fields[0].labels) == ("label", ("refund", "status"))
    assert form.fewest == 6


def test_lists_of_labels_keep_their_separators():
    form = form_of(['["a","b"]', '["b"]', "[]"] * 5, [""] * 15)
    assert (form.answer, form.fields[0].kind) == ("labels", "several")
    assert targets_of(form, '["b","a","b"]') == (("b", "a"),)
    assert (form.separators[0], form.fewest) == (",", 7.5)


def test_fields_closed_and_copied():
    answers = json_answers(
        20, intent=lambda n: "ab"[n % 2], urgent=lambda n: n % 3 == 0, order=lambda n: f"A-{100 + n}"
    )
    form = form_of(answers, [f"where is a-{100 + n}?" for n in range(20)])
    assert [field.kind for field in form.fields] == ["one", "one", "copied"]
    assert form.fields[2].copied_as == "upper"
    assert targets_of(form, answers[0]) == ("a", True, "A-100")


def test_numbers_are_copied_as_numbers():
    form = form_of(json_answers(12, n=lambda n: 5000 + n), [f"order {5000 + n} please" for n in range(12)])
    assert form.fields[0].copied_as == "number"
    assert span_of(5003, "number", "order 5003 please") == (6, 10)


def test_null_is_no_value_of_a_set():
    names = [f"Ann{n}" if n % 8 == 0 else None for n in range(400)]
    answers = json_answers(400, name=lambda n: names[n], kind=lambda n: ("a", "b", None)[n % 3])
    form = form_of(answers, [f"I am {name}." if name else "hello" for name in names])
    assert [field.kind for field in form.fields] == ["copied", "one"]
    with pytest.raises(
        UsageError, match=r"name has no closed set of values.*50 different in 50 .* 0% of them stand"
    ):
        form_of(answers, ["hello"] * 400)


def test_what_is_both_closed_and_in_the_message_is_what_gives_more_values():
    sizes = json_answers(60, size=lambda n: ("small", "large")[n % 2])
    said = [("a small one", "a large one")[n % 2] for n in range(60)]
    assert form_of(sizes, said).fields[0].kind == "copied"
    assert form_of(sizes, said, copies=False).fields[0].kind == "one"
    said[:4] = ["tiny", "big"] * 2
    assert form_of(sizes, said).fields[0].kind == "one", "the four are of the set and stand nowhere"
    towns = json_answers(60, town=lambda n: f"Town{n // 2}" if n % 2 else f"Hamlet{n}")
    said = [json.loads(one)["town"] for one in towns]
    assert form_of(towns, ["?", "?", *said[2:]]).fields[0].kind == "copied", "a later town is in no set"


def test_a_field_that_is_hardly_ever_there_does_not_end_the_training():
    form = form_of(
        json_answers(200, note=lambda n: f"text {n}" if n < 3 else None, a=lambda n: n % 2), [""] * 200
    )
    assert [field.kind for field in form.fields] == ["one", "one"]


def test_a_value_is_a_piece_of_whole_words():
    assert span_of("art", "as_written", "start the art") == (10, 13)
    assert span_of("art", "as_written", "start") is None
    assert span_of("13", "digits", "13 12 May") == (0, 2)


def test_true_is_not_one():
    form = form_of(json_answers(20, a=lambda n: (True, 1)[n % 2]), [""] * 20)
    assert len(form.fields[0].labels) == 2


@pytest.mark.parametrize(
    ("answers", "texts", "says"),
    [
        (["the same"] * 9, [""] * 9, "all 9 training samples have the same answer"),
        ([f"Dear customer {n}, we are sorry" for n in range(9)], [""] * 9, "no closed set: 9 different"),
        (json_answers(9, reply=lambda n: f"text {n}"), [""] * 9, "field reply has no closed set"),
        (json_answers(9, deep=lambda n: {"a": n}), [""] * 9, "field deep is an object"),
        (['{"a": [1]}', '{"a": 1}'] * 4, [""] * 8, "a list in some answers"),
        ([], [], "no training sample has an answer"),
    ],
)
def test_what_an_encoder_cannot_answer_is_refused(answers, texts, says):
    with pytest.raises(UsageError, match=says) as caught:
        form_of(answers, texts)
    assert caught.value.hint


def test_labels_that_differ_by_case_are_one_and_said():
    form = form_of(["Refund"] * 5 + ["refund"] + ["status"] * 4, [""] * 10)
    assert form.fields[0].labels == ("Refund", "status")
    assert targets_of(form, "REFUND") == ("Refund",)
    assert "differ by case only: refund (1) taught as Refund (5)" in form.warnings[0]


def test_single_samples_missing_fields_and_broken_answers_are_said():
    answers = [*json_answers(60, a=lambda n: "xy"[n % 2] if n else "once"), "no json"]
    answers[3] = "{}"
    form = form_of(answers, [""] * 61)
    said = " ".join(form.warnings)
    assert "2 labels of field a have one training sample: once, None" in said
    assert "field a is missing in 1 of 60 answers" in said
    assert "1 of 61 answers are not a JSON object" in said
    assert targets_of(form, "no json") is None


def test_labels_that_are_never_taught_are_counted():
    form = form_of(["a", "b"] * 5, [""] * 10)
    assert untaught(form, ["a", "c", "c"]) == {"c": 2}


def test_labels_as_words():
    assert label_text("card_notWorking") == "card not working"


WRITTEN = ("order LL-{}", "Order ll {} please", "#{} is late", "my number: {}", "about {}")


def numbers(count, *, wrong=0):
    """Orders in the ways people write them, every fifth message without one."""
    answers, texts = [], []
    for n in range(count):
        digits = f"{480000 + 37 * n}"
        shown = digits if n % 2 else f"{digits[:2]} {digits[2:4]}-{digits[4:]}"
        without = n % 5 == 4
        value = None if without else f"LL-{digits if n >= wrong else '999999'}"
        texts.append("where is my lamp?" if without else WRITTEN[n % 5].format(shown))
        answers.append(json.dumps({"urgent": n % 3 == 0, "order": value}))
    return answers, texts


def test_a_number_with_the_same_letters_is_found_however_it_is_written():
    answers, texts = numbers(60)
    form = form_of(answers, texts)
    field = form.fields[1]
    assert (field.kind, field.number.before, field.number.least_digits) == ("found", "LL-", 6)
    assert 0.9 < field.number.sure < 1 and 0.8 < field.number.sure_none < 1
    assert [field.number.find(text) for text in texts] == [json.loads(one)["order"] for one in answers]
    assert untaught(form, answers) == {}


def test_one_that_is_often_another_is_refused():
    with pytest.raises(UsageError, match="field order has no closed set"):
        form_of(*numbers(60, wrong=12))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("LL-482913", "LL-482913"),
        ("ref 123456, order ll.48 29 13", "LL-482913"),
        ("call +491234567890", None),
        ("1234567", None),
        ("LL-48291", None),
        ("", None),
    ],
)
def test_what_is_a_number_of_that_form(text, value):
    form = form_of(*numbers(60)).fields[1].number
    assert form.find(text) == value
