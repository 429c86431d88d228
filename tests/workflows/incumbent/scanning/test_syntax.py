from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning.javascript import read


def texts(source):
    return [word.text for word in read(source, ".ts")]


def test_a_long_chain_of_strings_is_data():
    parts = " + ".join(f'"p{n}"' for n in range(250))
    assert len(texts(f"const a = {parts}")) == 250


def test_a_chain_nests_as_deep_as_it_likes():
    assert len(texts("const a = " + " + ".join(['"x"'] * 5_000))) == 5_000


def test_a_hole_is_read_for_its_own_strings():
    assert texts('const a = "gpt-" + pick("o3", "o1")') == [f"gpt-{HOLE}", "o3", "o1"]


def test_a_quoted_text_has_no_quotes():
    assert texts("const a = ''; const b = \"x\"; const c = `y`") == ["", "x", "y"]
