import pytest

from freehold.catalog import retirements
from freehold.workflows.incumbent import source_text

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
