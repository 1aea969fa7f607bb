"""Loading anew while requests and streams are answered."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import signal
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from guard import AsyncGuardClient, GuardClient, InvalidInput
from guard.classifier.artifact import Source, write_artifact
from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.policy.store import PolicyStore
from guard.server.app import GuardServer
from guard.server.settings import Settings
from tests.gates import GatedClassifier
from tests.serving import POLICY, sidecar, write_policies
from tests.waiting import until

_LENIENT = POLICY.replace("threshold: 0.5, action: block}", "threshold: 1.0, action: block}", 1)


def _server(directory: Path, model: Path, **options: object) -> GuardServer:
    engine = Engine(Classifier.load(model), PolicyStore.load(directory))
    settings = {"listen": ("127.0.0.1:0",), "policy": str(directory), "model": model, "watch": 0, **options}
    return GuardServer(engine, Settings.load(**settings))


def _put(file: Path, text: str) -> None:
    """Write a file so that it is seen with this text alone, and never empty."""
    beside = file.with_name(f".{file.name}")
    beside.write_text(text)
    os.replace(beside, file)


def _renamed(model: Path, name: str) -> None:
    """Make another model of a directory's, with the same scores."""
    description = write_artifact(
        model,
        name=name,
        unsupported=(),
        outputs=("scores", "token_scores"),
        sources=(Source("hand-made", "Apache-2.0", "permissive", 1),),
        created="2026-01-02",
    )
    assert description is not None


@pytest.fixture
def model(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A model directory that the test may alter."""
    return shutil.copytree(tiny_model_dir, tmp_path / "model")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A policy directory that the test may alter."""
    return write_policies(tmp_path / "policies")


def _counted(server: GuardServer, source: str, result: str) -> float:
    labels = {"source": source, "result": result}
    return server._metrics.registry.get_sample_value("guard_reloads_total", labels) or 0.0


def test_a_swapped_config_map_decides_without_a_lost_request(tiny_model_dir: Path, tmp_path: Path) -> None:
    """The swap of a ConfigMap's link changes the decisions, and every request meanwhile gets one or the other."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for version, text in (("..one", POLICY), ("..two", _LENIENT)):
        (mounted / version).mkdir()
        (mounted / version / "default.yaml").write_text(text)
    (mounted / "..data").symlink_to("..one")
    (mounted / "default.yaml").symlink_to("..data/default.yaml")
    with (
        sidecar(tiny_model_dir, mounted, watch=0.05) as running,
        GuardClient(running.address, retries=0, timeout=30) as client,
    ):
        before = client.screen("a bomb")
        (mounted / "..tmp").symlink_to("..two")
        os.replace(mounted / "..tmp", mounted / "..data")
        until(lambda: client.screen("a bomb").policy != before.policy)
        assert (before.action, client.screen("a bomb").action) == ("block", "allow")
        assert running.terminate() == 0


def test_sighup_loads_again(tiny_model_dir: Path, policies: Path) -> None:
    """SIGHUP loads the policies, also where nobody watches them; what is broken is logged with file and line."""
    with (
        sidecar(tiny_model_dir, policies, watch=0) as running,
        GuardClient(running.address, timeout=30) as client,
    ):
        (policies / "default.yaml").write_text(_LENIENT)
        assert client.screen("a bomb").action == "block"
        running.process.send_signal(signal.SIGHUP)
        until(lambda: client.screen("a bomb").action == "allow")
        (policies / "strict.yaml").write_text("version: 1\nname: strict\nrules:\n  - {id: x")
        running.process.send_signal(signal.SIGHUP)
        seen = running.logged("strict.yaml:")
        assert "policy not loaded, the last good one stays: " in seen
        assert f"{policies / 'strict.yaml'}:4:" in seen
        assert client.screen("kill", policy="strict").action == "block"
        assert running.terminate() == 0


def test_a_half_written_policy_never_decides(model: Path, policies: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that stops in the middle is refused and counted, the last good one decides; the finished one is taken."""
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        server = _server(policies, model, watch=0.02)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            good = (await client.screen("hello")).policy
            # To the middle of a rule: no valid policy.
            _put(policies / "default.yaml", _LENIENT[:150])
            while not _counted(server, "policy", "failed"):
                assert (await client.screen("a bomb")).policy == good
            assert (await client.screen("a bomb")).policy == good
            _put(policies / "default.yaml", _LENIENT)
            while (decision := await client.screen("a bomb")).policy == good:
                pass
            assert decision.allowed
            # Once for each version, however often somebody looks.
            assert (_counted(server, "policy", "failed"), _counted(server, "policy", "ok")) == (1, 1)
        await server.stop()

    asyncio.run(scenario())
    assert f"{policies / 'default.yaml'}:" in caplog.text


def test_a_policy_that_is_gone_keeps_deciding(model: Path, policies: Path) -> None:
    """An emptied directory is a mistake: what was loaded stays; a policy that is added can be asked for."""

    async def scenario() -> None:
        server = _server(policies, model)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            moved = policies.rename(policies.with_name("moved"))
            await server.reload()
            assert (await client.screen("a bomb", policy="strict")).allowed
            (moved / "new.yaml").write_text(POLICY.replace("name: default", "name: new"))
            moved.rename(policies)
            with pytest.raises(InvalidInput, match="no policy named 'new'"):
                await client.screen("hello", policy="new")
            await server.reload()
            assert (await client.screen("a bomb", policy="new")).action == "block"
            assert [policy.name for policy in (await client.info()).policies] == ["default", "new", "strict"]
        await server.stop()

    asyncio.run(scenario())


def test_a_stream_keeps_the_versions_it_began_with(
    model: Path, policies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream ends with the policy and the model that it began with, beside calls that have the new ones."""
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        server = _server(policies, model)
        await server.start()
        reloaded = asyncio.Event()

        async def deltas() -> AsyncIterator[str]:
            yield "hello " * 100
            await reloaded.wait()
            yield "a bomb"

        async with AsyncGuardClient(str(server.addresses[0])) as client:
            before = await client.screen("hello")
            stream = client.screen_stream(deltas())
            await anext(stream)
            (policies / "default.yaml").write_text(_LENIENT)
            _renamed(model, "other")
            await server.reload()
            after = await client.screen("a bomb")
            assert after.allowed
            assert after.model.startswith("other@")
            assert after.policy != before.policy
            assert "no call uses model tiny@" not in caplog.text
            reloaded.set()
            async for _ in stream:
                pass
            assert stream.decision.action == "block"
            assert (stream.decision.policy, stream.decision.model) == (before.policy, before.model)
            await server._servicer.idle()
            assert "no call uses model tiny@" in caplog.text
        await server.stop()

    asyncio.run(scenario())


def test_a_request_finishes_on_the_model_it_began_with(model: Path, policies: Path) -> None:
    """A model is exchanged under a request that is being answered; the request does not notice."""

    async def scenario() -> None:
        gated = GatedClassifier(Classifier.load(model))
        engine = Engine(gated, PolicyStore.load(policies))
        options = {"listen": ("127.0.0.1:0",), "policy": str(policies), "model": model, "workers": 2, "watch": 0}
        server = GuardServer(engine, Settings.load(**options))
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            first = asyncio.ensure_future(client.screen("hello"))
            await asyncio.to_thread(gated.entered.wait)
            _renamed(model, "other")
            await server.reload()
            assert (await client.screen("hello")).model.startswith("other@")
            assert not first.done()
            gated.gate.set()
            assert (await first).model.startswith("tiny@")
            # The text was known by then, but as the old model sees it.
            assert (await client.screen("hello")).model.startswith("other@")
            assert (server.screener.load.cache_hits, server.screener.load.cache_misses) == (1, 2)
        await server.stop()

    asyncio.run(scenario())


def test_a_replaced_model_leaves_memory(model: Path, policies: Path) -> None:
    """When its last call has ended nothing holds a replaced model: reloads do not add up."""

    async def scenario() -> None:
        server = _server(policies, model)
        replaced = server._live.engine.classifier
        old_model, old_session = weakref.ref(replaced), weakref.ref(replaced.session)
        del replaced
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            await client.screen("hello")
            assert "".join([piece async for piece in client.screen_stream(["hello"])]) == "hello"
            _renamed(model, "other")
            await server.reload()
            assert (await client.screen("hello")).model.startswith("other@")
            await server._servicer.idle()
            gc.collect()
            assert (old_model(), old_session()) == (None, None)
        await server.stop()

    asyncio.run(scenario())


def test_a_broken_model_changes_nothing(model: Path, policies: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A model directory with an altered file is refused by its checksum; the loaded model goes on."""

    async def scenario() -> None:
        server = _server(policies, model)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            await server.reload()
            assert _counted(server, "model", "ok") == 1
            with (model / "model.onnx").open("ab") as graph:
                graph.write(b"\0")
            await server.reload()
            assert (await client.screen("a bomb")).action == "block"
            assert _counted(server, "model", "failed") == 1
        await server.stop()

    asyncio.run(scenario())
    assert "model not loaded, the last good one stays: " in caplog.text
    assert "model.onnx" in caplog.text


def test_what_a_policy_names_is_watched(model: Path, tmp_path: Path) -> None:
    """A file that a policy extends, or takes its terms from, changes its decisions, wherever it lies."""
    (tmp_path / "base").mkdir()
    base, words = tmp_path / "base" / "base.yaml", tmp_path / "base" / "words.txt"
    base.write_text(POLICY.replace("name: default", "name: base"))
    words.write_text("acme\n")
    policy = tmp_path / "shop.yaml"
    rule = "{id: rivals, direction: prompt, terms: [{file: base/words.txt}], action: block}"
    policy.write_text(f"version: 1\nname: shop\nextends: base/base.yaml\nrules:\n  - {rule}\n")

    async def scenario() -> None:
        server = _server(policy, model, watch=0.02)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:

            async def becomes(text: str, action: str) -> None:
                while (await client.screen(text)).action != action:
                    await asyncio.sleep(0.01)

            assert (await client.screen("acme")).action == "block"
            assert (await client.screen("umbrella")).allowed
            _put(words, "umbrella\n")
            await becomes("umbrella", "block")
            assert (await client.screen("acme")).allowed
            assert (await client.screen("a bomb")).action == "block"
            _put(base, base.read_text().replace("threshold: 0.5, action: block}", "threshold: 1.0, action: block}", 1))
            await becomes("a bomb", "allow")
            # Named for the first time, broken, and mended without a change of what names it.
            other = tmp_path / "base" / "other.yaml"
            _put(other, "version: 1\nname: other\nrules:\n  - {id: x")
            _put(policy, policy.read_text().replace("base/base.yaml", "base/other.yaml"))
            while not _counted(server, "policy", "failed"):
                assert (await client.screen("a bomb")).allowed
            _put(other, POLICY.replace("name: default", "name: other"))
            await becomes("a bomb", "block")
        await server.stop()

    asyncio.run(scenario())


def test_a_policy_of_another_model_warns(model: Path, policies: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Thresholds that were set on another model are warned of when the model changes, and when the policy does."""
    (policies / "strict.yaml").write_text(
        (policies / "strict.yaml").read_text().replace("name: strict\n", "name: strict\ncalibrated_for: tiny\n")
    )

    async def scenario() -> None:
        server = _server(policies, model)
        await server.start()
        _renamed(model, "other")
        assert "its thresholds were set on" not in caplog.text
        await server.reload()
        assert "its thresholds were set on tiny, the scores are of other@" in caplog.text
        caplog.clear()
        await server.reload()
        assert caplog.text.count("its thresholds were set on tiny, the scores are of other@") == 1
        await server.stop()

    asyncio.run(scenario())
