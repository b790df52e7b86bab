"""Programs of other people are run to their end, answered, and ended, whatever they do."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gonogo.errors import ToolError
from gonogo.processes import OUTPUT_LIMIT, CommandFacts, run_command


def sh(
    script: str, timeout_s: float = 20.0, answers: Sequence[tuple[str, str]] = (), **more: object
) -> CommandFacts:
    return run_command(["/bin/sh", "-c", script], timeout_s=timeout_s, answers=answers, **more)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has asked for does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def gone(file: Path, within_s: float = 3.0) -> bool:
    """Whether the process whose number is in a file ends within a time."""
    ends = time.monotonic() + within_s
    pid = int(file.read_text())
    while alive(pid) and time.monotonic() < ends:
        time.sleep(0.02)
    return not alive(pid)


def test_status_output_of_both_streams_and_the_command_as_typed() -> None:
    facts = run_command(["/bin/sh", "-c", "echo one; echo two >&2; exit 3"], timeout_s=20.0)

    assert (facts.status, facts.output, facts.unanswered) == (3, "one\ntwo\n", ())
    assert facts.command == "/bin/sh -c 'echo one; echo two >&2; exit 3'"
    assert 0 < facts.duration_s < 10


def test_a_program_that_dies_of_a_signal() -> None:
    assert sh("kill -9 $$").status == -signal.SIGKILL


@pytest.mark.parametrize("answers", [(), (("never printed", "x"),)], ids=["pipe", "terminal"])
def test_windows_line_ends_bytes_that_are_no_text_and_a_last_line_without_end(
    answers: list[tuple[str, str]],
) -> None:
    facts = sh(r"printf 'a\r\n\377\000\303\244 end'", answers=answers)

    assert facts.output.replace("\r\n", "\n") == "a\n\\xff\x00ä end"
    assert facts.status == 0


def test_the_environment_is_exactly_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    for answers in ((), (("never printed", "x"),)):
        given = run_command(["/usr/bin/env"], timeout_s=20.0, environment={"GIVEN": "2"}, answers=answers)
        assert given.output.splitlines() == ["GIVEN=2"]
    assert "OURS=1" in run_command(["/usr/bin/env"], timeout_s=20.0).output


@pytest.mark.parametrize("answers", [(), (("never printed", "x"),)], ids=["pipe", "terminal"])
def test_a_program_is_found_by_the_path_of_its_own_environment_and_runs_in_its_folder(
    tmp_path: Path, answers: list[tuple[str, str]]
) -> None:
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\npwd\n")
    tool.chmod(0o700)
    environment = {"PATH": f"{tool.parent}:/bin"}
    facts = run_command(["tool"], timeout_s=20.0, environment=environment, cwd=tmp_path, answers=answers)

    assert facts.output.strip() == str(tmp_path.resolve())


@pytest.mark.parametrize("answers", [(), (("prompt", "x"),)], ids=["pipe", "terminal"])
def test_a_program_that_can_not_be_run_is_our_fault(tmp_path: Path, answers: list[tuple[str, str]]) -> None:
    plain = tmp_path / "plain"
    plain.write_text("echo hello\n")

    def failure(command: list[str], cwd: Path | None = None) -> str:
        with pytest.raises(ToolError) as raised:
            run_command(command, timeout_s=5.0, answers=answers, cwd=cwd)
        return str(raised.value)

    assert "no-such-tool does not exist" in failure(["no-such-tool", "x"])
    assert "Permission denied" in failure([str(plain)])
    plain.chmod(0o700)
    assert "#! line" in failure([str(plain)])
    assert "no such folder" in failure(["true"], tmp_path / "nowhere")
    assert "null byte" in failure(["true", "a\0b"])
    assert "the command is empty" in failure([])


def test_answers_need_a_prompt_and_exclude_a_standard_input() -> None:
    with pytest.raises(ToolError, match="no prompt to wait for"):
        sh("true", answers=[("", "x")])
    with pytest.raises(ValueError, match="not both"):
        sh("true", answers=[("p", "x")], stdin=b"")


def test_standard_input_is_empty_or_the_given_bytes() -> None:
    assert sh("cat; echo end").output == "end\n"
    many = b"0123456789abcdef" * 60_000
    assert sh("wc -c", stdin=many).output.strip() == str(len(many))
    assert sh("exit 0", stdin=many).status == 0  # not read at all


def test_a_flood_is_kept_from_its_end_and_says_what_is_missing() -> None:
    lines = 400_000
    facts = sh(f"seq 1 {lines}")

    first, _, rest = facts.output.partition("\n")
    written = sum(len(str(n)) + 1 for n in range(1, lines + 1))
    assert first == f"[the first {written - OUTPUT_LIMIT} bytes of output were not kept]"
    assert len(rest) == OUTPUT_LIMIT
    assert rest.endswith(f"\n{lines}\n")


def test_an_endless_flood_without_a_newline_is_ended_in_time() -> None:
    facts = sh("while :; do printf aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", timeout_s=0.5)

    assert facts.status is None
    assert len(facts.output) < OUTPUT_LIMIT + 100


def test_time_up_ends_the_whole_group_even_what_ignores_the_polite_way(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    facts = sh(f"trap '' TERM; (trap '' TERM; sleep 60) & echo $! > {pid}; echo begun; sleep 60", timeout_s=0.3)

    assert facts.status is None
    assert facts.output == "begun\n"
    assert facts.duration_s < 2
    assert time.monotonic() - started < 6
    assert gone(pid)


def test_a_program_may_tidy_up_when_time_is_up() -> None:
    facts = sh("trap 'echo tidied; exit 0' TERM; sleep 60 & wait", timeout_s=0.3)

    assert facts.status is None
    assert "tidied" in facts.output


def test_its_children_may_tidy_up_as_well(tmp_path: Path) -> None:
    tidied = tmp_path / "tidied"
    facts = sh(f"(trap 'sleep 0.3; touch {tidied}; exit' TERM; while :; do sleep 0.05; done) & wait", timeout_s=0.3)

    assert facts.status is None
    assert tidied.exists()


def test_what_stays_in_the_background_is_not_waited_for_nor_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    facts = sh(f"sleep 30 & echo $! > {pid}; echo started")

    assert (facts.status, facts.output) == (0, "started\n")
    assert facts.duration_s < 0.9
    assert time.monotonic() - started < 3
    assert alive(int(pid.read_text()))
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_chatterer_in_the_background_does_not_keep_us(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    facts = sh(f"(while :; do echo noise; done) & echo $! > {pid}; exit 4")
    os.kill(int(pid.read_text()), signal.SIGKILL)

    assert facts.status == 4
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("answers", [(), (("never printed", "x"),)], ids=["pipe", "terminal"])
def test_a_program_that_closes_its_output_is_still_waited_for(answers: list[tuple[str, str]]) -> None:
    facts = sh("exec >/dev/null 2>&1 </dev/null; sleep 0.4; exit 5", answers=answers)

    assert facts.status == 5
    assert facts.duration_s >= 0.4
    assert sh("exec >&- 2>&- <&-; sleep 30", timeout_s=0.3, answers=answers).status is None


def test_ctrl_c_ends_the_group_and_is_passed_on(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text().strip():
            time.sleep(0.01)
        time.sleep(0.3)  # the program may be quicker than the call that starts it
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        sh(f"sleep 60 & echo $! > {pid}; wait")
    thread.join()

    assert gone(pid)


def test_prompts_are_answered_in_order_on_a_terminal() -> None:
    script = """
        test -t 0 && test -t 1 && test -t 2 && echo terminal
        printf 'Enter backup number: '; read n; printf 'Sure? '; read sure; echo "n=$n sure=$sure"
    """
    facts = sh(script, answers=[("Enter backup number:", "1"), ("Sure?", "yes")])

    assert facts.status == 0
    assert facts.output == "terminal\nEnter backup number: 1\nSure? yes\nn=1 sure=yes\n"
    assert facts.unanswered == ()


def test_a_prompt_that_comes_in_pieces_and_in_colour() -> None:
    script = r"""
        printf 'Enter bac'; sleep 0.1; printf '\033[1mkup num'; sleep 0.1; printf 'ber\033['; sleep 0.1; printf '0m: '
        read n; echo "got $n"
    """
    assert "got 7" in sh(script, answers=[("Enter backup number: ", "7")]).output


def test_an_answer_is_not_given_twice_for_a_prompt_that_came_once() -> None:
    facts = sh("printf 'Name? '; read n; printf 'done\n'", answers=[("Name?", "a"), ("Name?", "b")])

    assert facts.status == 0
    assert facts.unanswered == ("Name?",)
    assert "b" not in facts.output


def test_the_echo_of_an_answer_is_not_taken_for_the_next_prompt() -> None:
    script = "printf 'Word: '; read w; sleep 0.3; printf 'Again: '; read a; echo \"$w/$a\""
    facts = sh(script, answers=[("Word:", "Again:"), ("Again:", "yes")])

    assert facts.output.endswith("Again:/yes\n")
    assert facts.output.count("yes") == 2  # typed once, told once


def test_prompts_that_come_in_one_piece_are_all_answered() -> None:
    facts = sh("printf 'A? B? '; read a; read b; echo $a$b", answers=[("A?", "1"), ("B?", "2")])

    assert facts.output.endswith("\n12\n")
    assert facts.unanswered == ()


def test_a_prompt_after_a_flood_is_found() -> None:
    facts = sh("seq 1 300000; printf 'Go? '; read a; echo went $a", answers=[("Go?", "on")])

    assert facts.output.endswith("Go? on\nwent on\n")


def test_a_prompt_nobody_answers_ends_when_time_is_up() -> None:
    facts = sh("printf 'Really? '; read a", timeout_s=0.5, answers=[("Sure?", "yes")])

    assert facts.status is None
    assert facts.output == "Really? "
    assert facts.unanswered == ("Sure?",)


def test_the_terminal_is_the_programs_own_so_that_passwords_can_be_asked_for() -> None:
    ask = "import getpass; p = getpass.getpass('Password: '); print(len(p), 'letters')"
    facts = run_command([sys.executable, "-c", ask], timeout_s=20.0, answers=[("Password:", "s3cret")])

    assert "6 letters" in facts.output
    assert "s3cret" not in facts.output


def test_a_program_on_a_terminal_has_default_signals() -> None:
    facts = sh("yes | head -n 1; kill -PIPE $$; echo alive", answers=[("x", "y")])

    assert facts.status == -signal.SIGPIPE
    assert facts.output.startswith("y\n")


def test_no_descriptor_is_left_open() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    sh("true")
    before = descriptors()
    for _ in range(3):
        sh("true", stdin=b"x")
        sh("printf p; read a", answers=[("p", "x")])
        with pytest.raises(ToolError):
            run_command(["no-such-tool"], timeout_s=1.0, answers=[("p", "x")])
    assert descriptors() == before


def test_many_at_a_time_from_threads() -> None:
    found: list[CommandFacts] = []
    threads = [
        threading.Thread(target=lambda: found.append(sh("printf 'p: '; read a; echo $a", answers=[("p:", "x")])))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {f.output for f in found} == {"p: x\nx\n"}
    assert len(found) == 6
