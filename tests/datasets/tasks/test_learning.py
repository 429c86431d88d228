import random

from benchmarks.mixed_log import complaint

from freehold.datasets.tasks.learning import AT_ONCE, AskedPair, PromptBucket


def test_what_waits_is_bounded_however_long_the_log_is():
    bucket, draw = PromptBucket(instructed=False), random.Random(1)
    most = 0
    for _ in range(5 * AT_ONCE):
        bucket.learn(AskedPair("", complaint(draw)))
        most = max(most, bucket.waiting_characters)
    assert most < AT_ONCE * 200
    bucket.mine()
    assert bucket.waiting_characters == 0


def test_a_prompt_that_comes_late_is_learned():
    bucket = PromptBucket(instructed=True)
    for _ in range(AT_ONCE):
        bucket.learn(AskedPair("Sort the message into one queue.", "hi"))
    for _ in range(9):
        bucket.learn(AskedPair("Write a warm reply to the customer.", "hi"))
    bucket.mine()
    assert [one.pieces[0] for one in bucket.systems] == [
        "Write a warm reply to the customer.",
        "Sort the message into one queue.",
    ]


def test_what_waits_can_be_given_to_another():
    bucket = PromptBucket(instructed=True)
    bucket.learn(AskedPair("Sort it.", "hi"))
    assert list(bucket.give_up()) == [AskedPair("Sort it.", "hi")]
