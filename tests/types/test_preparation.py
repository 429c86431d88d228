import msgspec

from freehold.types.preparation import ExampleIndex, Preparation

INDEX = ExampleIndex(path="/a", sha256="s", samples=9, k=4)
MADE = Preparation.of(base_model="b", dataset_id="d", reminder="r", examples=INDEX, made_from=("x",))


def test_the_id_is_of_what_changes_a_request_not_of_where_it_lies():
    def other(**fields):
        index = msgspec.structs.replace(INDEX, **fields)
        return Preparation.of(base_model="b", dataset_id="d", reminder="r", examples=index)

    assert other().id == other(path="/b").id == MADE.id
    assert MADE.id not in {other(k=2).id, other(sha256="t").id, other(order="nearest_first").id}
    assert Preparation.of(base_model="b", dataset_id="d", reminder="other").id != MADE.id


def test_it_is_stored_and_sent_whole():
    assert msgspec.json.decode(msgspec.json.encode(MADE), type=Preparation) == MADE
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(MADE), type=Preparation) == MADE
    assert MADE.made_from == ("x",) and MADE.examples == INDEX
