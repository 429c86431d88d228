from freehold.datasets.tasks.pieces import Cutter, skeleton, stand_in_order


def test_the_same_word_is_the_same_token_and_every_number_is_one():
    cutter = Cutter()
    first, second = cutter.cut("it is 7 now"), cutter.cut("it is 2026-03-02T08:00:00 now")
    assert first.ids[:4].tolist() == second.ids[:4].tolist()
    assert len(first.shingles()) == 4
    assert not len(Cutter().cut("").shingles())


def test_chinese_is_cut_by_characters():
    assert len(Cutter().cut("你好吗").spans) == 3


def test_pieces_stand_in_order_and_do_not_overlap():
    assert stand_in_order(["ab", "ba"], "ab ba")
    assert not stand_in_order(["ab", "ba"], "aba")
    assert not stand_in_order(["b", "a"], "ab")
    assert stand_in_order([], "anything")


def test_a_skeleton_has_slots_where_texts_differ():
    assert skeleton(["Dear", ", hello"], "Dear Ada, hello you") == "Dear{…}, hello{…}"
    assert skeleton(["Dear Ada"], "Dear Ada") == "Dear Ada"
