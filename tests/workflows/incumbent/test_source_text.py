"""Strings, imports and values of source texts, configuration and manifests."""

import time

import pytest

from freehold.catalog import retirements
from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent import source_text
from freehold.workflows.incumbent.meaning import meaning
from freehold.workflows.incumbent.source_text import (
    MAX_PIECES,
    config_values,
    manifest_kind,
    module_of,
    read_code,
    read_config,
    read_manifest,
    read_page,
)

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
}

HOLES = {
    "go": 'var m = "gpt-4.1-" + size\n',
    "java": 'class A { String m = "gpt-4.1-" + size; }\n',
    "kotlin": 'val m = "gpt-4.1-${size}"\n',
    "csharp": 'class A { string m = $"gpt-4.1-{size}"; }\n',
    "ruby": 'm = "gpt-4.1-#{size}"\n',
    "php": '<?php $m = "gpt-4.1-$size"; $n = "gpt-4.1-" . $size;\n',
}


def texts(source, language):
    return [(word.text, word.line, word.kind) for word in read_code(source, language)]


def models(source, language):
    return [
        use.model for word in read_code(source, language) if (use := meaning(word, language)) and use.model
    ]


@pytest.mark.parametrize("language", SOURCES)
def test_strings_and_imports_are_read_and_comments_are_not(language):
    source, expected = SOURCES[language]
    known = ("gpt-4o", "gpt-4", "o3", "claude-2.1")
    assert [one for one in texts(source, language) if one[2] == "import" or one[0] in known] == expected


@pytest.mark.parametrize("language", HOLES)
def test_a_name_with_a_hole_is_one_word(language):
    assert set(models(HOLES[language], language)) == {"gpt-4.1-{…}"}


CONSTANTS = {
    "go": """package a
// openai.ChatModelGPT4
var x = string(anthropic.ModelClaude3_5HaikuLatest)
func f() { p := Params{Model: openai.F(openai.GPT3Dot5Turbo), Role: openai.ChatMessageRoleUser}; s := "openai.GPT4" }
""",
    "java": """class A { void f() {
  B.builder().addUserMessage("hi").model(ChatModel.GPT_4O_MINI).build(); /* ChatModel.GPT_4 */
  c.put(com.openai.models.ChatModel.GPT_3_5_TURBO.asString()); Level.GPT_4.toString(); } }
""",
    "kotlin": """fun f() = Params.builder().model(ChatModel.GPT_4O_MINI).maxCompletionTokens(2048).build()
""",
    "csharp": """class A { void F() { var r = new Q { Model = Models.Gpt_4o_mini }; } }
""",
}
CONSTANTS_FOUND = {
    "go": [("claude-3-5-haiku-latest", 3, 16), ("gpt-3.5-turbo", 4, 40), ("openai.GPT4", 4, 103)],
    "java": [("hi", 2, 30), ("gpt-4o-mini", 2, 42), ("gpt-3.5-turbo", 3, 9)],
    "kotlin": [("gpt-4o-mini", 1, 34)],
    "csharp": [("gpt-4o-mini", 1, 46)],
}


@pytest.mark.parametrize("language", CONSTANTS)
def test_constants_are_read_where_they_are_used(language):
    found = read_code(CONSTANTS[language], language)
    assert [(word.text, word.line, word.column) for word in found] == CONSTANTS_FOUND[language]


@pytest.mark.parametrize(
    ("source", "model"),
    [
        ('"claude-3-5-" + "sonnet-20241022"', "claude-3-5-sonnet-20241022"),
        ('f"gpt-4.1-{size}"', "gpt-4.1-{…}"),
        ('"gpt-4.1-" + size', "gpt-4.1-{…}"),
        ('"gpt-4.1-%s" % size', "gpt-4.1-{…}"),
        ('"gpt-4.1-{}".format(size)', "gpt-4.1-{…}"),
        ('"gpt-" + f"4.1-{size}" + "-2025-04-14"', "gpt-4.1-{…}-2025-04-14"),
    ],
)
def test_a_name_put_together_in_python_is_one_word(source, model):
    assert models(f"m = {source}\n", "python") == [model]


def test_parts_of_a_joined_name_are_read_and_prose_stays_in_pieces():
    assert texts("a = f\"gpt-{pick('o3')}\"\n", "python") == [
        (f"gpt-{HOLE}", 1, "string"),
        ("o3", 1, "string"),
    ]
    assert texts('const a = "gpt-" + pick("o3", "o1")', "javascript") == [
        (f"gpt-{HOLE}", 1, "string"), ("o3", 1, "string"), ("o1", 1, "string"),
    ]  # fmt: skip
    assert ("gpt-4o", 1, "string") in texts("const a = `x ${pick('gpt-4o')} y`;", "javascript")
    assert texts('log("we use " + "gpt-4o" + " now");', "javascript") == [
        ("we use ", 1, "string"), ("gpt-4o", 1, "string"), (" now", 1, "string"),
    ]  # fmt: skip
    assert len(texts("a = " + " + ".join(['"x"'] * (MAX_PIECES + 1)), "python")) == MAX_PIECES + 1


def test_python_has_places_and_docstrings_are_none():
    source = 'import a.b\nfrom c import d\nfrom . import e\ndef f():\n    """g"""\n    return "h" "i"\n'
    assert texts(source, "python") == [("a.b", 1, "import"), ("c", 2, "import"), ("hi", 6, "string")]
    assert texts("from google import genai, cloud\n", "python") == [
        ("google.genai", 1, "import"),
        ("google.cloud", 1, "import"),
    ]
    assert texts('s = """\nimport openai\n"""\n# import cohere\n', "python") == [
        ("\nimport openai\n", 1, "string")
    ]


def test_a_body_in_a_string_sets_its_model():
    source = 'a = \'{"model": "gpt-4o", "n": 1}\'\nb = """\n  {"model_name":\n  "o3"}"""\n'
    found = [(text, line) for text, line, _ in texts(source, "python") if text in ("gpt-4o", "o3")]
    assert found == [("gpt-4o", 1), ("o3", 4)]
    assert "gpt-4o" in models('let b = r#"{"model": "gpt-4o"}"#;', "rust")


def test_imports_stand_in_blocks_and_alone():
    source = 'package a\nimport "one"\nimport (\n\tx "two" // y\n)\nvar s = "three"\n'
    assert texts(source, "go") == [("one", 2, "import"), ("two", 4, "import"), ("three", 6, "string")]
    source = "const b = await import('openai');\nexport * from \"cohere-ai\";\nconst c = require('d')"
    assert texts(source, "javascript") == [
        ("openai", 1, "import"), ("cohere-ai", 2, "import"), ("d", 3, "import"),
    ]  # fmt: skip


def test_pages_and_jsx_are_read_in_script_and_markup():
    source = "const page = <p title=\"a\">It's</p>; call({model: 'gpt-4o'});\n// it's\nuse('o3')"
    assert texts(source, "javascript") == [("a", 1, "string"), ("gpt-4o", 1, "string"), ("o3", 3, "string")]
    source = "<!-- 'o1' -->\n<Chat model=\"gpt-4o\" />gpt-4\n<script lang=\"ts\">\nconst m = 'o3' // it's\n</script>"
    assert [(word.text, word.line) for word in read_page(source)] == [("gpt-4o", 2), ("o3", 4)]


def test_a_comment_sign_in_a_string_is_none():
    found = read_code('u = "https://x"; m = "gpt-4o" // "no"\n', "java")
    assert [(word.text, word.column) for word in found] == [("https://x", 5), ("gpt-4o", 22)]
    (word,) = read_code('/* é */ const a = "gpt-4o"', "javascript")
    assert (word.line, word.column) == (1, 19)


@pytest.mark.parametrize("language", SOURCES)
def test_unfinished_and_long_files_end(language):
    for source in (
        "const a = `never closed",
        '/* never closed "gpt-4o"',
        "(" * 5_000 + '"never',
        "`${" * 9_000,
        "",
    ):
        read_code(source, language)
    begun = time.process_time()
    source = "x" + ".a()" * 20_000 + ".model(ChatModel.GPT_4O_MINI); y = a" + ".b" * 20_000 + ' + "s"' * 5_000
    read_code(source, language)
    assert time.process_time() - begun < 5


def config_texts(line):
    return [word.text for word in config_values(line, 1)]


@pytest.mark.parametrize(
    "line",
    [
        "model: gpt-4o", "MODEL=gpt-4o", '"model": "gpt-4o",', "- gpt-4o", "models: [a, gpt-4o]",
        "run: llm --model gpt-4o x",
        "llm -m gpt-4o < x", "ENV MODEL gpt-4o", 'model = "gpt-4o"', "args: --model=gpt-4o", "<model>gpt-4o</model>",
        'command: ["--model", "gpt-4o"]', "gpt-4o: {price: 1}", "model gpt-4o;",
    ],
)  # fmt: skip
def test_a_value_is_read(line):
    assert "gpt-4o" in config_texts(line)


@pytest.mark.parametrize(
    "line",
    [
        "description: we replaced gpt-4 by gpt-4o",
        '"text": "since gpt-4o is dear"',
        "note: gpt-4o is old",
        "say (gpt-4o) once",
    ],
)
def test_a_mention_is_not_a_value(line):
    assert "gpt-4o" not in config_texts(line)


def test_a_file_of_one_line_takes_no_longer_than_one_of_many():
    line = '{"n": 1, "model": "gpt-4o"}, ' * 40_000
    began = time.process_time()
    found = [word for word in read_config("[" + line + "]") if word.text == "gpt-4o"]
    assert len(found) == 40_000
    assert time.process_time() - began < 20  # seconds; a copy of the line for each word would take minutes


def test_variables_are_holes_and_comments_are_left_out():
    (key, value) = config_values("model: gpt-4.1-${SIZE}-x # no", 3)
    assert (key.text, value.text, value.line, value.column) == ("model", f"gpt-4.1-{HOLE}-x", 3, 8)
    assert f"gpt-4.1-{HOLE}" in config_texts("model: gpt-4.1-{{ .Values.size }}")
    assert [word.text for word in read_config("a: gpt-4o # was gpt-4\n# gpt-4\nurl: https://x/y // old\n")] == [
        "a", "gpt-4o", "url", "https://x/y",
    ]  # fmt: skip


# As the SDKs spell them: openai-go, anthropic-sdk-go, sashabaranov/go-openai, openai-java, anthropic-java.
SPELT = {
    "openai.ChatModelGPT3_5Turbo0125": "gpt-3.5-turbo-0125",
    "oaiClient.ChatModelO1Mini": "o1-mini",
    "openai.ChatModelO1": "o1",
    "openai.GPT3Dot5Turbo1106": "gpt-3.5-turbo-1106",
    "openai.GPT40613": "gpt-4-0613",
    "openai.GPT4oMini": "gpt-4o-mini",
    "anthropic.ModelClaude3_7SonnetLatest": "claude-3-7-sonnet-latest",
    "anthropic.ModelClaude_3_Opus_20240229": "claude-3-opus-20240229",
    "ChatModel.GPT_4O_MINI": "gpt-4o-mini",
    "ChatModel.O1": "o1",
    "com.openai.models.ChatModel.GPT_3_5_TURBO": "gpt-3.5-turbo",
    "Model.CLAUDE_3_7_SONNET_LATEST": "claude-3-7-sonnet-latest",
}
OTHERS = (
    "openai.ChatMessageRoleUser",  # another constant of the SDK
    "config.GPT4",  # a member of what is for no models
    "PhoneModel.O1",
    "ChatModel.of",
    "Models.GPT_35_TURBO_0301_X",
    "ChatModel",
    "GPT_4O",
)


@pytest.mark.parametrize("expression", SPELT)
def test_a_constant_is_the_id_it_is_spelt_after(expression):
    assert source_text.constant_model(expression) == SPELT[expression]
    assert retirements.find(SPELT[expression])


@pytest.mark.parametrize("expression", OTHERS)
def test_other_members_are_no_models(expression):
    assert source_text.constant_model(expression) is None


def test_each_spelling_stands_for_one_id():
    makers = [
        name
        for name in retirements.known_names()
        if any(row.platform not in retirements.HOSTS for row in retirements.find(name))
        and any(sign.isdigit() for sign in name)
    ]
    assert len({source_text._letters(name) for name in makers}) == len(makers) > 200


MANIFESTS = {
    "package.json": (
        '{\n  "name": "ai",\n  "dependencies": {\n    "ai": "^5",\n    "groq-sdk": "1"\n  }\n}',
        ["ai", "groq-sdk"],
    ),
    "composer.json": ('{\n "require": {\n  "openai-php/client": "*"\n }\n}', ["openai-php/client"]),
    "requirements.txt": ("openai>=1  # x\n# groq\ngoogle-genai\n-r other.txt\n", ["openai", "google.genai"]),
    "requirements-dev.in": ("llama-index-llms-openai==1\n", ["llama_index.llms.openai"]),
    "pyproject.toml": (
        '[project]\nname = "x"\ndependencies = ["litellm[proxy]>=1"]\n[tool.poetry.dependencies]\ngroq = "^1"\n',
        ["litellm", "groq"],
    ),
    "go.mod": (
        "module x\nrequire (\n\tgithub.com/openai/openai-go v1.2.0\n)\n",
        ["github.com/openai/openai-go"],
    ),
    "Cargo.toml": (
        '[dependencies]\nasync-openai = "0.2"\nserde = { version = "1" }\n',
        ["async_openai", "serde"],
    ),
    "Gemfile": ('source "https://x"\ngem "ruby-openai", "~> 7"\n', ["ruby-openai"]),
    "pom.xml": ("<dependency>\n<groupId>com.openai</groupId>\n</dependency>", ["com.openai"]),
    "build.gradle.kts": ('implementation("com.openai:openai-java:1.0")', ["com.openai"]),
    "App.csproj": ('<PackageReference Include="Azure.AI.OpenAI" Version="2" />', ["Azure.AI.OpenAI"]),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_a_manifest_asks_for_is_read(name):
    source, packages = MANIFESTS[name]
    found = read_manifest(source, manifest_kind(name))
    assert [word.text for word in found if word.text != "x"] == packages
    for word in found:
        written = source.splitlines()[word.line - 1][word.column - 1 :]
        assert module_of(written.split('"')[0])[:3] or written


def test_a_python_package_is_known_by_its_module_and_other_files_are_no_manifests():
    assert manifest_kind("src/app.json") is None
    assert manifest_kind("deep/package.json") == "package.json"
    assert read_manifest("{{ template }}", "package.json") == []
    assert module_of("LangChain_OpenAI") == "langchain_openai"
    assert module_of("google-cloud-aiplatform") == "vertexai"
