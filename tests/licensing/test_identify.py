from freehold.licensing.identify import fingerprint, identify

ORIGINAL = """
# The Example License

Copyright (c) 2024 Example Corp.

You may use the model for any purpose. You must keep this notice in every copy.
If you distribute Example 3.1, you shall display "Built with Example" on a related page.
The model is provided as is, without warranty of any kind.
"""
TWIN = ORIGINAL.replace("Example 3.1", "Example 3.2")


def known():
    return (
        fingerprint(ORIGINAL, license_id="ex-3.1", title="Example 3.1", role="license", source="test"),
        fingerprint(TWIN, license_id="ex-3.2", title="Example 3.2", role="license", source="test"),
    )


def test_the_same_text_in_another_dress_is_the_same():
    dressed = ORIGINAL.upper().replace("\n", "\n\n").replace("2024 EXAMPLE CORP.", "2026 SOMEBODY")
    found = identify(dressed, known())
    assert (found.answer, found.license_id, found.closeness) == ("same", "ex-3.1", 1.0)


def test_a_near_twin_is_told_apart_by_its_version_string():
    found = identify(TWIN, known())
    assert found.license_id == "ex-3.2"
    assert found.twins[0][0] == "Example 3.1"


def test_a_tail_after_the_original_is_shown_and_is_not_the_original():
    found = identify(ORIGINAL + "\nCommercial use needs our permission.\n", known())
    assert found.answer == "changed"
    assert found.license_id is None
    assert found.nearest == "ex-3.1"
    assert found.added == ("Commercial use needs our permission",)
    assert found.missing == 0


def test_terms_hidden_in_a_copyright_line_are_seen():
    hidden = ORIGINAL.replace("Example Corp.", "Example Corp. Commercial use prohibited")
    assert identify(hidden, known()).answer == "changed"


def test_one_changed_word_or_a_dropped_sentence_is_a_change():
    assert identify(ORIGINAL.replace("any purpose", "some purpose"), known()).answer == "changed"
    dropped = identify(ORIGINAL.replace("You must keep this notice in every copy.", ""), known())
    assert (dropped.answer, dropped.missing) == ("changed", 1)


def test_another_text_and_an_empty_one_are_unknown():
    assert identify("Roses are red. Violets are blue. Sugar is sweet.", known()).answer == "unknown"
    assert identify("", known()).answer == "unknown"


def test_a_missing_sentence_is_told_by_its_place_and_its_neighbours():
    dropped = identify(ORIGINAL.replace("You must keep this notice in every copy.", ""), known())
    (gap,) = dropped.gaps
    assert gap.startswith("missing: sentence ")
    assert "after “" in gap and "any purpose" in gap and "before “If you distribute Example 3.1" in gap
    end = identify(
        ORIGINAL.replace("The model is provided as is, without warranty of any kind.", ""), known()
    )
    assert "before" not in end.gaps[0] and "after “" in end.gaps[0]
    assert identify(ORIGINAL + "\nCommercial use needs our permission.\n", known()).gaps == ()
