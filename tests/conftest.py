"""Fixtures that the whole test suite shares, and its groups.

Every test belongs to one group by its place, and gets a marker of that name: ``core`` (pure, no sockets and no
subprocesses), ``service`` (server, SDK, CLI), ``project`` (README, packaging) and ``training``. The groups run in this
order, so that the quickest news comes first, and the time of each stands at the end.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier
from guard.normalize import normalize
from guard.unmask import unmask
from tests.tiny import build_tiny_artifact

_GROUPS = ("core", "service", "project", "training")
_PLACES = {
    "server": "service",
    "sdk": "service",
    "cli": "service",
    "deploy": "service",
    "training": "training",
    "test_readme.py": "project",
    "test_package.py": "project",
}
_ROOT = Path(__file__).parent
_group_of_test: dict[str, str] = {}
_seconds = dict.fromkeys(_GROUPS, 0.0)
_tests = dict.fromkeys(_GROUPS, 0)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the groups' markers."""
    for group in _GROUPS:
        config.addinivalue_line("markers", f"{group}: set by the test's place, see tests/conftest.py")


def pytest_sessionstart() -> None:
    """Load what a first text loads, so that no test with a deadline pays for it."""
    unmask(normalize("h3llo 敏*感 愛"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with its group and run the groups in order."""
    for item in items:
        group = _PLACES.get(item.path.relative_to(_ROOT).parts[0], "core")
        item.add_marker(group)
        _group_of_test[item.nodeid] = group
    items.sort(key=lambda item: _GROUPS.index(_group_of_test[item.nodeid]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what a test's set-up, call and tear-down took."""
    group = _group_of_test[report.nodeid]
    _seconds[group] += report.duration
    _tests[group] += report.when == "call"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the time per group."""
    for group in _GROUPS:
        if _tests[group]:
            terminalreporter.write_line(f"{group:9} {_tests[group]:5} tests {_seconds[group]:7.1f} s")


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the tiny artifact; shared, so a test that alters it works on a copy."""
    return build_tiny_artifact(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_classifier(tiny_model_dir: Path) -> Classifier:
    """The tiny artifact, loaded; immutable."""
    return Classifier.load(tiny_model_dir)
