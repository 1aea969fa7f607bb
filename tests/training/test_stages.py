from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from guard.classifier.artifact import FILES, Platt, TokenLimits, read_artifact, write_artifact
from guard.classifier.chunker import Chunker
from guard.classifier.wordpiece import WordPiece
from guard.types import CATEGORIES, NONCOMPLIANT, Direction, Role, Turn
from training import export, thresholds, train, vocab
from training.calibrate import Sample, fit_column
from training.corpora import COMPLIANT, Row
from training.mixture import SHARES, build, composed_answers, own_rows
from training.network import GuardNetwork, load_encoder, load_network, save_network
from training.run import Run, length_batches, minutes_of, seed_everything
from training.tiny_backbone import write_tiny_backbone


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with the bilingual vocabulary."""
    directory = tmp_path_factory.mktemp("backbone")
    write_tiny_backbone(directory / "base")
    vocab.main(
        ["--backbone", str(directory / "base"), "--unihan", str(directory / "none"), "--output", str(directory / "v")]
    )
    return directory / "v"


def _rows(count: int = 60, source: str = "posts") -> list[Row]:
    """Rows whose label a few letters decide."""
    return [
        Row(
            id=f"{source}-{i}",
            source=source,
            lang="en",
            side=("prompt", "response", "content")[i % 3],
            text=("zzz qqq " if i % 2 else "hello there ") + str(i),
            label=NONCOMPLIANT if i % 2 else COMPLIANT,
            categories=("hate",) if i % 2 else (),
            licence_class="permissive",
        )
        for i in range(count)
    ]


def test_new_characters_are_those_that_the_tokenizer_can_reach() -> None:
    """Frequent characters and all of GB 2312 are added; spaces, capitals and precomposed letters are not."""
    found = vocab.new_characters({"a"}, vocab.count_characters(["aÉé 😀😀😀 們们" * 5]), 5)
    assert "😀" in found and "们" in found and "龙" in found
    assert not {"a", "É", "é", " "} & set(found)


def test_gloss_is_a_definition_or_a_telling_name() -> None:
    """A character starts from its dictionary gloss, else from its Unicode name, else from nothing."""
    assert vocab.gloss_of("好", {"好": "good"}) == "good"
    assert vocab.gloss_of("😀", {}) == "grinning face"
    assert vocab.gloss_of("好", {}) == ""


def test_glosses_are_read_from_unihan(tmp_path: Path) -> None:
    """Only kDefinition lines count."""
    file = tmp_path / "Unihan_Readings.txt"
    file.write_text("# comment\nU+597D\tkDefinition\tgood, excellent\nU+597D\tkMandarin\thǎo\n", encoding="utf-8")
    assert vocab.read_glosses(file) == {"好": "good, excellent"}


def test_length_batches_hold_every_item_once() -> None:
    """Batching by length neither drops nor repeats an item, and is determined by its seed."""
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 90, 1003)]
    batches = length_batches(lengths, 16, seed=3)
    assert sorted(i for batch in batches for i in batch) == list(range(1003))
    assert max(map(len, batches)) == 16
    assert batches == length_batches(lengths, 16, seed=3) != length_batches(lengths, 16, seed=4)


def test_mixture_keeps_held_out_requests_out_of_training() -> None:
    """No text of the held-out part is trained on, a left-out source is held out whole, and caps hold."""
    rows = [*_rows(900), *_rows(50, "unseen"), *(r for r in _rows(40, "vague") if r.label == COMPLIANT)]
    mixture = build(rows, None, seed=0, leave_out=["unseen"])
    trained = {row.id for row in mixture.train}
    held = {row.id for row in mixture.heldout}
    assert not trained & held
    assert {r.id for r in rows if r.source == "unseen"} <= held
    assert 10 < len(held & {r.id for r in rows if r.source == "posts"}) < 120
    assert mixture.rows_by_source["contrast"] == len({row.id for row in own_rows()})


def test_a_continued_training_keeps_its_held_out_rows() -> None:
    """Rows that an earlier training held out are held out again, and no others."""
    rows = _rows(300)
    keep_out = {"posts-3", "posts-8"}
    mixture = build(rows, None, seed=1, keep_out=keep_out)
    assert {row.id for row in mixture.heldout} == keep_out
    assert {row.id for row in rows} - keep_out <= {row.id for row in mixture.train}


def test_mixture_repeats_and_caps_by_source() -> None:
    """A source's share says how many rows of a kind enter and how often."""
    share = SHARES["jade"]
    mixture = build(_rows(300, "jade"), None, seed=0)
    counts = [sum(r.id == row.id for r in mixture.train) for row in mixture.train if row.source == "jade"][:5]
    assert set(counts) == {share.repeat}


def test_composed_answers_are_labelled_by_what_they_do_with_the_request() -> None:
    """A refusal is compliant under a harmful request; agreeing is noncompliant there and compliant elsewhere."""
    made = composed_answers(_rows(300), own_rows(), np.random.default_rng(0))
    asked = {row.text: row.label for row in _rows(300) if row.side == "prompt"}
    agreed = [row for row in made if row.context[0].text in asked]
    assert {row.label for row in agreed} == {COMPLIANT, NONCOMPLIANT}
    texts = {label: {r.text for r in agreed if r.label == label} for label in (COMPLIANT, NONCOMPLIANT)}
    for row in agreed:
        if row.text in texts[COMPLIANT] & texts[NONCOMPLIANT]:
            assert row.label == asked[row.context[0].text]
    assert all(row.categories for row in made if row.label == NONCOMPLIANT)
    assert not any(row.categories for row in made if row.label == COMPLIANT)


def test_only_the_text_is_pooled(backbone: Path) -> None:
    """Padding does not move a score, and a text's logits depend on its context only through attention."""
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES)).eval()
    ids = torch.tensor([[2, 9, 10, 3]])
    ones, zeros = torch.ones_like(ids), torch.zeros_like(ids)
    alone = network(ids, ones, zeros)
    padded = network(
        torch.nn.functional.pad(ids, (0, 3)),
        torch.nn.functional.pad(ones, (0, 3)),
        torch.nn.functional.pad(zeros, (0, 3)),
    )
    assert torch.allclose(alone, padded, atol=1e-5)


def test_long_texts_train_on_one_of_their_chunks(backbone: Path) -> None:
    """A text over the limit has several sequences, none over the limit, and posts stand for both directions."""
    chunker = Chunker(WordPiece.from_file(backbone / "tokenizer.json"), TokenLimits(chunk=8, overlap=2, context=4))
    row = Row(id="1", source="s", lang="en", side="content", text="a b c d " * 8, label=COMPLIANT)
    examples = train.encode([row] * 20, chunker, seed=0)
    assert all(len(e.chunks) == 5 and max(c.text_tokens for c in e.chunks) == 8 for e in examples)
    assert len({e.chunks[0].input_ids[1] for e in examples}) == 2


def test_a_label_about_hate_alone_teaches_the_rest_only_weakly() -> None:
    """A row compliant in one respect gives the overall column a weak zero and the other categories nothing."""
    chunkerless = Row(id="1", source="s", lang="en", side="prompt", text="x", label=COMPLIANT, about=("hate",))
    _, weights = train._targets(chunkerless)
    by_name = dict(zip(CATEGORIES, weights, strict=True))
    assert 0 < by_name[NONCOMPLIANT] < 1 and by_name["hate"] > 0
    assert not any(w for name, w in by_name.items() if name not in {NONCOMPLIANT, "hate"})


def _fit(directory: Path, backbone: Path, steps: int) -> GuardNetwork:
    seed_everything(0)
    args = argparse.Namespace(output=directory, lr=1e-3, batch=8, seed=0, epochs=2, steps=steps)
    chunker = Chunker(WordPiece.from_file(backbone / "tokenizer.json"), TokenLimits(chunk=16, overlap=4, context=8))
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES), dropout=0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    train.fit(network, train.encode(_rows(), chunker, 0), args, Run.start(directory, {}))
    return network


def test_a_killed_run_resumes_to_the_same_result(
    tmp_path: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping after a checkpoint and starting again gives the weights of an uninterrupted run."""
    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", 0.0)
    straight = _fit(tmp_path / "straight", backbone, 12)
    real = train.rate

    def killed(step: int, total: int) -> float:
        if step == 7:
            raise KeyboardInterrupt
        return real(step, total)

    monkeypatch.setattr(train, "rate", killed)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "resumed", backbone, 12)
    monkeypatch.setattr(train, "rate", real)
    resumed = _fit(tmp_path / "resumed", backbone, 12)
    for name, value in straight.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-5), name


def test_a_saved_network_comes_back(tmp_path: Path, backbone: Path) -> None:
    """Encoder and head survive the disk."""
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES)).eval()
    save_network(network, tmp_path)
    again = load_network(tmp_path, len(CATEGORIES)).eval()
    ids = torch.tensor([[2, 9, 10, 3]])
    same = [net(ids, torch.ones_like(ids), torch.zeros_like(ids)) for net in (network, again)]
    assert torch.equal(*same)


def test_a_failed_parity_check_overwrites_nothing(
    tmp_path: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that disagrees with PyTorch leaves the old artifact as it was."""
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES))
    save_network(network, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_bytes((backbone / "tokenizer.json").read_bytes())
    (tmp_path / "model" / "mixture.json").write_text('{"rows_by_source": {}, "positives": {}}')
    command = [
        "--model",
        str(tmp_path / "model"),
        "--name",
        "m",
        "--parity-texts",
        "4",
        "--output",
        str(tmp_path / "a"),
    ]
    export.main(command)
    before = {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    assert read_artifact(tmp_path / "a").name == "m"
    monkeypatch.setattr(export, "_INT8_TOLERANCE", -1.0)
    with pytest.raises(SystemExit, match="parity"):
        export.main(command)
    assert {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()} == before


def test_the_time_of_a_resumed_stage_is_the_sum_of_its_starts() -> None:
    """A log whose clock starts again counts every start up to its last line."""
    log = "[   0.1 min] a\n[  29.7 min] b\n[   0.2 min] c\n[   4.3 min] d\n"
    assert minutes_of(log) == pytest.approx(34.0)
    assert minutes_of("") == 0


def _sample(logits: list[float], values: list[float], chunks: list[float]) -> Sample:
    width = len(CATEGORIES)
    return Sample(
        logits=np.repeat(np.array(logits)[:, None], width, axis=1),
        chunks=np.array(chunks),
        values=np.repeat(np.array(values)[:, None], width, axis=1),
        mask=np.ones((len(logits), width), dtype=bool),
    )


def test_calibration_recovers_the_line_that_made_the_labels() -> None:
    """Platt's fit finds slope, offset and the effect of the chunk count; a reversed score is not calibrated."""
    rng = np.random.default_rng(0)
    logits, chunks = rng.normal(0, 3, 40000), rng.integers(0, 4, 40000).astype(float)
    probability = 1 / (1 + np.exp(-(0.5 * logits - 1 - 0.3 * chunks)))
    values = (rng.random(40000) < probability).astype(float)
    found = fit_column([_sample(list(logits), list(values), list(chunks))], 0)
    assert found is not None
    assert abs(found.a - 0.5) < 0.03 and abs(found.b + 1) < 0.1 and abs(found.c + 0.3) < 0.05
    assert fit_column([_sample(list(-logits), list(values), list(chunks))], 0) is None


def test_too_few_positives_are_not_calibrated() -> None:
    """A column with a handful of positives has no fit of its own."""
    assert fit_column([_sample([0.0] * 100, [1.0] * 5 + [0.0] * 95, [0.0] * 100)], 0) is None


def test_threshold_leaves_at_most_the_share_above_it() -> None:
    """Sources weigh alike: the share counts weights, and the threshold is the lowest on the grid that holds."""
    column = CATEGORIES.index(NONCOMPLIANT)
    scores = [[0.0] * len(CATEGORIES) for _ in range(100)]
    for i, row in enumerate(scores):
        row[column] = 0.5 + i / 250
    found = thresholds.Weighted(scores, [0.01] * 100)
    value = thresholds.threshold(found, column, 0.05)
    above = sum(row[column] >= value for row in scores)
    assert above <= 5 and sum(row[column] >= value - 0.01 for row in scores) > 5


def test_only_the_threshold_changes_in_the_policy() -> None:
    """Comments, order and layout survive; an unknown rule is named."""
    text = "rules:\n  # why\n  - {id: a, category: hate, threshold: 0.80, action: block}\n  - {id: b, threshold: 0.5}\n"
    assert thresholds.replace_threshold(text, "a", 0.9) == text.replace("0.80", "0.90")
    with pytest.raises(SystemExit, match="rule c"):
        thresholds.replace_threshold(text, "c", 0.9)


_HEAD = "\ufeffversion: 1\r\nname: shop # ours\r\n"
_RULES = "rules:\r\n  # why\r\n  - {id: a, category: hate, threshold: 0.80, action: block}\r\n"


def test_the_model_of_the_thresholds_is_written_below_the_name() -> None:
    """One line is new, with the line end of its neighbour; nothing else moves."""
    found = thresholds.replace_calibrated_for(_HEAD + _RULES, "m@0123456789ab")
    assert found == _HEAD + "calibrated_for: m@0123456789ab\r\n" + _RULES


def test_the_model_of_the_thresholds_is_replaced_where_it_stands() -> None:
    """Place, spacing and comment of an existing line survive."""
    text = "version: 1\n" + "calibrated_for:  'old@000000000000'  # set by hand\nname: shop\n" + _RULES
    found = thresholds.replace_calibrated_for(text, "m@0123456789ab")
    assert found == text.replace("'old@000000000000'", "m@0123456789ab")


@pytest.mark.parametrize("head", ["{version: 1, name: shop, ", "version: 1\nname:\n  shop\n"])
def test_a_model_without_a_place_in_the_policy_is_refused(head: str) -> None:
    """Where the name has no line of its own nothing is guessed, and nothing is written."""
    rules = "rules: [{id: a, category: hate, threshold: 0.8, action: block}]" + "}" * head.startswith("{")
    with pytest.raises(SystemExit, match="calibrated_for"):
        thresholds.replace_calibrated_for(head + rules, "m@0123456789ab")


def test_calibration_enters_the_revision(tmp_path: Path, tiny_model_dir: Path) -> None:
    """Another calibration is another model to whoever reads a decision."""
    for name in FILES.hashed:
        (tmp_path / name).write_bytes((tiny_model_dir / name).read_bytes())
    plain = write_artifact(tmp_path, name="m")
    fitted = write_artifact(tmp_path, name="m", calibration={Direction.PROMPT: {"hate": Platt(0.5, -1.0, 0.0)}})
    assert plain.revision != fitted.revision


def test_context_turns_reach_the_training_sequence(backbone: Path) -> None:
    """What came before stands behind the text with its own token type."""
    chunker = Chunker(WordPiece.from_file(backbone / "tokenizer.json"), TokenLimits(chunk=16, overlap=4, context=8))
    context = (Turn(Role.USER, "hi"),)
    row = Row(id="1", source="s", lang="en", side="response", text="yes", context=context, label=COMPLIANT)
    (chunk,) = train.encode([row], chunker, 0)[0].chunks
    assert 1 in chunk.token_type_ids
