"""What is missing in a plan: placeholders in texts, and what launch.toml and the playbook name and nobody has."""

from __future__ import annotations

from pathlib import Path

import pytest

from gonogo.completeness import Gap, local_links, needed, placeholders, variables
from gonogo.errors import PlanError, ToolError
from gonogo.inventory import PlanFacts, read_plan


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TBD", ["TBD"]),
        ("tbd", ["tbd"]),
        (" ... ", ["..."]),
        ("xxx", ["xxx"]),
        ("| Tech Lead | TBD | TBD |", ["TBD"]),
        ("Call [Phone] or [Customer name], see [link]", ["[Phone]", "[Customer name]", "[link]"]),
        ("[Your team] in [insert a channel here]", ["[Your team]", "[insert a channel here]"]),
        ("ssh <your-host>, then <PROJECT_NAME>", ["<your-host>", "<PROJECT_NAME>"]),
        ("https://app.yourdomain.com/x and api.example.org", ["app.yourdomain.com", "api.example.org"]),
        ("https://shop.example:8443/", ["shop.example"]),
        ("redis://:changeme@cache/1", ["changeme"]),
        ("192.0.2.10 and 203.0.113.7, not 10.0.0.1", ["192.0.2.10", "203.0.113.7"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("FIXME: who? ???", ["FIXME", "???"]),
        ("phone: tbd, or xxx-xxx-xxxx", ["tbd", "xxx-xxx-xxxx"]),
        ("[ Phone ] at [Date/Time]", ["[ Phone ]", "[Date/Time]"]),
        ("To be determined.", ["To be determined."]),
        ("____", ["____"]),
    ],
)
def test_placeholders_are_found_in_their_own_words(text: str, found: list[str]) -> None:
    assert placeholders(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "- [ ] a box",
        "- [x] a box that is done",
        "[a guide](docs/guide.md) and ![a shot][link]",
        "^\\[name\\] [a-z]+ [A-Z]{3} (?P<name>x)",
        "[error] [WARN] [ERROR_FATAL]",
        "<b>bold</b> <p> <!here>",
        "{version} {{ name }} ${HOME}",
        "please change this setting; a todo list; mastodon",
        "127.0.0.1 10.1.2.3 1.2.3.4.5 192.0.2.1000",
        "fleet.test my-app myapp.internal example-shop.com",
        "-",
        "#fleet-launch",
        "copy .env.example and nginx.conf.example",
        "[wiki link]: https://wiki.fleet.test/launch",
        "figures are to be confirmed by the team",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert placeholders(text) == []


def test_what_is_meant_can_be_allowed() -> None:
    assert placeholders("the TODO board, TBD", allowed=["TODO"]) == ["TBD"]
    assert placeholders("the TODO board, TBD", allowed=["the TODO board, TBD"]) == []


def test_variables_are_those_in_capitals() -> None:
    assert variables("$A_1/x ${B} $$C ^a$ $labels $(D) $A_1 http_$E") == ["A_1", "B", "E"]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["{python}", "-m", "fleet.tool"], [("module", "fleet.tool")]),
        (["{python}", "bin/x.py", "y.py"], [("file", "bin/x.py")]),
        (["bash", "-e", "x.sh"], [("program", "bash")]),
        (["bash", "x.sh"], [("program", "bash"), ("file", "x.sh")]),
        (["/usr/bin/python3.12", "-u", "x.py"], [("program", "/usr/bin/python3.12"), ("file", "x.py")]),
        (["./bin/deploy", "x.sh"], [("program", "./bin/deploy")]),
        (["python3", "-c", "x.py"], [("program", "python3")]),
        (["bash", "-lc", "cd app && ./deploy.sh"], [("program", "bash")]),
        (["{python}", "-W", "ignore", "-um", "fleet.tool", "x.py"], [("module", "fleet.tool")]),
        (["{python}", "-mfleet"], [("module", "fleet")]),
        (["{python}", "-c", "x", "-m"], []),
    ],
)
def test_what_a_command_needs(command: list[str], found: list[tuple[str, str]]) -> None:
    assert list(needed(command)) == found


def test_links_that_stay_in_the_folder() -> None:
    links = ["a.md#x", "a.md", "#y", "https://h/x", "mailto:x@y", "//h/x", "docs/b.md?raw=1"]
    links += ["docs/my%20plan.md", "/a.md", "%C3%9C.md"]

    assert local_links(links) == [
        "a.md",
        "docs/b.md",
        "docs/my plan.md",
        "\N{LATIN CAPITAL LETTER U WITH DIAERESIS}.md",
    ]


PLAYBOOK = """# Launch

See [the runbook](docs/runbook.md) and [the web](https://fleet.test/x.md).

## T-3 <!-- phase: t3 owner: DevOps Lead -->

- [ ] Certificates <!-- gate: tls.certificate -->
- [ ] Briefing <!-- attest: Launch Manager -->

## Launch <!-- phase: phase5 owner: DevOps Lead -->

- [ ] Said <!-- attest: Launch Manager -->
"""
LAUNCH = """
[launch]
project = "Order Desk"
version = "2.4.0"
at = {at}

[targets.production]
kind = "production"
base_url = "https://{host}"
database_url = {{ env = "ORDERS_DATABASE" }}
ca_file = "ca.pem"
staging = "staging"

[targets.production.backup]
command = ["./bin/backup", "{{target}}"]
files = "$ORDERS_BACKUPS/*.dump"

[targets.production.docs]
files = ["PLAYBOOK.md", "*.toml", "guides/*.md"]

[targets.production.change]
documents = ["{{repository}}/NOTES.md"]
audit = {{ command = ["no-such-program"], format = "npm" }}

[targets.staging]
kind = "staging"
like = "production"
base_url = "https://staging.{host}"
database_url = {{ env = "STAGING_DATABASE" }}

[people."devops lead"]
name = "Ada"
contact = "ada@fleet.test"
"""
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "ORDERS_DATABASE": "x", "ORDERS_BACKUPS": "x", "STAGING_DATABASE": ""}


def facts_of(
    folder: Path, *, at: str = '"TBD"', host: str = "app.example.com", target: str = "production"
) -> PlanFacts:
    (folder / "PLAYBOOK.md").write_text(PLAYBOOK)
    (folder / "launch.toml").write_text(LAUNCH.format(at=at, host=host))
    return read_plan(folder / "launch.toml", folder, target=target, environment=ENVIRONMENT)


def test_a_plan_with_gaps_names_each_of_them(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)

    assert [(gap.key, gap.found) for gap in facts.placeholders] == [
        ("launch.at", "TBD"),
        ("targets.production.base_url", "app.example.com"),
        ("targets.staging.base_url", "staging.app.example.com"),
    ]
    assert [(gap.key, gap.found) for gap in facts.missing_programs] == [
        ("targets.production.backup.command", "there is no program ./bin/backup"),
        ("targets.production.change.audit.command", "there is no program no-such-program"),
    ]
    assert [(gap.key, gap.found) for gap in facts.missing_files] == [
        ("targets.production.ca_file", "there is no file ca.pem"),
        ("targets.production.docs.files[3]", "there is no file guides/*.md"),
        ("targets.production.change.documents[1]", "there is no file {repository}/NOTES.md"),
        ("PLAYBOOK.md: docs/runbook.md", "not there"),
    ]
    assert [gap.key for gap in facts.missing_people] == ['people."Launch Manager"']
    assert [(gap.key, gap.found) for gap in facts.missing_variables] == [
        ("targets.staging.database_url", "the variable STAGING_DATABASE is not set")
    ]
    assert facts.variables == ("ORDERS_DATABASE", "ORDERS_BACKUPS", "STAGING_DATABASE")
    assert (facts.roles, facts.before) == (("DevOps Lead", "Launch Manager"), ("t3",))
    assert str(facts.placeholders[0]) == "launch.at: TBD; write the date and time of the launch, with its zone"


def test_a_plan_without_gaps(tmp_path: Path) -> None:
    for name in ("guides/a.md", "docs/runbook.md", "bin/backup", "NOTES.md", "ca.pem"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "bin" / "backup").chmod(0o755)

    facts = facts_of(tmp_path, at="2030-01-01T09:00:00Z", host="orders.fleet.test")

    assert facts.placeholders == ()
    assert facts.missing_files == ()
    assert [gap.key for gap in facts.missing_programs] == ["targets.production.change.audit.command"]


@pytest.mark.parametrize(("mode", "missing"), [(0o755, 1), (0o644, 2)])
def test_a_program_must_be_executable_and_a_document_not_empty(tmp_path: Path, mode: int, missing: int) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "backup").touch(mode=mode)
    (tmp_path / "NOTES.md").touch()

    facts = facts_of(tmp_path)

    assert len(facts.missing_programs) == missing
    assert "the file {repository}/NOTES.md is empty" in [gap.found for gap in facts.missing_files]


def test_a_target_that_is_not_there_and_a_file_that_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="there is no target 'other'; it has production, staging"):
        facts_of(tmp_path, target="other")
    (tmp_path / "launch.toml").write_text("[launch]\n")
    with pytest.raises(PlanError, match="launch.toml"):
        read_plan(tmp_path / "launch.toml", tmp_path, target="production", environment={})


def test_a_gap_says_what_to_write() -> None:
    assert str(Gap("people.QA", "nobody", "write a name")) == "people.QA: nobody; write a name"


@pytest.mark.parametrize(
    ("module", "there"),
    [
        ("own", True),
        ("own.tool", True),
        ("own.gone", False),
        ("single", True),
        ("folder", False),
        ("json.tool", True),
        ("json.gone", False),
        ("no_such_module", False),
    ],
)
def test_a_module_is_there_as_a_whole(tmp_path: Path, module: str, there: bool) -> None:
    """A package's folder alone is no module that can be run."""
    for name in ("own/__main__.py", "own/tool.py", "single.py", "folder/data.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "launch.toml").write_text(
        '[launch]\nproject = "Desk"\nversion = "1.0"\n[targets.desk]\nkind = "staging"\n'
        'base_url = "https://desk.fleet.test"\n[targets.desk.change.audit]\nformat = "npm"\n'
        f'command = ["{{python}}", "-m", "{module}"]\n'
    )
    facts = read_plan(tmp_path / "launch.toml", tmp_path, target="desk", environment={})

    assert (not facts.missing_programs) is there


def test_a_link_that_no_file_can_have_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "PLAYBOOK.md").touch()
    facts_of(tmp_path)
    with (tmp_path / "PLAYBOOK.md").open("a") as playbook:
        playbook.write(f"[x]({'x' * 300}.md)\n")
    facts = read_plan(tmp_path / "launch.toml", tmp_path, target="production", environment=ENVIRONMENT)

    assert facts.missing_files[-1].key.endswith("xxx.md")
