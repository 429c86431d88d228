"""`freehold skill` as a person meets it; what it does with files is in tests/agents/skill/test_install.py."""


def test_it_is_installed_for_the_agents_that_are_here(freehold, refused, tmp_path):
    refused("skill", "install", message="no agent's folder is in", hint="--agent claude")
    (tmp_path / ".claude").mkdir()
    ran = freehold("skill", "install")
    assert ran.code == 0 and ran.out.startswith(f"claude: {tmp_path}/.claude/skills/freehold  6 new")
    assert freehold("skill", "install").out.rstrip().endswith("6 unchanged")


def test_what_you_changed_is_left_and_said(freehold, tmp_path):
    freehold("skill", "install", "--agent", "codex")
    skill = tmp_path / ".agents" / "skills" / "freehold" / "SKILL.md"
    skill.write_text("mine")
    ran = freehold("skill", "install", "--agent", "codex")
    assert ran.code == 1 and f"left, you changed it: {skill}" in ran.err and skill.read_text() == "mine"
    assert freehold("skill", "install", "--agent", "codex", "--force").code == 0
    assert skill.read_text() != "mine"


def test_a_dry_run_as_json(freehold, tmp_path):
    ran = freehold("skill", "install", "--agent", "claude", "--agent", "cursor", "--dry-run", "--json")
    assert [one["agent"] for one in ran.items] == ["claude", "cursor"]
    assert not any(one["written"] for one in ran.items) and list(tmp_path.iterdir()) == []
