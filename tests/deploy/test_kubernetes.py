"""The Kubernetes manifests, run as far as that goes without a cluster: their options start a real sidecar."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from guard import GuardClient, Unauthenticated
from guard.policy.store import PolicyStore
from guard.server.settings import KEY_VARIABLE, Settings
from tests.serving import Sidecar, sidecar

_ROOT = Path(__file__).resolve().parents[2]
_FILES = sorted((_ROOT / "deploy" / "kubernetes").glob("*.yaml"))
_TOKEN = "token-of-the-test-1"
_FLUSH = 5.0


def _documents(name: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all((_ROOT / "deploy" / "kubernetes" / name).read_text()))


def _pod() -> Any:
    (deployment,) = _documents("sidecar.yaml")
    return deployment["spec"]["template"]["spec"]


def _guard() -> Any:
    (container,) = _pod()["initContainers"]
    return container


def _variables(container: Any) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def _mounts(container: Any) -> dict[str, str]:
    """Volume -> where it is mounted."""
    return {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.fixture
def mounted(tmp_path: Path) -> Mapping[str, Path]:
    """What the volumes hold, in directories of the test."""
    (policies,) = _documents("policies.yaml")
    found = {"policies": tmp_path / "policies", "secrets": tmp_path / "secrets"}
    contents = {"policies": policies["data"], "secrets": {"tokens": _TOKEN, "log-key": "0123456789abcdef"}}
    for volume, directory in found.items():
        directory.mkdir()
        for name, text in contents[volume].items():
            (directory / name).write_text(text)
    return found


def test_every_file_is_covered() -> None:
    """Every manifest is one that the tests here read."""
    assert [file.name for file in _FILES] == ["policies.yaml", "sidecar.yaml"]


def test_the_policies_load(mounted: Mapping[str, Path]) -> None:
    """The ConfigMap's policies have no mistake, and its routes choose among them."""
    store = PolicyStore.load(mounted["policies"])
    assert (store.select("", {}).name, store.select("", {"tenant": "bank"}).name) == ("default", "strict")


def test_every_variable_is_an_option() -> None:
    """The sidecar's variables are options of this version, and no two are one."""
    names = [entry["name"] for entry in _guard()["env"]]
    assert len(set(names)) == len(names)
    assert set(names) <= {f"GUARD_{name.upper()}" for name in Settings.model_fields} | {KEY_VARIABLE}


def test_volumes_are_mounted_whole() -> None:
    """Every mount has its volume, every volume its ConfigMap or secret, and no subPath keeps changes away."""
    pod = _pod()
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert set(_mounts(container)) <= set(volumes)
        assert all("subPath" not in mount and mount["readOnly"] for mount in container["volumeMounts"])
        paths = [value for value in _variables(container).values() if value.startswith("/")]
        assert all(any(path.startswith(mount) for mount in _mounts(container).values()) for path in paths)
    (policies,) = _documents("policies.yaml")
    assert volumes["policies"]["configMap"]["name"] == policies["metadata"]["name"]
    assert f"secret generic {volumes['secrets']['secret']['secretName']} " in (_ROOT / "deploy/README.md").read_text()


def test_probes_and_scrapes_ask_the_metrics_port() -> None:
    """The port of probes and of the scrape annotation is the one that the sidecar is told to open."""
    container = _guard()
    (port,) = container["ports"]
    (deployment,) = _documents("sidecar.yaml")
    assert _variables(container)["GUARD_METRICS"] == f"0.0.0.0:{port['containerPort']}"
    assert deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}


def test_the_drain_fits_into_the_termination() -> None:
    """Kubernetes waits longer than the grace and the log's last records take."""
    grace = float(_variables(_guard())["GUARD_GRACE"])
    assert grace + _FLUSH < _pod()["terminationGracePeriodSeconds"]


def test_the_container_has_no_rights() -> None:
    """The sidecar runs as the image's user, without privileges, on a file system that it cannot write."""
    context = _guard()["securityContext"]
    user = re.search(r"^USER (\d+)", (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert (context["runAsNonRoot"], str(context["runAsUser"])) == (True, user[1])
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_a_sidecar_starts_with_it(
    mounted: Mapping[str, Path], tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With these variables a sidecar becomes ready, answers who has the token, and logs what it decides."""
    container = _guard()
    options: dict[str, str] = {}
    for name, value in _variables(container).items():
        for volume, path in _mounts(container).items():
            value = value.replace(path, str(mounted[volume]))
        options[name.removeprefix("GUARD_").lower()] = value
    # Free ports, so that tests may run beside each other.
    assert options.pop("listen").startswith("127.0.0.1:")
    options["metrics"] = "127.0.0.1:0"
    policy = Path(options.pop("policy"))
    with sidecar(tiny_model_dir, policy, **options) as running:
        port = _metrics_address(running)
        with urllib.request.urlopen(f"http://{port}/readyz", timeout=30) as answer:
            assert answer.status == 200
        with GuardClient(running.address) as client, pytest.raises(Unauthenticated):
            client.info()
        with GuardClient(running.address, token=mounted["secrets"] / "tokens") as client:
            assert client.screen("a bomb", tags={"tenant": "bank"}).policy.startswith("strict@")
        assert running.terminate() == 0
        assert running.process.stdout is not None
        assert '"policy": "strict@' in running.process.stdout.read()


def _metrics_address(running: Sidecar) -> str:
    found = re.search(r"metrics on http://([0-9.:]+)/metrics", running.logged("metrics on"))
    assert found is not None
    return found[1]
