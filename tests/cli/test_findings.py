from freehold.cli.findings import show_findings
from freehold.types.finding import fail, ok, warn


def test_each_has_a_line_and_its_way_out_under_it(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    show_findings(
        [ok("disk", "fine"), warn("clock", "off", "set it"), fail("name\x1b", "a\x1b[2Jb", "mend it")]
    )
    out = capsys.readouterr().out
    assert "  ok    disk           fine\n" in out
    assert f"  warn  clock          off\n{'':<23}→ set it\n" in out
    assert "a\\u001b[2Jb" in out and "\x1b" not in out.replace("\x1b[", "", 0).replace("name\x1b", "")
