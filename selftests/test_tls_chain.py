"""The order of a chain, its path and its signatures."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509

from fleetboard.pki import Authority, Identity, Shape
from gonogo.tls_chain import anchored, describe, explain, order_errors, path_through, responders, signed_by

NOW = datetime.now(UTC)
OURS, OTHERS = Authority.create(), Authority.create()
LEAF, FOREIGN = OURS.issue(["a.test"]), OTHERS.issue(["a.test"])
SHA1 = OURS.issue(["a.test"], shape=Shape(sha1=True))
RSA = OURS.issue(["a.test"], shape=Shape(rsa_bits=2048))


def certificates(*identities: Identity) -> list[x509.Certificate]:
    return [one.certificate for one in identities]


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ([LEAF], []),
        ([LEAF, OURS.intermediate], []),
        ([LEAF, OURS.intermediate, OURS.root], []),
        ([LEAF, OURS.root, OURS.intermediate], ["Root,O=Fleet Rehearsal follows CN=a.test"]),
        ([LEAF, OURS.intermediate, RSA], ["CN=a.test,O=Fleet Rehearsal (number 3) is on no path"]),
        ([LEAF, OTHERS.intermediate], ["(number 2) is on no path"]),
        ([LEAF, OURS.intermediate, OURS.intermediate], ["is sent twice"]),
        ([LEAF, LEAF, OURS.intermediate], ["CN=a.test,O=Fleet Rehearsal is sent twice"]),
    ],
)
def test_order(sent: list[Identity], says: list[str]) -> None:
    chain = certificates(*sent)
    errors = order_errors(chain, path_through(chain, certificates(OURS.root)))

    assert len(errors) == len(says)
    assert all(word in error for word, error in zip(says, errors, strict=True))


def test_path_goes_by_signatures_not_by_names() -> None:
    roots = certificates(OTHERS.root, OURS.root)

    assert path_through(certificates(LEAF, OTHERS.intermediate, OURS.intermediate), roots) == certificates(
        LEAF, OURS.intermediate, OURS.root
    )
    assert path_through(certificates(FOREIGN, OURS.intermediate), roots) == certificates(FOREIGN)


def test_a_root_that_another_one_signed_ends_the_path() -> None:
    """What clients know themselves they do not look for any further."""
    path = certificates(LEAF, OURS.intermediate, OURS.root)

    assert anchored(path, certificates(OTHERS.root, OURS.intermediate)) == certificates(LEAF, OURS.intermediate)
    assert anchored(path, certificates(OTHERS.root)) == path


@pytest.mark.parametrize("leaf", [LEAF, SHA1, RSA])
def test_signatures(leaf: Identity) -> None:
    assert signed_by(leaf.certificate, OURS.intermediate.certificate)
    assert not signed_by(leaf.certificate, OTHERS.intermediate.certificate)
    assert not signed_by(leaf.certificate, OURS.root.certificate)


def test_rsa_signs_too() -> None:
    own = OURS.issue(["a.test"], shape=Shape(rsa_bits=2048, self_signed=True)).certificate

    assert signed_by(own, own)


def test_description() -> None:
    facts = describe(OURS.issue(["a.test"], shape=Shape(rsa_bits=1024, must_staple=True)).certificate)

    assert (facts.key_type, facts.key_bits, facts.must_staple, facts.is_root) == ("RSA", 1024, True, False)
    assert describe(SHA1.certificate).signature_hash == "sha1"


def test_responders() -> None:
    leaf = OURS.issue(["a.test"], shape=Shape(crl_url="http://ca.test/x.crl"))

    assert responders(leaf.certificate) == ((), ("http://ca.test/x.crl",))
    assert responders(LEAF.certificate) == ((), ())
    assert responders(OURS.issue(["a.test"], shape=Shape(crl_url="ldap://ca.test/x")).certificate) == ((), ())


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ([LEAF], "the certificate of its issuer, CN=Fleet Rehearsal Intermediate,O=Fleet Rehearsal, was not sent"),
        ([FOREIGN, OTHERS.intermediate], "its key did not sign it"),
        ([FOREIGN, OTHERS.intermediate, OTHERS.root], "which is not a known authority"),
        ([LEAF, OURS.intermediate], ""),
    ],
)
def test_explanation(sent: list[Identity], says: str) -> None:
    text = explain(certificates(*sent), certificates(OURS.root), NOW)

    assert says in text
    assert bool(says) == bool(text)
