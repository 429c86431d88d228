from tests.prompts.modelled import ASKED, SYSTEM

from freehold.types.prompting import PromptProposal, PromptSearch, PromptTrial


def made(preparation, *, chosen=1, tokens=(20.0, 31.5)):
    trials = (
        PromptTrial(
            name="as sent",
            preparation=ASKED.preparation(),
            samples=8,
            score=0.0,
            malformed=6,
            prompt_tokens=tokens[0],
        ),
        PromptTrial(
            name="other", preparation=preparation, samples=8, score=1.0, malformed=0, prompt_tokens=tokens[1]
        ),
    )
    proposals = (
        PromptProposal(number=1, text="Answer in JSON.\nNothing else.", words="It wrote sentences."),
    )
    return PromptSearch(
        id="1", base_model="m", dataset_id="d", trials=trials, chosen=chosen, proposals=proposals
    )


def test_what_changed_is_a_diff_and_why_is_beside_it():
    found = made(ASKED.preparation(system="Answer in JSON.\nNothing else."))
    assert found.diff == (
        "--- system prompt as sent",
        "+++ system prompt for this model",
        "@@ -1 +1,2 @@",
        f"-{SYSTEM}",
        "+Answer in JSON.",
        "+Nothing else.",
    )
    assert found.words == "It wrote sentences."
    assert (found.added_tokens, found.best.malformed_share, found.as_sent.malformed_share) == (
        11.5,
        0.0,
        0.75,
    )


def test_role_and_reminder_are_in_the_diff():
    found = made(ASKED.preparation(system_as_user=True, reminder="One\nTwo"))
    assert found.diff == (
        "@@ role @@",
        "-system prompt as a system message",
        "+system prompt opens the first user message",
        "@@ end of the last user message @@",
        "+One",
        "+Two",
    )
    assert found.words == ""


def test_nothing_changed_is_no_preparation():
    found = made(ASKED.preparation(reminder="x"), chosen=0)
    assert (found.preparation, found.diff, found.added_tokens) == (None, (), 0.0)
    assert made(ASKED.preparation(), tokens=(None, 3.0)).added_tokens is None
