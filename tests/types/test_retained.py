from freehold.types.retained import SkillResult


def test_a_skill_is_told_in_one_line():
    skill = SkillResult(skill="chat", n=20, base_right=15, trained_right=14, lost=False)
    assert skill.text == "chat 15 → 14 of 20"
