import pytest

from freehold.workflows.incumbent.scanning import grammars, plain
from freehold.workflows.incumbent.scanning.reading import words

SOURCES = {
    "go": (
        'package a\nimport (\n\tai "github.com/openai/openai-go"\n)\n// "gpt-4"\n/* "o3" */\n'
        'var m = "gpt-4o"\nvar r = `claude-2.1`\n',
        [("github.com/openai/openai-go", 3, "import"), ("gpt-4o", 7, "string"), ("claude-2.1", 8, "string")],
    ),
    "java": (
        'import com.openai.client.OpenAIClient;\n// "gpt-4"\nclass A {\n String m = "gpt-4o"; /* "o3" */\n}\n',
        [("com.openai.client.OpenAIClient", 1, "import"), ("gpt-4o", 4, "string")],
    ),
    "kotlin": (
        'import com.openai.client.OpenAIClient\n// "gpt-4"\nval m = "gpt-4o"\nval r = """claude-2.1"""\n',
        [
            ("com.openai.client.OpenAIClient", 1, "import"),
            ("gpt-4o", 3, "string"),
            ("claude-2.1", 4, "string"),
        ],
    ),
    "csharp": (
        'using OpenAI.Chat;\n// "gpt-4"\nclass A {\n string m = "gpt-4o"; string v = @"claude-2.1";\n}\n',
        [("OpenAI.Chat", 1, "import"), ("gpt-4o", 4, "string"), ("claude-2.1", 4, "string")],
    ),
    "ruby": (
        'require "openai"\n# "gpt-4"\nm = "gpt-4o"\nn = \'claude-2.1\'\n',
        [("openai", 1, "import"), ("gpt-4o", 3, "string"), ("claude-2.1", 4, "string")],
    ),
    "php": (
        "<?php\nuse OpenAI\\\\Client;\n// \"gpt-4\"\n# 'o3'\n$m = \"gpt-4o\"; $n = 'claude-2.1';\n".replace(
            "\\\\", "\\"
        ),
        [("OpenAI\\Client", 2, "import"), ("gpt-4o", 5, "string"), ("claude-2.1", 5, "string")],
    ),
    "rust": (
        'use async_openai::{Client, types};\n// "gpt-4"\nconst M: &str = "gpt-4o";\n'
        "fn f<'a>(x: &'a str) { g(\"claude-2.1\"); }\n",
        [("async_openai", 1, "import"), ("gpt-4o", 3, "string"), ("claude-2.1", 4, "string")],
    ),
    "shell": (
        "#!/bin/sh\n# MODEL=gpt-4\nexport MODEL=gpt-4o\nllm --model claude-2.1 x\n",
        [("gpt-4o", 3, "string"), ("claude-2.1", 4, "string")],
    ),
    "terraform": (
        '# "gpt-4"\nvariable "m" {\n  default = "gpt-4o"\n}\nlocals { n = "claude-2.1" }\n',
        [("gpt-4o", 3, "string"), ("claude-2.1", 5, "string")],
    ),
}

HOLES = {
    "go": 'var m = "gpt-4.1-" + size\n',
    "java": 'class A { String m = "gpt-4.1-" + size; }\n',
    "kotlin": 'val m = "gpt-4.1-${size}"\n',
    "csharp": 'class A { string m = $"gpt-4.1-{size}"; }\n',
    "ruby": 'm = "gpt-4.1-#{size}"\n',
    "php": '<?php $m = "gpt-4.1-$size"; $n = "gpt-4.1-" . $size;\n',
    "shell": 'M="gpt-4.1-${SIZE}"\nN=gpt-4.1-$SIZE\n',
    "terraform": 'locals { m = "gpt-4.1-${var.size}" }\n',
}


def told(found):
    return [
        (word.text, word.line, word.kind)
        for word in found
        if word.kind == "import" or word.text in ("gpt-4o", "gpt-4", "o3", "claude-2.1")
    ]


@pytest.fixture(params=sorted(SOURCES))
def language(request):
    if grammars.parser(request.param) is None:
        pytest.skip(f"reads {request.param} (pip install 'freehold[scan]')")
    return request.param


def test_strings_and_imports_are_read_and_comments_are_not(language):
    source, expected = SOURCES[language]
    assert told(grammars.read(source, language)) == expected


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_without_a_grammar_the_same_is_read_by_patterns(language):
    source, expected = SOURCES[language]
    assert told(plain.read(source, language)) == expected


@pytest.mark.parametrize("language", sorted(HOLES))
def test_a_name_with_a_hole_is_one_word(language):
    from freehold.workflows.incumbent.scanning.meaning import meaning

    if grammars.parser(language) is None:
        pytest.skip(f"reads {language}")
    found = [
        use
        for word in grammars.read(HOLES[language], language)
        if (use := meaning(word, language)) is not None
    ]
    assert found
    assert {use.model for use in found} == {"gpt-4.1-{…}"}


def test_a_shells_bodies_and_options_are_read():
    if grammars.parser("shell") is None:
        pytest.skip("reads shell")
    source = 'curl -d \'{"model": "gpt-4o"}\' --model=o3\ncat <<EOF\n{"model": "claude-2.1"}\nEOF\n'
    assert [(text, line) for text, line, _ in told(words(source, "shell"))] == [
        ("gpt-4o", 1),
        ("o3", 1),
        ("claude-2.1", 3),
    ]


def test_unfinished_files_end(language):
    assert grammars.read("(" * 5_000 + '"never closed', language) is not None
    assert grammars.read("", language) == []
