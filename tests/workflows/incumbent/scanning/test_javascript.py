import pytest

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning.javascript import read

pytest.importorskip("tree_sitter", reason="reads JavaScript")


def test_unfinished_javascript_ends():
    assert read("const a = `never closed", ".tsx") == []
    assert read('/* never closed "gpt-4o"', ".tsx") == []
    assert read("(" * 5000, ".tsx") == []


def texts(source, suffix=".tsx"):
    return [(word.text, word.line, word.kind) for word in read(source, suffix)]


def test_text_between_jsx_tags_is_no_code():
    source = "const page = <p title=\"a\">It's</p>; call({model: 'gpt-4o'});\n// it's\nuse('o3')"
    assert texts(source) == [("a", 1, "string"), ("gpt-4o", 1, "string"), ("o3", 3, "string")]


def test_strings_inside_a_templates_expressions_are_read():
    source = (
        "const a = `x ${pick('gpt-4o')} y`;\nconst b = await import('openai');\nexport * from \"cohere-ai\";"
    )
    assert texts(source, suffix=".mjs") == [
        ("x ", 1, "string"), (" y", 1, "string"), ("gpt-4o", 1, "string"), ("openai", 2, "import"),
        ("cohere-ai", 3, "import"),
    ]  # fmt: skip


def test_casts_of_typescript_are_no_elements():
    assert texts("const a = <string>pick('gpt-4o');", suffix=".ts") == [("gpt-4o", 1, "string")]


def test_a_component_is_read_in_script_and_markup():
    source = (
        "<!-- 'o1' -->\n<template><Chat model=\"gpt-4o\" /></template>\n"
        "<script lang=\"ts\">\nconst m = 'o3' // it's\n</script>"
    )
    assert texts(source, suffix=".vue") == [("gpt-4o", 2, "string"), ("o3", 4, "string")]


def test_columns_count_characters():
    (word,) = read('/* é */ const a = "gpt-4o"', ".js")
    assert (word.line, word.column) == (1, 19)


def test_a_name_put_together_is_one_word():
    source = 'const a = "claude-3-5-" + "sonnet-20241022";\nconst b = "gpt-4.1-" + size;\nconst c = `gpt-4.1-${size}`;'
    assert texts(source, suffix=".ts") == [
        ("claude-3-5-sonnet-20241022", 1, "string"),
        (f"gpt-4.1-{HOLE}", 2, "string"),
        (f"gpt-4.1-{HOLE}", 3, "string"),
    ]


def test_prose_that_is_joined_stays_in_pieces():
    assert texts('log("we use " + "gpt-4o" + " now");', suffix=".js") == [
        ("we use ", 1, "string"), ("gpt-4o", 1, "string"), (" now", 1, "string"),
    ]  # fmt: skip


def test_a_page_is_read_in_script_and_markup():
    source = "<body data-model=\"gpt-4o\">gpt-4</body><script>const m = 'o3'</script>"
    assert texts(source, suffix=".html") == [("gpt-4o", 1, "string"), ("o3", 1, "string")]
