import json


def test_the_latest_are_listed(freehold, traffic):
    found = freehold("traces", "list", "-n", "3", "--json").items
    assert len(found) == 3
    shown = freehold("traces", "list", "-n", "3").out.splitlines()
    assert [line.split()[0] for line in shown] == [trace["id"] for trace in found]


def test_one_is_shown_by_the_beginning_of_its_id(freehold, traffic):
    (trace,) = freehold("traces", "list", "-n", "1", "--json").items
    assert freehold("traces", "show", trace["id"][:12], "--json").fields == trace
    shown = freehold("traces", "show", trace["id"][:12]).out
    assert f"trace        {trace['id']}" in shown
    assert shown.endswith("\nassistant: yes\n")


def test_the_parts_of_its_tokens_are_shown(freehold, project, tmp_path):
    usage = {"prompt_tokens": 90, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 64},
             "completion_tokens_details": {"reasoning_tokens": 16}}  # fmt: skip
    asked = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}
    said = {"choices": [{"message": {"role": "assistant", "content": "yes"}}], "usage": usage}
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"request": asked, "response": said}) + "\n")
    freehold("import", log)
    (trace,) = freehold("traces", "list", "-n", "1", "--json").items
    shown = freehold("traces", "show", trace["id"]).out
    assert "90 (64 cached) in, 20 (16 of reasoning) out" in shown


def test_they_are_exported(freehold, traffic):
    made = freehold("traces", "export", "out.jsonl", "--json").json
    assert (made["traces"], made["format"]) == (80, "jsonl")
    lines = (traffic / "out.jsonl").read_text().splitlines()
    assert len(lines) == 80 and all(json.loads(line)["id"] for line in lines)
    begun, noted = freehold("audit", "--action", "export", "--json").items
    assert begun["action"] == "export.begin" and noted["detail"]["begun"] == begun["number"]
    assert (noted["subject"], noted["detail"]["traces"], noted["detail"]["content"]) == ("traces", 80, True)


def test_a_filter_that_fits_none_is_said_so(freehold, traffic, project):
    ran = freehold("traces", "list", "--route", "other")
    assert (ran.code, ran.out) == (0, "")
    assert "leave out a filter" in ran.err


def test_none_yet(freehold, project):
    assert "freehold up --capture patterns keeps some" in freehold("traces", "list").err
    assert freehold("traces", "list", "--json").items == []


def test_mistakes(refused, traffic):
    refused(
        "traces", "show", "zzzz", message="no trace has an id starting with zzzz", hint="freehold traces list"
    )
    refused("traces", "list", "--since", "soon", message="soon", hint="7d")


def test_those_of_a_file_are_removed_with_what_was_made_from_them(freehold, refused, traffic):
    (traffic / "more.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "more?"}, {"role": "assistant", "content": "no"}]}'
    )
    freehold("import", "more.jsonl")
    would = freehold("traces", "rm", "--source", "traffic.jsonl", "--dry-run", "--json").json
    assert (would["traces"], would["by"]) == (80, "source")
    never = freehold("traces", "rm", "--source", "traffic.jsonl", "--before", "2020-01-01", "--dry-run")
    assert never.code == 2 and "nothing here is of that source, before" in never.err
    gone = freehold(
        "traces", "rm", "--source", "import:traffic.jsonl", "--model", "gpt-4o", "--yes", "--json"
    )
    assert (gone.json["traces"], gone.json["by"]) == (80, "source, model")
    (left,) = freehold("traces", "list", "--json").items
    assert left["source"] == "import:more.jsonl#1"
    refused("traces", "rm", message="say which traces", hint="--source FILE")
    refused("traces", "rm", left["id"], "--model", "m", message="say which traces", hint="")
    refused(
        "traces", "rm", "--source", "none.csv", "--yes", message="nothing here is of that source", hint=""
    )
