"""What a git repository says of a release: its tag, what is changed, what came after.

Every fact is one question to git, asked with its plumbing commands and kept as it was typed. Variables such as
``GIT_DIR``, which a hook sets and which would lead git to another repository, are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gonogo.errors import ToolError
from gonogo.processes import CommandFacts, run_command

LISTED = 200
"""Commits that are listed of those that came after; more do not change what is to be said."""
ATTEMPTS = 2
"""How often a remote is asked that could not be reached."""
FULL_CLONE = "fetch the whole history with its tags (git fetch --unshallow --tags; in CI, fetch-depth: 0)"

_ELSEWHERE = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|NAMESPACE|PREFIX|OBJECT_DIRECTORY|CEILING_.*|TRACE.*|.*_PATHSPECS)"
)
_SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_UNSEEN = re.compile(r"[a-zS] ")
"""How git lists a file that is marked as assume-unchanged or skip-worktree."""
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Commit:
    """One commit."""

    hash: str
    at: datetime
    """Committer's date, UTC."""
    subject: str

    def __str__(self) -> str:
        return f"{self.hash[:12]} of {self.at:%Y-%m-%d %H:%M} UTC: {self.subject[:80]}"


@dataclass(frozen=True)
class RemoteFacts:
    """What a remote has of a tag and a branch."""

    name: str
    tag: str | None = None
    """Commit of the tag; ``None`` if it has no such tag."""
    branch: str | None = None
    ahead: bool | None = False
    """Whether its branch has commits that the tag here has not; ``None``: this clone can't tell."""
    problem: str = ""
    """Why it could not be asked."""


@dataclass(frozen=True)
class RepositoryFacts:
    """One repository, one tag, one branch."""

    head: Commit
    tag: Commit | None
    """``None``: there is no such tag here."""
    annotated: bool
    changed: tuple[str, ...]
    """Files that differ from HEAD, or are new and not ignored; each with git's two letters."""
    submodules: tuple[str, ...] | None
    """Submodules that are at another commit than HEAD says; ``None`` if it has none at all."""
    branches: Mapping[str, str]
    """Commit of each reference to the branch, here and as it was last fetched; empty if there is none."""
    after_tag: tuple[Commit, ...]
    """Commits of the branch that the tag does not have, newest first."""
    after_freeze: tuple[Commit, ...]
    """Commits of tag, HEAD and branch that are younger than the freeze."""
    shallow: bool
    """Whether part of the history was left out when it was cloned."""
    remote: RemoteFacts | None = None
    asked: tuple[str, ...] = field(default=())
    """The commands, with their output."""

    @property
    def unknown(self) -> list[str]:
        """What can't be said from what this clone has, as sentences."""
        found = []
        if self.shallow and self.tag is None:
            found.append("the clone is shallow, so that the tag may only not have been fetched")
        if not self.branches:
            found.append("the clone does not have the branch, so that nobody knows what came after")
        elif self.shallow and self.tag and any(tip != self.tag.hash for tip in self.branches.values()):
            found.append("the clone is shallow, so that what came after can't be told from what came before")
        if self.remote and self.remote.ahead is None:
            found.append(f"the clone is shallow and does not have what {self.remote.name} has on the branch")
        return found


def look(
    folder: Path,
    *,
    tag: str,
    branch: str,
    frozen_at: datetime | None = None,
    remote: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 20.0,
) -> RepositoryFacts:
    """Ask a repository about a release.

    Args:
        folder: its working tree.
        tag: name of the release's tag.
        branch: name of the branch that was frozen.
        frozen_at: date of the freeze; without it nothing is told of dates.
        remote: a remote to ask for tag and branch.
        environment: git's variables; ours if ``None``.
        timeout_s: limit in seconds for each question.

    Raises:
        ToolError: git is missing or refuses, the folder is no repository, or a name can't be one.
    """
    for name in (tag, branch, *([] if remote is None else [remote])):
        if not name or name.startswith("-") or any(sign.isspace() or sign in "~^:?*[\\" for sign in name):
            raise ToolError(f"launch.toml: change: {name!r} can't be the name of a tag, branch or remote")
    git = _Git(folder, environment, timeout_s)
    head = git.commit("HEAD")
    if head is None:
        raise ToolError(f"the repository {folder} has no commit yet")
    tagged = git.commit(f"refs/tags/{tag}")
    branches = git.branches(branch)
    tips = list(dict.fromkeys(branches.values()))
    range_ = [*tips, f"^{tagged.hash}"] if tagged else []
    known = [head.hash, *([tagged.hash] if tagged else []), *tips]
    return RepositoryFacts(
        head=head,
        tag=tagged,
        annotated=tagged is not None and git.ask("cat-file", "-t", f"refs/tags/{tag}").strip() == "tag",
        changed=(*git.changed(), *git.hidden()),
        submodules=git.submodules(),
        branches=branches,
        after_tag=git.commits(*range_) if tips and range_ else (),
        after_freeze=git.younger(frozen_at, known) if frozen_at else (),
        shallow=git.shallow,
        remote=git.remote(remote, tag, branch) if remote else None,
        asked=tuple(git.asked),
    )


class _Git:
    """Questions to one repository."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None, timeout_s: float) -> None:
        if not folder.is_dir():
            raise ToolError(f"launch.toml: change.repository: there is no folder {folder}")
        inherited = os.environ if environment is None else environment
        self._environment = {k: v for k, v in inherited.items() if not _ELSEWHERE.fullmatch(k)} | _SETTINGS
        self._environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        self._folder = folder
        self._timeout_s = timeout_s
        self.asked: list[str] = []
        shallow, prefix, *_ = [*self.ask("rev-parse", "--is-shallow-repository", "--show-prefix").splitlines(), ""]
        self.shallow = shallow == "true"
        tracked = self.ask("ls-files", "--stage", "--", ".").splitlines() if prefix else []
        if prefix and all(line.endswith("\t./") for line in tracked):
            raise ToolError(
                f"launch.toml: change.repository: {folder} holds no file of the repository around it, as a "
                "submodule or a clone that is not there yet; check it out, or name the right folder"
            )

    def run(self, *arguments: str) -> CommandFacts:
        """Put one question; a bad status is a fact."""
        command = ["git", "-c", "core.quotePath=false", "-c", "log.showSignature=false", *arguments]
        done = run_command(command, timeout_s=self._timeout_s, environment=self._environment, cwd=self._folder)
        status = f"status {done.status}\n" if done.status else ""
        self.asked.append(_LOGIN.sub("", f"$ {done.command}\n{done.output}{status}"))
        if done.status is None:
            raise ToolError(f"git {arguments[0]} did not end within {self._timeout_s:g} s; raise change.timeout_s")
        return done

    def ask(self, *arguments: str) -> str:
        """Put one question that has an answer.

        Raises:
            ToolError: git refuses, in its own words.
        """
        done = self.run(*arguments)
        if done.status != 0:
            raise ToolError(f"git {arguments[0]} in {self._folder} ended with status {done.status}: {_last(done)}")
        return done.output

    def commit(self, name: str) -> Commit | None:
        """The commit that a name leads to; ``None`` if there is no such name."""
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        found = next((line for line in done.output.split() if _COMMIT.fullmatch(line)), None)
        if done.status == 0 and found:
            return self.commits("--no-walk", found)[0]
        return None

    def commits(self, *arguments: str) -> tuple[Commit, ...]:
        """Commits that a range has, newest first, at most ``LISTED``."""
        text = self.ask("log", f"--max-count={LISTED}", "--format=%H%x09%ct%x09%s", *arguments, "--")
        fields = [line.split("\t", 2) for line in text.splitlines()]
        return tuple(
            Commit(one[0], datetime.fromtimestamp(int(one[1]), UTC), one[2])
            for one in fields
            if len(one) == 3 and _COMMIT.fullmatch(one[0])
        )

    def branches(self, name: str) -> dict[str, str]:
        """Commit of each reference to a branch: this repository's and those last fetched from remotes."""
        text = self.ask("for-each-ref", "--format=%(objectname)%09%(refname)", "refs/heads", "refs/remotes")
        pairs = [line.split("\t") for line in text.splitlines() if "\t" in line]
        own = re.compile(rf"refs/heads/{re.escape(name)}|refs/remotes/[^/]+/{re.escape(name)}")
        return {ref.partition("/")[2]: commit for commit, ref in pairs if own.fullmatch(ref)}

    def changed(self) -> tuple[str, ...]:
        """What differs from HEAD, whatever the user's own settings hide."""
        shown = ("--untracked-files=all", "--ignore-submodules=none", "--no-renames")
        text = self.ask("status", "--porcelain=v1", *shown)
        return tuple(line for line in text.splitlines() if len(line) > 3 and line[2] == " ")

    def hidden(self) -> tuple[str, ...]:
        """Files that git was told to take for unchanged, and that are not."""
        marked = [line for line in self.ask("ls-files", "-v", "-z", ":(top)").split("\0") if _UNSEEN.match(line)]
        self.asked[-1] = f"{self.asked[-1].partition(chr(10))[0]}\n{len(marked)} marked files\n"  # else all files
        return tuple(f"h  {line[2:]}" for line in marked if self._is_other(line[2:], gone=line[0] != "S"))

    def _is_other(self, name: str, *, gone: bool) -> bool:
        """Whether a file is not what is staged; ``gone`` is the answer for one that is not there."""
        path = self._folder / name
        if path.is_symlink() or path.is_dir():
            return False
        if not path.exists():
            return gone
        return self.ask("hash-object", "--", name) != self.ask("rev-parse", "--verify", f":./{name}")

    def younger(self, moment: datetime, known: list[str]) -> tuple[Commit, ...]:
        """Commits after a moment, also those below an older one, as a rebase or a wrong clock leaves them."""
        second = int(moment.timestamp()) + 1
        supported = self.run("log", "--max-count=0", f"--since-as-filter={second}", known[0], "--").status == 0
        return self.commits(f"--since{'-as-filter' * supported}={second}", *known)  # git learned it with 2.37

    def submodules(self) -> tuple[str, ...] | None:
        """Submodules at another commit than HEAD's, or in conflict."""
        if not self.ask("ls-files", ":(top).gitmodules").strip():
            return None
        return tuple(line for line in self.ask("submodule", "status").splitlines() if line[:1] in {"+", "U"})

    def is_ahead(self, tip: str | None, tag: str) -> bool | None:
        """Whether a commit that a remote has is not part of the tag; ``None`` if too little was cloned to tell."""
        if tip is None:
            return False
        status = self.run("merge-base", "--is-ancestor", tip, tag).status
        if status == 0:
            return False
        return None if self.shallow else True

    def remote(self, name: str, tag: str, branch: str) -> RemoteFacts:
        """What a remote has; one that can't be reached is asked once more."""
        wanted = (f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}", f"refs/heads/{branch}")
        for _ in range(ATTEMPTS):
            try:
                done = self.run("ls-remote", "--quiet", name, *wanted)
            except ToolError as error:
                return RemoteFacts(name, problem=str(error))
            if done.status == 0:
                pairs = [line.split("\t") for line in done.output.splitlines() if line.count("\t") == 1]
                found = {ref: commit for commit, ref in pairs if _COMMIT.fullmatch(commit)}
                tip = found.get(wanted[2])
                return RemoteFacts(
                    name, found.get(wanted[1]) or found.get(wanted[0]), tip, self.is_ahead(tip, wanted[0])
                )
        return RemoteFacts(name, problem=f"git ls-remote {name} ended with status {done.status}: {_last(done)}")


def _last(done: CommandFacts) -> str:
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    picked = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:] or ["it said nothing"]
    return _LOGIN.sub("", picked[-1])[:300]
