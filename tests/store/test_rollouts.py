from freehold.store import rollouts
from freehold.store.rollouts import WindowRow


def row(unit, seq, *, stage=0, closed=False, body=b"{}"):
    return WindowRow("arm", unit, stage, seq, closed, body)


def learn(store, version, windows=(), state=b"s"):
    return rollouts.learn(store.database, "r", known_version=version, state=state, windows=windows)


def test_a_look_that_came_second_writes_nothing(store):
    assert rollouts.state_of(store.database, "r") == (0, None)
    assert learn(store, 0, [row("ada", 1)], b"first")
    assert not learn(store, 0, [row("bob", 2)], b"second")
    assert rollouts.state_of(store.database, "r") == (1, b"first")
    assert [one.unit for one in rollouts.open_windows(store.database, "r")] == ["ada"]
    assert learn(store, 1, [row("bob", 2)]) and not learn(store, 1)


def test_windows_keep_their_place_when_written_anew(store):
    learn(store, 0, [row("bob", 2), row("ada", 1), row("ada", 3, stage=1)])
    learn(store, 1, [row("ada", 9, closed=True, body=b"done")])
    found = rollouts.windows_of(store.database, "r", ["ada", "nobody"])
    assert [(one.seq, one.stage, one.closed) for one in found] == [(1, 0, True), (3, 1, False)]
    assert [one.unit for one in rollouts.open_windows(store.database, "r")] == ["bob", "ada"]
    assert rollouts.closed_windows(store.database, "r", "arm") == [b"done"]
    assert rollouts.windows_of(store.database, "other", ["ada"]) == []


def test_many_units_are_asked_for_in_pieces(store):
    learn(store, 0, [row(f"u{n}", n) for n in range(900)])
    assert len(rollouts.windows_of(store.database, "r", [f"u{n}" for n in range(900)])) == 900
