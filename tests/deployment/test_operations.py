"""docs/operations.md and its alerts: what they name is there."""

from __future__ import annotations

import re
from typing import Any

import promql_parser
import pytest
from ruamel.yaml import YAML

from shapegate_proxy import errors, too_many
from shapegate_proxy.held import HeldRequests
from shapegate_proxy.metrics import Metrics
from tests.deployment.compose import DEV, ROOT, services, variables

DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RULES: list[dict[str, Any]] = [
    rule
    for group in YAML(typ="safe").load(ROOT / "deploy" / "prometheus" / "rules.yml")["groups"]
    for rule in group["rules"]
]
CODES = {
    kind.code
    for module in (errors, too_many)
    for kind in vars(module).values()
    if isinstance(kind, type) and hasattr(kind, "code")
}
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}


def exposed() -> dict[str, set[str]]:
    """List what a gate exposes: the name of each figure, and its labels."""
    found: dict[str, set[str]] = {"up": set()}
    metrics = Metrics(HeldRequests(), {"keys": lambda: 0, "sessions": lambda: 0})
    labels = {
        "shapegate_requests": {"kind", "decision", "status", "code"},
        "shapegate_first_byte_seconds": {"kind"},
        "shapegate_failed_lookups": {"of"},
    }
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    for metric in metrics.registry.collect():
        found |= {metric.name + end: labels.get(metric.name, set()) for end in endings[metric.type]}
    return found


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_figures_labels_and_codes_that_exist(rule: dict[str, Any]) -> None:
    known = exposed()
    found = selectors(rule["expr"])
    assert found
    for selector in found:
        assert selector.name in known
        for matcher in selector.matchers.matchers:
            assert matcher.name in known[selector.name] | ADDED_BY_PROMETHEUS
            if matcher.name == "code":
                assert [code for code in CODES if re.fullmatch(matcher.value, code)], matcher.value


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_explained_and_shows_labels_that_it_keeps(rule: dict[str, Any]) -> None:
    assert f"`{rule['alert']}`" in DOCUMENT
    assert rule["labels"]["severity"] in ("critical", "warning")
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        kept = re.search(rf"by \([^)]*\b{label}\b[^)]*\)", rule["expr"])
        assert kept or " by " not in rule["expr"]


def test_the_document_names_every_service_and_no_other() -> None:
    table = DOCUMENT.partition("| service | is |")[2].partition("\n\n")[0]
    named = {
        name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])
    }
    assert named == set(services(DEV))


def test_the_document_names_every_variable_that_compose_reads() -> None:
    paragraph = DOCUMENT.partition("Of `.env` Compose reads")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([A-Z_]+)`", paragraph)) == variables()


def test_every_file_that_the_document_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)", DOCUMENT):
        assert (ROOT / "docs" / link).is_file(), link


def test_every_secret_that_the_document_names_is_one() -> None:
    named = set(re.findall(r"secrets/(\w+)", DOCUMENT)) - {"token_secret"}
    given = {name for service in services(DEV).values() for name in service.names("secrets")}
    assert named <= given
