from freehold.workflows.incumbent.scanning.plain import read


def texts(source, language):
    return [(word.text, word.line, word.column, word.kind) for word in read(source, language)]


def test_a_comment_sign_in_a_string_is_none():
    assert texts('u = "https://x"; m = "gpt-4o" // "no"\n', "java") == [
        ("https://x", 1, 5, "string"),
        ("gpt-4o", 1, 22, "string"),
    ]
    assert texts('m = "a#{b}c" # "no"\n', "ruby") == [("a#{b}c", 1, 5, "string")]


def test_an_unfinished_comment_hides_the_rest():
    assert texts('/* never closed "gpt-4o"', "go") == []


def test_imports_of_go_stand_in_blocks_and_alone():
    source = 'package a\nimport "one"\nimport (\n\tx "two"\n)\nvar s = "three"\n'
    assert [(text, kind) for text, _, _, kind in texts(source, "go")] == [
        ("one", "import"),
        ("two", "import"),
        ("three", "string"),
    ]


def test_shell_and_terraform_are_read_as_configuration():
    assert [word.text for word in read("MODEL=gpt-4o # x\n", "shell")] == ["MODEL", "gpt-4o"]
