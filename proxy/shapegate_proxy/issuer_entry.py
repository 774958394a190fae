"""Whose tokens are accepted: the issuer of the environment, and each `[[issuers]]` of the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.claim_path import EXPECTED, parse_claim_path, print_claim_path
from shapegate_proxy.config import HMAC_ALGORITHMS, SIGNATURE_ALGORITHMS, IssuerConfig
from shapegate_proxy.environment import parse_url, read_secret, read_text
from shapegate_proxy.keys import UnfitKeyError, bind_secret, parse_public_key

if TYPE_CHECKING:
    from pathlib import Path

    from yarl import URL

    from shapegate_proxy.claim_path import ClaimPath
    from shapegate_proxy.config import Secret
    from shapegate_proxy.config_file import FileTable
    from shapegate_proxy.environment import Environment
    from shapegate_proxy.findings import Findings

PROOF_KEYS: Final = ("secret_file", "secret_env", "jwks_url", "public_key_file")
CLAIM_KEYS: Final = ("org_claim", "role_claim", "user_claim")
ISSUER_KEYS: Final = (
    *("issuer", "audience", "algorithms", *PROOF_KEYS, *CLAIM_KEYS, "claims", "subject_prefix"),
    *("leeway_seconds", "lifetime_seconds_max", "revocation"),
)
VARIABLES: Final = ("JWT_ISSUER", "JWT_AUDIENCE", "JWKS_URL", "AUTH_URL", "SHARED_TOKEN_SECRET")
LEEWAY_SECONDS_MAX: Final = 30
"""SECURITY J-05."""
LIFETIME_SECONDS_MAX: Final = 366 * 86_400
CLAIMS_MAX: Final = 32

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_CLAIM_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What proves an entry's tokens, and the algorithms that it is good for."""

    algorithms: frozenset[str]
    secret: Secret | None = None
    jwks_url: URL | None = None
    public_key: str | None = None


def issuer_of_environment(env: Environment) -> IssuerConfig | None:
    """Read the issuer of the environment; JWKS_URL, or AUTH_URL and the well-known path below it."""
    secret = env.secret("SHARED_TOKEN_SECRET", otherwise="not used")
    jwks_url, auth_url = env.url("JWKS_URL"), env.url("AUTH_URL")
    if jwks_url is None and auth_url is not None:
        jwks_url = auth_url / ".well-known" / "jwks.json"
    if env.has("SHARED_TOKEN_SECRET", "SHARED_TOKEN_SECRET_FILE") == env.has("JWKS_URL", "AUTH_URL"):
        env.findings.problem(
            "expected either SHARED_TOKEN_SECRET (HS256) or JWKS_URL (or AUTH_URL): exactly one of them says "
            "how tokens are verified"
        )
    if secret is not None:
        _check_secret(secret, "SHARED_TOKEN_SECRET", env.findings)
    if jwks_url is not None:
        _check_jwks_url(jwks_url, "JWKS_URL", env.findings)
    must_carry = "the value that every token must carry"
    issuer, audience = (env.required(name, must_carry) for name in ("JWT_ISSUER", "JWT_AUDIENCE"))
    if issuer is None or audience is None or (secret is None) == (jwks_url is None):
        return None
    return IssuerConfig(issuer=issuer, audience=audience, secret=secret, jwks_url=jwks_url)


def issuer_of_file(entry: FileTable, env: Environment) -> IssuerConfig | None:
    """Read an entry of the file; None if there is a problem with it, already noted."""
    problems_before = len(env.findings.problems)
    for key in entry.keys:
        if key == "secret":
            entry.problem(key, "does not belong in this file: expected secret_file or secret_env")
        elif key not in ISSUER_KEYS:
            entry.problem(key, f"is unknown: expected {', '.join(ISSUER_KEYS)}")
    issuer, audience = entry.text("issuer", None), entry.text("audience", None)
    proof = _proof(entry, env)
    algorithms = _algorithms(entry, proof)
    org, role, user = (
        _claim_path(entry, key, default)
        for key, default in zip(CLAIM_KEYS, ("organization_id", "role", "sub"), strict=True)
    )
    claims, prefix = _claims(entry), entry.text("subject_prefix", "")
    leeway = entry.number_within("leeway_seconds", 10.0, low=0, high=LEEWAY_SECONDS_MAX)
    lifetime = entry.number_within("lifetime_seconds_max", None, low=1, high=LIFETIME_SECONDS_MAX)
    revocation = _revocation(entry, env)
    if proof is None or leeway is None or len(env.findings.problems) > problems_before:
        return None
    return IssuerConfig(
        issuer=issuer,
        audience=audience,
        secret=proof.secret,
        jwks_url=proof.jwks_url,
        public_key=proof.public_key,
        algorithms=algorithms,
        org_claim=org,
        role_claim=role,
        user_claim=user,
        claims=claims,
        subject_prefix=prefix,
        leeway_seconds=leeway,
        lifetime_seconds_max=lifetime,
        revocation=revocation,
    )


def _proof(entry: FileTable, env: Environment) -> Proof | None:
    """Read the one key that says what proves tokens; None if there is a problem, already noted."""
    given = [key for key in PROOF_KEYS if key in entry.keys]
    if len(given) != 1:
        entry.problem("issuer", f"is proven by {len(given)} of {', '.join(PROOF_KEYS)}: expected exactly one")
        return None
    key = given[0]
    if key == "secret_env" and _VARIABLE.fullmatch(str(entry.keys[key])) is None:
        # Not what it is: most likely it is the secret itself.
        entry.problem(key, "is no name of an environment variable: expected one in capitals")
        return None
    value = entry.text(key, None)
    if not value:
        return None
    if key == "jwks_url":
        return _proof_by_url(value, entry.title(key), env.findings)
    path = entry.file.path.parent / value
    if key == "public_key_file":
        return _proof_by_key(path, entry.title(key), env.findings)
    who = f"{entry.title(key)}: {value}"
    secret = read_secret(path, who, env.findings) if key == "secret_file" else env.named_secret(value, who)
    if secret is None:
        return None
    _check_secret(secret, who, env.findings)
    return Proof(secret=secret, algorithms=HMAC_ALGORITHMS)


def _proof_by_url(value: str, who: str, findings: Findings) -> Proof | None:
    url = parse_url(value, who, findings)
    if url is None:
        return None
    _check_jwks_url(url, who, findings)
    return Proof(jwks_url=url, algorithms=SIGNATURE_ALGORITHMS)


def _proof_by_key(path: Path, who: str, findings: Findings) -> Proof | None:
    pem = read_text(path, who, findings)
    try:
        if pem is not None:
            return Proof(public_key=pem, algorithms=frozenset({parse_public_key(pem).algorithm}))
    except UnfitKeyError as exc:
        findings.problem(f"{who}: {str(path)!r} {exc}")
    return None


def _check_secret(secret: Secret, who: str, findings: Findings) -> None:
    try:
        bind_secret(secret)
    except UnfitKeyError as exc:
        findings.problem(f"{who} {exc}")


def _check_jwks_url(url: URL, who: str, findings: Findings) -> None:
    if url.scheme != "https" and url.host not in _LOOPBACK:
        findings.problem(f"{who}: the keys of {url.host!r} would come over http: expected an https URL")


def _algorithms(entry: FileTable, proof: Proof | None) -> frozenset[str]:
    """Read which of the proof's algorithms are accepted; all of them unless the entry says so."""
    possible = HMAC_ALGORITHMS | SIGNATURE_ALGORITHMS if proof is None else proof.algorithms
    value = entry.keys.get("algorithms", sorted(possible))
    if not isinstance(value, list) or not value or not all(name in sorted(possible) for name in value):
        expected = ", ".join(sorted(possible))
        entry.problem("algorithms", f"is {value!r}: expected a list out of {expected}, which the key is for")
        return possible
    entry.note("algorithms", ", ".join(value))
    return frozenset(value)


def _claim_path(entry: FileTable, key: str, default: str) -> ClaimPath:
    path = parse_claim_path(entry.keys.get(key, default))
    if path is None:
        entry.problem(key, f"is {entry.keys[key]!r}: {EXPECTED}")
        return (default,)
    entry.note(key, print_claim_path(path))
    return path


def _claims(entry: FileTable) -> dict[str, ClaimPath]:
    """Read the table of further claims: names for scopes to paths."""
    table = entry.keys.get("claims", {})
    if not isinstance(table, dict) or len(table) > CLAIMS_MAX:
        entry.problem("claims", f'is no table of at most {CLAIMS_MAX} claims: expected client = "app.client"')
        return {}
    read: dict[str, ClaimPath] = {}
    for name, value in table.items():
        path = parse_claim_path(value)
        if _CLAIM_NAME.fullmatch(name) is None:
            entry.problem("claims", f"names {name!r}: expected letters, digits and underscores")
        elif path is None:
            entry.problem("claims", f"has {name} = {value!r}: {EXPECTED}")
        else:
            read[name] = path
    entry.note(
        "claims", ", ".join(f"{name} = {print_claim_path(path)}" for name, path in read.items()) or "none"
    )
    return read


def _revocation(entry: FileTable, env: Environment) -> bool:
    has_database = env.has("DATABASE_URL", "DATABASE_URL_FILE")
    looked_up = entry.flag("revocation", default=has_database)
    if looked_up and not has_database:
        entry.problem("revocation", "is true but DATABASE_URL is missing: expected the database of sessions")
    return looked_up
