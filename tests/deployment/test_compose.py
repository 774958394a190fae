"""compose.yaml: what it promises, and that it says nothing that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.configuration import read_configuration
from shapegate_proxy.electric import VERSION_MIN
from shapegate_proxy.errors import ConfigError
from tests.deployment.compose import (
    DEV,
    FILE,
    ROOT,
    SECRETS,
    Missing,
    env_file,
    load,
    services,
    variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICES = services(DEV)
GATES = ("proxy", "proxy-1", "proxy-2")
NAMES = sorted(SERVICES)
FULL = load(DEV)


class Asked(dict[str, str]):
    """An environment that remembers which names were looked up."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]  # as it is called here
        self.names.add(key)
        return super().get(key, default)


def read_by_the_gate() -> set[str]:
    environ = Asked({"METRICS_PORT": "9400"})
    with pytest.raises(ConfigError):
        read_configuration(environ)
    return environ.names


def test_the_file_is_what_the_compose_specification_says() -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_is_documented_and_means_to_compose_what_it_means_to_the_gate() -> None:
    used = variables()
    template = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert used <= set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", template, re.MULTILINE))
    assert used <= read_by_the_gate()
    assert set(DEV) <= used


@pytest.mark.parametrize("name", GATES)
def test_the_gate_reads_every_variable_that_it_is_given(name: str) -> None:
    assert set(SERVICES[name].environment) <= read_by_the_gate()


@pytest.mark.parametrize("name", ["JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"])
def test_without_an_issuer_compose_itself_says_what_is_missing(name: str) -> None:
    given = {key: value for key, value in DEV.items() if key != name}
    with pytest.raises(Missing, match=rf"^{name}: expected in \.env .*; see docs/operations\.md$"):
        load(given)
    # Empty is a statement: the file of SHAPEGATE_CONFIG names the issuers.
    assert services({**DEV, name: ""})["proxy"].environment[name] == ""


def test_the_template_of_the_settings_makes_a_whole_file() -> None:
    published = services(env_file(ROOT / ".env.example"))["proxy"].parts["ports"]
    assert published == ["127.0.0.1:4000:4000"]


def test_P_24_no_secret_stands_in_the_file_or_in_an_environment() -> None:
    for service in SERVICES.values():
        for name, value in service.environment.items():
            if re.search(r"SECRET|PASSWORD|DATABASE_URL|TOKEN", name):
                assert name.endswith("_FILE"), (service.name, name)
                assert value.removeprefix(f"{SECRETS}/") in service.names("secrets")
            assert name != "ELECTRIC_INSECURE"
    assert all(set(secret) == {"file"} for secret in FULL["secrets"].values())


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_given_the_secrets_that_it_reads_and_no_other(name: str) -> None:
    read = set(re.findall(rf"{SECRETS}/(\w+)", str(SERVICES[name].parts)))
    assert read == SERVICES[name].names("secrets")
    assert read <= set(FULL["secrets"])


def test_every_secret_is_one_that_the_script_makes() -> None:
    made = (ROOT / "deploy" / "make-secrets").read_text(encoding="utf-8")
    for name, secret in FULL["secrets"].items():
        assert secret["file"] == f"./secrets/{name}"
        assert re.search(rf"keep {name} |for role in .*\b{name.removesuffix('_url')}\b", made)


def test_S_01_electric_is_pinned_to_a_version_without_known_holes() -> None:
    image, _, version = SERVICES["electric"].parts["image"].partition(":")
    assert image == "electricsql/electric"
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert tuple(map(int, version.split("."))) >= VERSION_MIN == (1, 7, 12)


@pytest.mark.parametrize("name", NAMES)
def test_every_image_has_a_tag(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:[\d.]+[\w.-]*", SERVICES[name].parts["image"])


def test_S_02_electric_is_on_no_network_that_leads_out_and_publishes_nothing() -> None:
    electric = SERVICES["electric"]
    assert electric.names("ports") == electric.names("expose") == set()
    assert "network_mode" not in electric.parts
    assert all(FULL["networks"][network]["internal"] for network in electric.names("networks"))
    near = {
        service.name
        for service in SERVICES.values()
        if "electric" in service.names("networks") and service.name != "electric"
    }
    assert near == {*GATES, "cache"}


def test_S_02_only_gates_balancer_and_the_development_issuer_can_be_asked_from_outside() -> None:
    published = {
        service.name: service.parts["ports"] for service in SERVICES.values() if "ports" in service.parts
    }
    assert published == {
        "proxy": ["127.0.0.1:4000:4000"],
        "edge": ["127.0.0.1:8080:8080"],
        "issuer": ["127.0.0.1:4001:4002"],
    }
    outside = {service.name for service in SERVICES.values() if "outside" in service.names("networks")}
    assert outside == {*GATES, "edge", "issuer"}


def test_what_starts_without_a_profile_is_the_gate_and_what_it_needs() -> None:
    plain = {service.name for service in SERVICES.values() if "profiles" not in service.parts}
    assert plain == {"postgres", "migrate", "logins", "electric", "proxy"}
    by_profile = {
        profile: {service.name for service in SERVICES.values() if profile in service.names("profiles")}
        for profile in ("dev", "scale")
    }
    assert by_profile["dev"] == {"seed", "issuer", "door", "keys"}
    assert by_profile["scale"] == {"cache", "proxy-1", "proxy-2", "edge"}
    assert plain | by_profile["dev"] | by_profile["scale"] == set(SERVICES)


@pytest.mark.parametrize("name", NAMES)
def test_every_service_is_bounded_and_what_stays_is_watched(name: str) -> None:
    parts = SERVICES[name].parts
    assert set(parts["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert "no-new-privileges:true" in parts["security_opt"]
    assert parts["logging"]["options"]["max-size"]
    assert parts["restart"] == ("no" if name in ("migrate", "logins", "seed") else "unless-stopped")
    if parts["restart"] != "no" and name not in ("door", "keys"):
        assert parts["healthcheck"]["test"]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("postgres", "electric")])
def test_what_we_configure_ourselves_runs_without_rights_and_writes_nowhere(name: str) -> None:
    parts = SERVICES[name].parts
    assert (parts["read_only"], parts["cap_drop"]) == (True, ["ALL"])
    assert parts.get("user", "") == ("" if SERVICES[name].is_ours else "101:101")


@pytest.mark.parametrize("name", NAMES)
def test_a_service_waits_for_what_it_needs_to_be_ready(name: str) -> None:
    once = {"migrate", "logins", "seed"}
    for other, how in SERVICES[name].parts.get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in once else "service_healthy"
        unwatched = name == "keys"  # which is what makes the gate ready
        assert how["condition"] == ("service_started" if unwatched else expected)
        needs, has = SERVICES[name].names("profiles"), SERVICES[other].names("profiles")
        assert not has or needs & has == needs


def test_two_gates_believe_the_balancer_and_nobody_else() -> None:
    (config,) = FULL["networks"]["gates"]["ipam"]["config"]
    on_it = {service.name for service in SERVICES.values() if "gates" in service.names("networks")}
    assert on_it == {"edge", "proxy-1", "proxy-2"}
    assert FULL["networks"]["gates"]["internal"]
    for name in ("proxy-1", "proxy-2"):
        assert SERVICES[name].environment["TRUSTED_PROXIES"] == config["subnet"]
    assert SERVICES["proxy"].environment["TRUSTED_PROXIES"] == ""


@pytest.mark.parametrize("name", sorted(FULL["configs"]))
def test_every_file_that_is_mounted_is_shipped(name: str) -> None:
    assert (ROOT / FULL["configs"][name]["file"]).is_file()


def test_what_the_nginx_files_name_are_services_and_their_ports() -> None:
    for name, service in SERVICES.items():
        for config in service.parts.get("configs", ()):
            if config["target"] != "/etc/shapegate/nginx.conf":
                continue
            text = (ROOT / FULL["configs"][config["source"]]["file"]).read_text(encoding="utf-8")
            for host, port in re.findall(r"(?:server |http://)([a-z][a-z0-9-]*):(\d+)", text):
                assert host in SERVICES, (name, host)
                assert port in {"electric": "3000", "issuer": "4002"}.get(host, "4000")
