import time

import pytest

from freehold.catalog import retirements
from freehold.workflows.incumbent.scanning import constants, grammars, plain

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
    assert constants.model_of(expression) == SPELT[expression]
    assert retirements.find(SPELT[expression])


@pytest.mark.parametrize("expression", OTHERS)
def test_other_members_are_no_models(expression):
    assert constants.model_of(expression) is None


def test_each_spelling_stands_for_one_id():
    makers = [
        name
        for name in retirements.known_names()
        if any(row.platform not in retirements.HOSTS for row in retirements.find(name))
        and any(sign.isdigit() for sign in name)
    ]
    assert len({constants._letters(name) for name in makers}) == len(makers) > 200


SOURCES = {
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
FOUND = {
    "go": [("claude-3-5-haiku-latest", 3, 16), ("gpt-3.5-turbo", 4, 40), ("openai.GPT4", 4, 103)],
    "java": [("hi", 2, 30), ("gpt-4o-mini", 2, 42), ("gpt-3.5-turbo", 3, 9)],
    "kotlin": [("gpt-4o-mini", 1, 34)],
    "csharp": [("gpt-4o-mini", 1, 46)],
}


@pytest.mark.parametrize("language", SOURCES)
def test_constants_are_read_where_they_are_used(language):
    def places(words):
        return [(word.text, word.line, word.column) for word in words]

    assert places(plain.read(SOURCES[language], language)) == FOUND[language]
    if grammars.parser(language) is None:
        pytest.skip(f"the grammar of {language} is not installed")
    assert places(grammars.read(SOURCES[language], language)) == FOUND[language]


def test_a_long_chain_takes_no_long_time():
    source = (
        "class A { void f() { x"
        + ".a()" * 20_000
        + ".model(ChatModel.GPT_4O_MINI); y = a"
        + ".b" * 20_000
        + "; } }"
    )
    for read in (plain.read, grammars.read):
        begun = time.process_time()
        words = read(source, "java")
        assert words is None or "gpt-4o-mini" in [word.text for word in words]
        assert time.process_time() - begun < 5
