from freehold.types.progress import Silent


def test_silence_takes_everything_and_writes_nothing(capfd):
    silent = Silent()
    silent.step("a", note="b")
    silent.update(1, None, unit="bytes")
    silent.say("c")
    assert capfd.readouterr() == ("", "")
