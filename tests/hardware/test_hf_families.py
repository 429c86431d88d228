from freehold.hardware import hf_families as families


def test_every_set_names_families_of_the_table():
    for names in (
        families.SPARSE,
        families.HYBRID,
        families.TIED_BY_DEFAULT,
        families.SCORE_BIAS,
        families.MIXTURES,
        families.WINDOW_IGNORED,
    ):
        assert names <= families.FAMILIES.keys()


def test_names_of_our_own_are_those_of_families():
    assert {family.architecture for family in families.FAMILIES.values()} >= families.NEWER
