"""A box can take gates out of scope, with a reason; nothing else can."""

from __future__ import annotations

import pytest

from plugin_example import BAD, Launch, gate

SCOPED = """\
# The launch

## At t3 <!-- phase: t3 -->
- [ ] The certificate <!-- gate: tls.certificate -->
- [ ] A map <!-- scope: no map in this product gate: smoke.tracking -->
"""


def test_a_gate_that_is_scoped_out_is_neither_run_nor_missed(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.write("PLAYBOOK.md", SCOPED)
    launch.module("tests/infra/test_tls.py", gate("tls.certificate"))
    launch.module("tests/smoke/test_map.py", gate("smoke.tracking", BAD))

    seen = launch.run()

    assert seen.status == 0
    assert launch.ran() == ["tls.certificate@t3"]
    assert launch.report["verdict"] == "GO"
    assert [box["kind"] for box in launch.report["phases"][0]["boxes"]] == ["gate", "scope"]


def test_a_gate_that_is_only_dropped_is_a_usage_error(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="tls.certificate")
    launch.module("tests/infra/test_tls.py", gate("tls.certificate"), gate("smoke.tracking"))

    seen = launch.run()

    assert seen.status == 4
    assert "'smoke.tracking' is asked for by no box of PLAYBOOK.md" in seen.words


def test_scoping_out_what_failed_needs_no_new_run(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="tls.certificate smoke.tracking")
    launch.module("tests/infra/test_tls.py", gate("tls.certificate"), gate("smoke.tracking", BAD))
    assert launch.run("--gonogo-keep-going").status == 1
    launch.write("PLAYBOOK.md", SCOPED)

    assert launch.run("-k", "tls").status == 0
