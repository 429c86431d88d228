"""What an encoder is taught: the form of answers, the texts that are read, and the job of it."""

import json

import msgspec
import pytest
from tests.training.encoder.conftest import label_samples, sample, write_dataset

from freehold.errors import InputError, UsageError
from freehold.training import encoder
from freehold.training.encoder.answers import form_of, span_of, targets_of, untaught
from freehold.training.encoder.job import RECORD, unlabelled_texts
from freehold.training.encoder.prepared import prepare
from freehold.types.dataset import Message
from freehold.types.encoder import EncoderConfig


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


def test_a_constant_system_prompt_is_not_read(tmp_path):
    made = prepare(write_dataset(tmp_path, label_samples(12)))
    assert made.system_lines is None
    assert made.train.texts[0] == "where is my order now 0"


def test_what_varies_of_the_system_prompt_is_read(tmp_path):
    samples = [
        sample(n, "hello", "ab"[n % 2], system=f"Name the intent.\nPlan: {('free', 'paid')[n % 2]}")
        for n in range(12)
    ]
    made = prepare(write_dataset(tmp_path, samples))
    assert made.system_lines == ("Name the intent.",)
    assert made.train.texts[:2] == ["hello\nPlan: free", "hello\nPlan: paid"]
    assert any("system prompts differ" in warning for warning in made.warnings)


def test_the_last_turn_of_the_user_and_what_was_before_are_read(tmp_path):
    talk = (Message(role="user", content="my card"), Message(role="assistant", content="?"),
            Message(role="user", content=[{"type": "text", "text": "is lost"}]))  # fmt: skip
    samples = [msgspec.structs.replace(one, messages=talk) for one in label_samples(9)]
    dataset = write_dataset(tmp_path, samples)
    made = prepare(dataset)
    assert made.views == ("last", "assistant", "earlier")
    assert (made.train.texts[0], made.train.context[0]) == ("is lost", ("?", "my card"))
    assert prepare(write_dataset(tmp_path / "alone", label_samples(9))).views == ("last",)


def test_the_question_is_read_where_a_field_is_copied(tmp_path):
    samples = [
        sample(n, f"for {n}", json.dumps({"people": f"{n}", "time": None}), system=None) for n in range(20)
    ]
    asked = Message(role="assistant", content="How many of you?")
    talks = [msgspec.structs.replace(one, messages=(Message(role="user", content="hi"), asked, *one.messages[-1:]))
             for one in samples]  # fmt: skip
    made = prepare(write_dataset(tmp_path / "talks", talks))
    assert made.question and made.train.texts[3] == "for 3\nHow many of you?"
    assert not prepare(write_dataset(tmp_path / "alone", samples)).question


def test_labels_only_validation_has_are_said_and_kept_as_wrong(tmp_path):
    made = prepare(write_dataset(tmp_path, label_samples(12), [sample(99, "x", "new_one")]))
    assert made.validation.values == [("new_one",)]
    assert any("1 labels of the validation split are never taught" in warning for warning in made.warnings)


def test_answers_that_call_tools_are_refused(tmp_path):
    call = Message(role="assistant", tool_calls=[{"id": "1", "type": "function"}])
    samples = [msgspec.structs.replace(one, completion=(call,)) for one in label_samples(9)]
    with pytest.raises(UsageError, match="9 of 9 training answers call tools"):
        prepare(write_dataset(tmp_path, samples))


@pytest.fixture
def job_of(tmp_path, base_weights):
    dataset = write_dataset(tmp_path / "data", label_samples(9))

    def make(unlabelled=(), name="shop", **config):
        return encoder.make(
            config=EncoderConfig(**config), dataset=dataset, base=base_weights, out_dir=tmp_path / "out", name=name,
            unlabelled=unlabelled,
        )  # fmt: skip

    return make


def test_what_decides_the_result_names_the_job(job_of):
    assert len({job_of().id, job_of(seed=1).id, job_of(stage="frozen").id, job_of(["a text"]).id}) == 4


def test_texts_without_an_answer_go_beside_the_job(job_of):
    job = job_of(["b", "a", "a", " "])
    assert unlabelled_texts(job) == ["a", "b"]
    assert unlabelled_texts(job_of()) == []


def test_a_name_is_no_path(job_of):
    with pytest.raises(UsageError, match="cannot name an encoder"):
        job_of(name="../x")


def test_what_is_not_whole_is_not_finished(job_of, tmp_path):
    job = job_of()
    assert encoder.finished(job) is None
    folder = tmp_path / "out" / job.folder.rsplit("/", 1)[1]
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("{")
    with pytest.raises(InputError, match="not an encoder's record"):
        encoder.finished(job)
