"""What the plugin costs: trivial gates against the same tests under plain pytest, in one run.

    .venv/bin/python benchmarks/overhead.py [GATES] [ROUNDS]

Prints medians of user+system CPU seconds of whole processes, and the ratio. Pairs are interleaved, so that a
machine whose speed drifts does not favour one side.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LAUNCH = '[launch]\nproject = "p"\nversion = "1"\n[targets.rehearsal]\nkind = "disposable"\n'
PLAIN = ["-p", "no:gonogo", "-p", "no:html", "-p", "no:playwright", "-p", "no:locust"]
OURS = ["-p", "no:html", "-p", "no:playwright", "-p", "no:locust"]


def write(folder: Path, gates: int) -> None:
    """Write a launch of that many gates, and the same bodies as plain tests."""
    boxes = "".join(f"- [ ] box {i} <!-- gate: bench.g{i} -->\n" for i in range(gates))
    (folder / "gates" / "tests").mkdir(parents=True)
    (folder / "gates" / "PLAYBOOK.md").write_text(f"# L\n\n## T-3 <!-- phase: t3 -->\n{boxes}", encoding="utf-8")
    (folder / "gates" / "launch.toml").write_text(LAUNCH, encoding="utf-8")
    (folder / "gates" / "pytest.toml").write_text('[pytest]\ntestpaths = ["tests"]\n', encoding="utf-8")
    ours = ["import pytest", "from gonogo import at_most"]
    for i in range(gates):
        ours += [f'@pytest.mark.gate("bench.g{i}")', f"def test_{i}(measure):", f'    """Gate {i}."""']
        ours += ['    measure("value", 1, at_most(2, "here"))']
    (folder / "gates" / "tests" / "test_all.py").write_text("\n".join(ours), encoding="utf-8")
    (folder / "plain").mkdir()
    (folder / "plain" / "pytest.toml").write_text("[pytest]\n", encoding="utf-8")
    plain = [line for i in range(gates) for line in (f"def test_{i}(tmp_path_factory):", "    assert 1 <= 2")]
    (folder / "plain" / "test_all.py").write_text("\n".join(plain), encoding="utf-8")


def cpu_seconds(folder: Path, options: list[str]) -> float:
    """User and system seconds of one pytest process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", *options]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    gates = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder, gates)
        pairs = [
            (cpu_seconds(folder / "gates", OURS), cpu_seconds(folder / "plain", PLAIN)) for _ in range(rounds + 1)
        ][1:]  # the first pair compiles
    ours, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{gates} gates, {rounds} rounds: ours {ours:.2f} s, plain pytest {plain:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
