"""What the answers of Electric, gate and issuers mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from shapegate_cli.doctor.answered import Answered, Reply, Silent
from shapegate_cli.doctor.line import Verdict
from shapegate_cli.doctor.peers import (
    ElectricReplies,
    judge_clock,
    judge_gate,
    judge_health,
    judge_keys,
    judge_secret,
)
from shapegate_proxy.config import Secret

OK, WARNING, FAIL = Verdict.OK, Verdict.WARNING, Verdict.FAIL
SILENT = Silent("ClientConnectorError")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def answer(status: int, body: object = None, **headers: str) -> Answered:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answered(status=status, headers=named, body=json.dumps(body).encode(), asked_at=NOW)


@pytest.mark.parametrize(
    ("reply", "verdict", "says"),
    [
        (answer(200, electric_server="ElectricSQL/1.7.12"), OK, "active, ElectricSQL/1.7.12"),
        (answer(200, electric_server="shapegate-dev/0.1.0"), OK, "active, shapegate-dev"),
        (answer(200, electric_server="ElectricSQL/1.7.11"), FAIL, "expected 1.7.12 or later"),
        (answer(202, {"status": "starting"}), FAIL, "starting: it has no connection"),
        (answer(202, {"status": "waiting"}), FAIL, "waiting: another Electric"),
        (answer(404), FAIL, "answers 404, which no Electric does"),
        (SILENT, FAIL, "no answer (ClientConnectorError)"),
    ],
)
def test_S_01_electrics_health_is_judged(reply: Reply, verdict: Verdict, says: str) -> None:
    (line,) = judge_health(reply)
    assert line.verdict is verdict
    assert says in line.text


REFUSED, ACCEPTED, GOOD = answer(401), answer(400), Secret("a-secret-of-some-length")


def replies(
    with_secret: Reply = ACCEPTED, without: Reply = REFUSED, spelled_otherwise: Reply = REFUSED
) -> ElectricReplies:
    return ElectricReplies(
        health=answer(200), with_secret=with_secret, without=without, spelled_otherwise=spelled_otherwise
    )


@pytest.mark.parametrize(
    ("secret", "found", "expected"),
    [
        (GOOD, replies(), [(OK, "is Electric's")]),
        (Secret("short"), replies(), [(FAIL, "is shorter than 16 bytes")]),
        (GOOD, replies(with_secret=REFUSED), [(FAIL, "refuses the gate's ELECTRIC_SECRET")]),
        (
            GOOD,
            replies(without=ACCEPTED, spelled_otherwise=ACCEPTED),
            [(FAIL, "answers 400"), (FAIL, "answers 400")],
        ),
        (
            GOOD,
            replies(spelled_otherwise=ACCEPTED),
            [(FAIL, "answers 400 without the secret at another spelling")],
        ),
        (None, replies(without=ACCEPTED), [(WARNING, "there is none")]),
        (GOOD, replies(SILENT, SILENT, SILENT), []),
    ],
)
def test_electrics_secret_is_judged(
    secret: Secret | None, found: ElectricReplies, expected: list[tuple[Verdict, str]]
) -> None:
    lines = list(judge_secret(secret, found))
    assert [line.verdict for line in lines] == [verdict for verdict, _ in expected]
    assert all(says in line.text for line, (_, says) in zip(lines, expected, strict=True))
    assert not any("a-secret" in f"{line}" or "short'" in f"{line}" for line in lines)


@pytest.mark.parametrize(
    ("reply", "verdict", "says"),
    [
        (answer(200, {"status": "ready"}), OK, "ready"),
        (
            answer(503, {"status": "not_ready", "checks": {"electric": "starting", "database": "ok"}}),
            FAIL,
            "answers 503 (electric: starting): expected",
        ),
        (answer(404, ["no gate"]), FAIL, "answers 404 (it names no part)"),
        (SILENT, FAIL, "no answer"),
    ],
)
def test_the_gates_health_is_judged(reply: Reply, verdict: Verdict, says: str) -> None:
    line = judge_gate(reply)
    assert line.verdict is verdict
    assert says in line.text


def test_keys_that_are_fit_are_counted() -> None:
    key = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key())) | {"kid": "a"}
    line = judge_keys("urn:x", answer(200, {"keys": [key, {"kty": "oct", "kid": "b", "k": "AAAA"}]}))
    assert (line.verdict, line.text) == (OK, "1 fit to verify")


@pytest.mark.parametrize("reply", [SILENT, answer(500, {"keys": []}), answer(200, {"keys": []}), answer(200)])
def test_an_issuer_without_fit_keys_is_named(reply: Reply) -> None:
    line = judge_keys("urn:x", reply)
    assert (line.verdict, line.subject) == (FAIL, "urn:x")


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [(0.0, OK), (2.0, OK), (-2.0, OK), (2.1, WARNING), (-10.0, WARNING), (10.1, FAIL), (-3600.0, FAIL)],
)
def test_a_clock_is_judged_by_what_tokens_are_given(offset: float, verdict: Verdict) -> None:
    assert judge_clock("Postgres", offset, leeway_seconds=10.0).verdict is verdict


def test_a_clock_that_is_wrong_is_said_to_be_ahead_or_behind() -> None:
    assert judge_clock("Postgres", 30.0, leeway_seconds=10.0).text.startswith("30.0 s ahead of")
    assert judge_clock("Postgres", -30.0, leeway_seconds=10.0).text.startswith("30.0 s behind")
