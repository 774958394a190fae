"""What a package offers is held here: a change of `__all__` is a change that users notice."""

from __future__ import annotations

import importlib

import pytest

PUBLIC = {
    "shapegate_client": {
        "AccessToken",
        "ClientError",
        "ClientSettings",
        "CommittedBatch",
        "Connecting",
        "Credentials",
        "IssuerCredentials",
        "Live",
        "LiveMode",
        "LogMode",
        "NeedsLogin",
        "OfflineSince",
        "Organization",
        "Principal",
        "Replica",
        "FetchedSubset",
        "Session",
        "ShapeDefinition",
        "ShapeProgress",
        "Status",
        "Step",
        "Stopped",
        "Switching",
        "log_out",
        "open_rows",
        "system_keyring",
    },
    "shapegate_wire.filter": {
        "Filter",
        "FilterRefused",
        "FilterTooCostly",
        "OrderItem",
        "PrintedFilter",
        "check_cost",
        "parse_filter",
        "parse_order_by",
        "print_filter",
        "print_order_by",
    },
    "shapegate_harness.electric": {
        "DevElectric",
        "ElectricError",
        "ElectricSettings",
        "Failed",
        "Misconfigured",
    },
    "shapegate_harness.issuer": {
        "IssuerError",
        "IssuerSettings",
        "KeyFileError",
        "Refused",
        "StartError",
        "TokenIssuer",
        "UnknownOrganization",
        "UnknownSession",
        "UnknownUser",
    },
    "shapegate_harness.postgres": {"EmbeddedPostgres", "PostgresError"},
    "shapegate_harness.scenario": {
        "Differs",
        "Recorder",
        "StepDone",
        "StepFailed",
        "StepResult",
        "run_scenario",
    },
}


@pytest.mark.parametrize("package", sorted(PUBLIC))
def test_the_public_names_are_these(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) == PUBLIC[package]
    assert all(hasattr(module, name) for name in module.__all__)
