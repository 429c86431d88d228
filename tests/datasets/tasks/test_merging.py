from freehold.datasets.tasks.asked import TaskShape
from freehold.datasets.tasks.grouping import TaskGroup
from freehold.datasets.tasks.merging import AnswerSignature, compatible, merged
from freehold.datasets.tasks.mining import Template

TEXT = AnswerSignature("exact", answers=50)


def group(prompt, *, tools=(), model="m"):
    return TaskGroup(TaskShape("chat", model, tools, "text", True), Template((prompt,), prompt), None)


def labels(*values):
    return AnswerSignature("label", frozenset(values), 50)


def test_a_slot_with_few_values_is_one_task():
    groups = [group(f"Translate the message to {one} now.") for one in ("German", "French", "Dutch")]
    assert merged(groups, [TEXT] * 3) == [[0, 1, 2]]


def test_two_prompts_that_differ_by_a_word_are_two_tasks():
    groups = [group("What is the sentiment of this?"), group("What is the topic of this?")]
    assert merged(groups, [TEXT] * 2) == [[0], [1]]


def test_other_answers_are_another_task_however_alike_the_prompts_are():
    groups = [group(f"Name the {one} of the message, one word.") for one in ("mood", "topic", "team")]
    assert merged(groups, [labels("good", "bad"), labels("card", "fee"), labels("sales", "repair")]) == [
        [0],
        [1],
        [2],
    ]


def test_an_edit_is_no_task_of_its_own():
    prompt = "You sort the messages of our customers into one of twelve queues and answer with its name only"
    assert merged([group(prompt), group(prompt + " please")], [TEXT] * 2) == [[0, 1]]


def test_one_tool_more_is_the_same_agent_and_another_model_is_not():
    groups = [
        group("Book it.", tools=("a", "b")),
        group("Book it.", tools=("a", "b", "c")),
        group("Book it.", tools=("x",)),
        group("Book it.", tools=("a", "b"), model="n"),
    ]
    assert merged(groups, [TEXT] * 4) == [[0, 1], [2], [3]]


def test_few_answers_say_nothing():
    assert compatible(AnswerSignature("label", frozenset("a"), 3), AnswerSignature("exact", answers=500))
    assert not compatible(labels("a", "b"), TEXT)
    assert compatible(labels("a", "b"), labels("a", "b", "c"))
