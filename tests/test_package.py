from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.classifier.artifact import FILES
from guard.version import __version__

_ROOT = Path(__file__).parent.parent
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Import names that differ from the distribution's; by default "-" and "_" are exchanged.
_IMPORT_OF = {
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
    "grpcio-status": "grpc_status",
    "google-re2": "re2",
    "googleapis-common-protos": "google.rpc",
    "phonenumberslite": "phonenumbers",
    "protobuf": "google.protobuf",
}
# Pinned exactly by pydantic, whose documentation imports it by this name.
_PART_OF = {"pydantic_core": "pydantic"}
_TRAINING = {"torch", "transformers", "datasets", "pyarrow", "scikit-learn", "tokenizers", "onnx"}


_SCORE = """
import sys
from pathlib import Path
from guard.classifier.classifier import Classifier, Query
from guard.types import Direction
classifier = Classifier.load(Path(sys.argv[1]))
assert classifier.score(Query("hello", Direction.PROMPT)).scores
"""


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", requirement)[0] for requirement in requirements}


def _imports(folder: Path) -> Iterator[str]:
    """Every absolute module name that the Python files of a folder import."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                yield node.module


def test_dependencies_are_what_is_imported() -> None:
    """The base dependencies are exactly the packages that guard imports; pyarrow alone belongs to an extra."""
    declared = {_IMPORT_OF.get(name, name.replace("-", "_")) for name in _names(_PROJECT["dependencies"])}
    third_party = {
        _PART_OF.get(m, m)
        for m in _imports(_ROOT / "guard")
        if m.split(".")[0] not in {*sys.stdlib_module_names, "guard"}
    }
    owners = {m: next((d for d in declared if f"{m}.".startswith(f"{d}.")), None) for m in third_party}
    assert {m for m, owner in owners.items() if owner is None} <= {"pyarrow", "pyarrow.parquet"}
    assert set(owners.values()) - {None} == declared


def test_base_has_no_training_library() -> None:
    """No base dependency is a training library, and no requirement names a local version."""
    assert not _names(_PROJECT["dependencies"]) & _TRAINING
    extras = _PROJECT["optional-dependencies"]
    assert not [r for requirements in (_PROJECT["dependencies"], *extras.values()) for r in requirements if "+" in r]


def test_changelog_names_the_version() -> None:
    """The changelog's newest entry is the version of the package."""
    headings = re.findall(r"^## (\S+)", (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == __version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_wheel_holds_the_model_and_the_policies(wheel: zipfile.ZipFile) -> None:
    """The wheel carries the model, the shipped policies, the report's page, lint's sentences and the typing marker."""
    model = {f"guard/models/default/{name}" for name in (*FILES.hashed, FILES.description, FILES.card)}
    policies = {f"guard/policies/{file.name}" for file in (_ROOT / "policies").iterdir()}
    page = {f"guard/cli/report/{file.name}" for file in (_ROOT / "guard" / "cli" / "report").iterdir()}
    sentences = {f"guard/policy/ordinary_{language}.txt" for language in ("en", "zh")}
    assert model | policies | page | sentences | {"guard/py.typed"} <= set(wheel.namelist())


def test_wheel_holds_the_package_alone(wheel: zipfile.ZipFile) -> None:
    """Neither training nor tests nor anything else at the top level is in the wheel."""
    assert {name.split("/")[0] for name in wheel.namelist()} == {"guard", f"guard_sidecar-{__version__}.dist-info"}


def test_wheel_declares_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    """The wheel installs the command ``guard`` and carries the licence."""
    info = f"guard_sidecar-{__version__}.dist-info"
    assert "guard = guard.__main__:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")


def _healthcheck(address: str) -> int:
    """Run the image's health check against an address."""
    text = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    command = [part.replace("127.0.0.1:50061", address) for part in json.loads(found[1])]
    assert command[0] == "python"
    return subprocess.run([sys.executable, *command[1:]], capture_output=True, check=False).returncode


def test_image_is_healthy_while_the_sidecar_serves(tiny_model_dir: Path) -> None:
    """The image's health check passes while the sidecar serves and fails once it has stopped."""
    command = [sys.executable, "-m", "guard", "serve", "--listen", "127.0.0.1:0", "--model", str(tiny_model_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_ROOT) as sidecar:
        assert sidecar.stdout is not None
        address = sidecar.stdout.readline().removeprefix("guard ready on ").split()[0]
        try:
            assert _healthcheck(address) == 0
        finally:
            sidecar.terminate()
    assert _healthcheck(address) != 0


def test_scoring_leaves_no_trace_at_home(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Loading and scoring write nothing into the home directory: a runtime that reports usage leaves an id there."""
    hidden = ("XDG_", "ORT_", "HOME")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(_ROOT)}
    subprocess.run([sys.executable, "-c", _SCORE, str(tiny_model_dir)], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
