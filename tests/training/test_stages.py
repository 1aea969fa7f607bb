from __future__ import annotations

import argparse
import bz2
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from guard.classifier.artifact import FILES, Platt, TokenLimits, read_artifact, write_artifact
from guard.classifier.chunker import FIRST_TOKEN, Chunk, Chunker
from guard.classifier.classifier import Classifier, Query
from guard.classifier.wordpiece import WordPiece
from guard.normalize import normalize
from guard.types import CATEGORIES, NONCOMPLIANT, Direction, Role, Turn
from training import calibrate, export, thresholds, train, vocab
from training.calibrate import Sample, fit_column, score
from training.corpora import COMPLIANT, Row, write_parquet
from training.mixture import HELD_OUT_SOURCES, SHARES, build, own_rows
from training.network import GuardNetwork, load_encoder, load_network, save_network
from training.run import CHECKPOINT, Run, length_batches, minutes_of, rate, seed_everything


@pytest.fixture(scope="module")
def base(tiny_encoder: Path) -> PreTrainedTokenizerBase:
    """Its tokenizer."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_encoder)
    return tokenizer


@pytest.fixture(scope="module")
def backbone(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with the bilingual vocabulary."""
    output = tmp_path_factory.mktemp("backbone")
    none = str(output / "none")
    vocab.main(["--backbone", str(tiny_encoder), "--unihan", none, "--output", str(output)])
    return output


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
    found = vocab.new_characters({"a"}, Counter(normalize("aÉé 😀😀😀 們们" * 5).text), 5)
    assert "😀" in found and "们" in found and "龙" in found
    assert not {"a", "É", "é", " "} & set(found)


def test_texts_are_counted_by_their_language(base: PreTrainedTokenizerBase) -> None:
    """Chinese texts give words of two to four characters, other texts the encoder's pieces, all of them characters."""
    counts = vocab.count(["我们在公园里散步，公园很大。", "How do you make the tea?", "請在公園等我"], base)
    assert counts.words["公园"] == 3  # the traditional spelling is the same word
    assert all(2 <= len(word) <= 4 for word in counts.words)
    assert counts.pieces["how"] == counts.pieces["you"] == 1
    assert not any("\u4e00" <= char <= "\u9fff" for piece in counts.pieces for char in piece)
    assert counts.characters["园"] == 3 and counts.characters["H"] == 1


def test_pieces_that_do_not_occur_are_dropped() -> None:
    """Frequent pieces, single characters and special tokens are kept in their order; rare and unused ones go."""
    pieces = ["[PAD]", "[unused1]", "[UNK]", "[MASK]", "a", "##b", "often", "##ly", "rarely"]
    kept = vocab.kept_pieces({p: i for i, p in enumerate(pieces)}, Counter({"often": 4, "##ly": 4, "rarely": 3}), 4)
    assert kept == ["[PAD]", "[UNK]", "[MASK]", "a", "##b", "often", "##ly"]


def test_chinese_words_start_from_their_characters(tiny_encoder: Path, tmp_path: Path) -> None:
    """The most frequent words enter the vocabulary, each with the mean of its characters' vectors, and are matched."""
    rows = [
        {"text": text, "licence_class": c} for text, c in (("公园很大" * 9, "permissive"), ("密码" * 99, "restricted"))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    none = str(tmp_path / "none")
    options = ["--text", str(tmp_path / "t.parquet"), "--unihan", none, "--words", "1", "--output", str(tmp_path / "v")]
    vocab.main(["--backbone", str(tiny_encoder), *options])
    tokenizer = WordPiece.from_file(tmp_path / "v" / "tokenizer.json")
    ids = {text: tokenizer.token_to_id(text) for text in ("公园", "公", "园", "密码")}
    assert ids["密码"] is None
    assert tokenizer.encode("公园").ids == [ids["公园"]]
    table = load_encoder(str(tmp_path / "v")).get_input_embeddings().weight.detach()  # type: ignore[operator]
    assert torch.allclose(table[ids["公园"]], (table[ids["公"]] + table[ids["园"]]) / 2, atol=1e-6)


def test_gloss_is_a_definition_or_a_telling_name() -> None:
    """A character starts from its dictionary gloss, else from its Unicode name, else from nothing."""
    assert vocab.gloss_of("好", {"好": "good"}) == "good"
    assert vocab.gloss_of("😀", {}) == "grinning face"
    assert vocab.gloss_of("好", {}) == ""


def test_glosses_are_read_from_unihan(tmp_path: Path) -> None:
    """Only kDefinition lines are glosses, packed or not, and a missing file has none."""
    file = tmp_path / "Unihan_Readings.txt"
    file.write_text("# comment\nU+597D\tkDefinition\tgood, excellent\nU+597D\tkMandarin\thǎo\n", encoding="utf-8")
    (tmp_path / "packed.bz2").write_bytes(bz2.compress(file.read_bytes()))
    assert vocab.read_glosses(file) == vocab.read_glosses(tmp_path / "packed.bz2") == {"好": "good, excellent"}
    assert vocab.read_glosses(tmp_path / "missing") == {}


def test_length_batches_hold_every_item_once() -> None:
    """Batching by length neither drops nor repeats an item, and is determined by its seed."""
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 90, 1003)]
    batches = length_batches(lengths, 16, seed=3)
    assert sorted(i for batch in batches for i in batch) == list(range(1003))
    assert max(map(len, batches)) == 16
    assert batches == length_batches(lengths, 16, seed=3) != length_batches(lengths, 16, seed=4)


@given(
    lengths=st.lists(st.integers(1, 60), max_size=80),
    batch=st.integers(1, 9),
    max_tokens=st.integers(1, 200),
    pool=st.integers(1, 4),
)
def test_batches_stay_within_their_tokens(lengths: list[int], batch: int, max_tokens: int, pool: int) -> None:
    """A batch's padded tokens stay within the bound unless one item alone is over it; every item is in one batch."""
    batches = length_batches(lengths, batch, seed=1, pool=pool, max_tokens=max_tokens)
    assert sorted(i for items in batches for i in items) == list(range(len(lengths)))
    for items in batches:
        assert 1 <= len(items) <= batch
        assert len(items) == 1 or len(items) * max(lengths[i] for i in items) <= max_tokens


def test_the_rate_rises_and_falls() -> None:
    """The learning rate warms up to its full value and falls to a fiftieth, never to zero or below."""
    rates = [rate(step, 100) for step in range(120)]
    assert max(rates) <= 1 and min(rates) == pytest.approx(0.02)
    assert rates.index(max(rates)) in range(4, 8)
    assert all(rate(step, 1) > 0 for step in range(3))


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


def test_held_out_sources_stay_out_of_training(backbone: Path, tmp_path: Path) -> None:
    """No row of the sources that thresholds are set on is trained on, and restricted ones only if asked for."""
    rows = [
        *_rows(40),
        *_rows(40, HELD_OUT_SOURCES[0]),
        *(replace(r, licence_class="restricted") for r in _rows(40, "r")),
    ]
    write_parquet(tmp_path / "d" / "rows.parquet", rows)
    command = ["--backbone", str(backbone), "--data", str(tmp_path / "d"), "--rows", "200", "--steps", "1"]
    train.main([*command, "--output", str(tmp_path / "t")])
    mixture = json.loads((tmp_path / "t" / "mixture.json").read_text())
    assert sum(mixture["rows_by_source"].values()) <= 200
    assert {f"{HELD_OUT_SOURCES[0]}-{n}" for n in range(40)} <= set(mixture["heldout"])
    assert not any(name.startswith("r-") for name in mixture["heldout"])
    train.main([*command, "--restricted", "--output", str(tmp_path / "r")])
    assert any(n.startswith("r-") for n in json.loads((tmp_path / "r" / "mixture.json").read_text())["heldout"])


def test_a_continued_training_keeps_its_held_out_rows() -> None:
    """Rows that an earlier training held out are held out again, and no others."""
    rows = _rows(300)
    keep_out = {"posts-3", "posts-8"}
    mixture = build(rows, None, seed=1, keep_out=keep_out)
    assert {row.id for row in mixture.heldout} == keep_out
    assert {row.id for row in rows} - keep_out <= {row.id for row in mixture.train}


def test_a_continued_training_splits_the_sources_that_are_new_to_it() -> None:
    """Of the earlier training's sources only what it held out is held out, of others a share as in a first training."""
    rows = [*_rows(400, "posts"), *_rows(400, "mine")]
    first = build(rows, None, seed=0)
    again = build(rows, None, seed=1, keep_out=["posts-1"], learnt=["posts", "contrast"])
    held = {source: {row.id for row in again.heldout if row.source == source} for source in ("posts", "mine")}
    assert held == {"posts": {"posts-1"}, "mine": {row.id for row in first.heldout if row.source == "mine"}}
    assert held["mine"]


def test_mixture_repeats_and_caps_by_source() -> None:
    """A source's share says how many rows of a kind enter and how often."""
    share = SHARES["jade"]
    mixture = build(_rows(300, "jade"), None, seed=0)
    assert set(Counter(row.id for row in mixture.train if row.source == "jade").values()) == {share.repeat}


def test_own_texts_count_as_often_as_one_says(tmp_path: Path) -> None:
    """A few texts of one's own among hundreds of thousands are repeated; a source that is not there is named."""
    mixture = build([*_rows(40, "mine"), *_rows(300, "jade")], None, seed=0, repeat={"mine": 7})
    counts = Counter((row.source, row.id) for row in mixture.train if row.source in {"mine", "jade"})
    assert {(source, times) for (source, _), times in counts.items()} == {("mine", 7), ("jade", SHARES["jade"].repeat)}
    write_parquet(tmp_path / "posts.parquet", _rows(12))
    command = ["--backbone", "none", "--data", str(tmp_path), "--output", str(tmp_path / "out"), "--repeat"]
    with pytest.raises(SystemExit, match=r"--repeat: no row of the source mine is read \(give one of posts;"):
        train.main([*command, "mine=3"])
    for value in ("mine", "mine=0", "=3", "mine=2.5"):
        with pytest.raises(SystemExit):
            train.main([*command, value])


def test_contrast_texts_that_are_left_out_are_not_composed() -> None:
    """With the contrast set held out no text of it is trained on, not even as a part of a composed one."""
    mixture = build(_rows(60), None, seed=0, leave_out=["contrast"])
    assert {row.source for row in mixture.heldout} >= {"contrast"}
    assert not any("contrast" in row.id for row in mixture.train)


def test_a_proxy_is_a_random_part_of_the_mixture() -> None:
    """A size draws so many rows of the mixture, the same for the same seed, and holds out what the whole holds out."""
    rows = _rows(300)
    whole, part = build(rows, None, seed=3), build(rows, None, seed=3, size=500)
    assert len(part.train) == 500 < len(whole.train)
    assert {row.id for row in part.train} <= {row.id for row in whole.train}
    assert part.heldout == whole.heldout
    assert part == build(rows, None, seed=3, size=500)
    assert len({row.source for row in part.train}) > 2


def test_a_mixture_teaches_no_id_two_things() -> None:
    """Rows of one source and id are one row: composed and disguised ones have ids of their own."""
    seen: dict[tuple[str, str], Row] = {}
    for row in build(_rows(300), None, seed=0).train:
        assert seen.setdefault((row.source, row.id), row) == row


def test_an_encoder_is_loaded_as_it_is_exported(backbone: Path) -> None:
    """The encoder has no dropout, so that a step costs less and two runs agree, and attention that exports cleanly."""
    encoder = load_encoder(str(backbone))
    assert [m.p for m in encoder.modules() if isinstance(m, torch.nn.Dropout) and m.p] == []
    assert encoder.config._attn_implementation == "eager"  # type: ignore[union-attr]  # nn.Module hides the HF class


def test_only_the_text_is_pooled(backbone: Path) -> None:
    """Padding does not move a score, and a text's logits depend on its context only through attention."""
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES)).eval()
    ids = torch.tensor([[2, 9, 10, 3]])
    ones, zeros = torch.ones_like(ids), torch.zeros_like(ids)
    alone, tokens = network(ids, ones, zeros)
    padded, padded_tokens = network(
        torch.nn.functional.pad(ids, (0, 3)),
        torch.nn.functional.pad(ones, (0, 3)),
        torch.nn.functional.pad(zeros, (0, 3)),
    )
    assert torch.allclose(alone, padded, atol=1e-5)
    assert torch.allclose(tokens, padded_tokens[:, :4], atol=1e-5)


def test_a_texts_logit_is_a_mean_of_its_tokens(backbone: Path) -> None:
    """Before any training the logits of a text are the plain mean of its own tokens' logits, the context left out."""
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES)).eval()
    ids = torch.tensor([[2, 9, 10, 3, 11, 3]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1]])
    logits, tokens = network(ids, torch.ones_like(ids), types)
    assert tokens.shape == (1, 6, len(CATEGORIES))
    assert torch.allclose(logits, tokens[:, :4].mean(dim=1), atol=1e-5)


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


def _planted(text: str, plant: str, **changes: object) -> Row:
    start = text.index(plant)
    row = Row(id="1", source="s", lang="en", side="content", text=text, label=NONCOMPLIANT, categories=("hate",))
    return replace(row, planted=((start, start + len(plant)),), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "plant", "normalized"),
    [
        ("Tea is ready. I hate them. Come in.", "I hate them.", "I hate them."),
        ("\u200bＴｅａ　ｉｓ ready。 ｋｉ\u200bｌｌ him. Come in.", "ｋｉ\u200bｌｌ him.", "kill him."),
        ("ﬁne ﬂowers, ½ cup. ﬁght now", "ﬁght now", "fight now"),
        ("茶準備好了。我要殺了他們。請進。", "我要殺了他們。", "我要杀了他们。"),
        ("kill him. Tea is ready.", "kill him.", "kill him."),
    ],
)
def test_a_plant_is_found_in_the_normalised_text(text: str, plant: str, normalized: str) -> None:
    """The place of a planted harm follows what normalisation makes of the text before it and of itself."""
    clean = normalize(text).text
    place = train.planted_in(_planted(text, plant), clean)
    assert place is not None
    assert clean[slice(*place)] == normalized


def test_a_place_that_normalisation_blurs_is_not_known() -> None:
    """Where the plant's first character composes with the one before it, nothing is said about the tokens."""
    row = _planted("cafe\u0301 bad", "\u0301 bad")
    assert train.planted_in(row, normalize(row.text).text) is None


def test_where_the_harm_stands_is_known_of_plants_and_of_clean_texts() -> None:
    """A text without harm has an empty place; a harmful text without a plant, or a narrow label, has none."""
    row = _planted("I hate them.", "I hate them.")
    assert train.planted_in(replace(row, planted=()), row.text) is None
    clean = replace(row, label=COMPLIANT, categories=(), planted=())
    assert train.planted_in(clean, row.text) == (0, 0)
    assert train.planted_in(replace(clean, about=("hate",)), row.text) is None


def _example(words: int, planted: tuple[int, int] | None) -> train.Example:
    offsets = tuple((4 * n, 4 * n + 3) for n in range(words))
    ids = (2, 5, *range(10, 10 + words), 3)
    chunk = Chunk(ids, (0,) * len(ids), words, 0, 4 * words, offsets)
    return train.Example((chunk,), (1.0,), (1.0,), planted)


def test_token_losses_weigh_the_same_whatever_the_length() -> None:
    """The token weights of a planted text sum to a constant, those of a clean text to a smaller one."""
    batch = [_example(3, (4, 7)), _example(9, (4, 15)), _example(5, (0, 0)), _example(4, None), _example(0, (0, 0))]
    chunks = [example.chunks[0] for example in batch]
    inside, known = train.token_targets(batch, chunks, 14)
    assert known.sum(dim=1).tolist() == pytest.approx([1, 1, 0.1, 0, 0])
    assert [row.nonzero().flatten().tolist() for row in inside] == [[3], [3, 4, 5], [], [], []]
    for row, chunk in zip(known, chunks, strict=True):
        own = row[FIRST_TOKEN : FIRST_TOKEN + chunk.text_tokens]
        assert torch.all(own == own[:1]) and float(own.sum()) == pytest.approx(float(row.sum()))


def test_hidden_tokens_are_some_of_the_text_and_nothing_else(backbone: Path) -> None:
    """About the asked share of the text's own tokens is hidden, anew each time; context and special tokens stay."""
    chunker = Chunker(WordPiece.from_file(backbone / "tokenizer.json"), TokenLimits(chunk=400, overlap=2, context=40))
    (chunk,) = chunker.chunks("a b c d e " * 60, Direction.OUTPUT, (Turn(Role.USER, "x y z"),))
    mask_id, rng = 4, np.random.default_rng(0)
    first, second = (np.array(train.Hide(0.2, mask_id).some_of(chunk, rng)) for _ in range(2))
    own = np.zeros(len(first), dtype=bool)
    own[FIRST_TOKEN : FIRST_TOKEN + chunk.text_tokens] = True
    hidden = (first == mask_id) & own
    assert 0.12 * own.sum() < hidden.sum() < 0.28 * own.sum()
    assert (first[~hidden] == np.array(chunk.input_ids)[~hidden]).all()
    assert (first != second).any()
    assert train.Hide(0.0, mask_id).some_of(chunk, rng) == chunk.input_ids


def test_a_token_that_is_partly_outside_is_outside() -> None:
    """A token counts as harm only if all of it is part of the plant."""
    example = _example(4, (5, 11))
    inside, _ = train.token_targets([example], list(example.chunks), 8)
    assert inside[0].nonzero().flatten().tolist() == [4]


def test_the_pointing_loss_asks_for_the_highest_token_inside_the_plant() -> None:
    """It is small where a token of the plant stands out, however low the others are; texts without a plant are free."""
    inside = torch.tensor([[0.0, 0, 1, 1, 0], [0.0, 0, 0, 0, 0]])
    known = torch.tensor([[0.0, 0.2, 0.2, 0.2, 0.2], [0.0, 0.1, 0.1, 0.1, 0.1]])
    right = torch.tensor([[9.0, 0, 6, -4, 0], [9.0, 1, 2, 3, 4]])
    wrong = torch.tensor([[9.0, 6, 0, -4, 0], [9.0, 1, 2, 3, 4]])
    assert train.pointing_loss(right, inside, known).item() < 0.01
    assert train.pointing_loss(wrong, inside, known).item() > 5
    assert train.pointing_loss(wrong, torch.zeros_like(inside), known).item() == 0


def test_a_long_text_trains_on_the_chunk_with_the_plant(backbone: Path) -> None:
    """Of a long text with a planted harm the chunk that holds the plant is read, so that there is harm to see."""
    chunker = Chunker(WordPiece.from_file(backbone / "tokenizer.json"), TokenLimits(chunk=12, overlap=2, context=4))
    row = _planted("a b c d " * 4 + "x y z " + "a b c d " * 4, "x y z", side="prompt")
    (example,) = train.encode([row], chunker, seed=0)
    assert example.planted is not None and len(example.chunks) > 3
    chosen = {train._pick(example, np.random.default_rng(n)) for n in range(5)}
    chunk = example.chunks[chosen.pop()]
    assert not chosen and chunk.start <= example.planted[0] < example.planted[1] <= chunk.end


def test_token_scores_learn_where_the_harm_stands(tmp_path: Path, backbone: Path) -> None:
    """Trained on planted texts, the network's token scores are higher in the plant than around it."""
    seed_everything(0)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(120):
        words = ["h", "t", "m", "r", "w", "k"]
        rng.shuffle(words)
        clean = Row(id=f"c{number}", source="s", lang="en", side="prompt", text=" ".join(words), label=COMPLIANT)
        words.insert(int(rng.integers(7)), "z q")
        rows += [clean, _planted(" ".join(words), "z q", id=f"p{number}", side="prompt")]
    chunker = Chunker(WordPiece.from_file(backbone / "tokenizer.json"), TokenLimits(chunk=16, overlap=4, context=8))
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES), dropout=0.0)
    args = argparse.Namespace(output=tmp_path, lr=3e-3, batch=16, batch_tokens=4096, seed=0, epochs=8, steps=0)
    train.fit(network, train.encode(rows, chunker, 0), args, Run.start(tmp_path, {}))
    (chunk,) = chunker.chunks("m k z q t r", Direction.PROMPT)
    ids = torch.tensor([chunk.input_ids])
    with torch.no_grad():
        _, tokens = network.eval()(ids, torch.ones_like(ids), torch.zeros_like(ids))
    column = tokens[0, FIRST_TOKEN : FIRST_TOKEN + 6, CATEGORIES.index(NONCOMPLIANT)].sigmoid()
    assert column[2:4].min() > 0.5 > column[[0, 1, 4, 5]].max()


def _fit(directory: Path, backbone: Path, steps: int) -> GuardNetwork:
    seed_everything(0)
    args = argparse.Namespace(output=directory, lr=1e-3, batch=8, batch_tokens=200, seed=0, epochs=2, steps=steps)
    chunker = Chunker(WordPiece.from_file(backbone / "tokenizer.json"), TokenLimits(chunk=16, overlap=4, context=8))
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES), dropout=0.0)
    train.fit(network, train.encode(_rows(), chunker, 0), args, Run.start(directory, {}))
    return network


def test_a_killed_run_resumes_to_the_same_result(
    tmp_path: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping after a checkpoint and starting again gives the weights of an uninterrupted run."""
    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", 0.0)
    straight = _fit(tmp_path / "straight", backbone, 12)

    def killed(step: int, total: int) -> float:
        if step == 7:
            raise KeyboardInterrupt
        return rate(step, total)

    monkeypatch.setattr(train, "rate", killed)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "resumed", backbone, 12)
    monkeypatch.setattr(train, "rate", rate)
    resumed = _fit(tmp_path / "resumed", backbone, 12)
    for name, value in straight.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-5), name


def test_a_saved_network_comes_back(tmp_path: Path, backbone: Path) -> None:
    """Encoder and head survive the disk."""
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES)).eval()
    save_network(network, tmp_path)
    again = load_network(tmp_path, len(CATEGORIES)).eval()
    ids = torch.tensor([[2, 9, 10, 3]])
    ones, zeros = torch.ones_like(ids), torch.zeros_like(ids)
    for one, other in zip(network(ids, ones, zeros), again(ids, ones, zeros), strict=True):
        assert torch.equal(one, other)


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
    assert read_artifact(tmp_path / "a").outputs == ("scores", "token_scores")
    session = ort.InferenceSession(str(tmp_path / "a" / FILES.model))
    widths = {output.name: (len(output.shape), output.shape[-1]) for output in session.get_outputs()}
    assert widths == {"scores": (2, len(CATEGORIES)), "token_scores": (3, len(CATEGORIES))}
    scored = Classifier.load(tmp_path / "a").score(Query("how to make the tea", Direction.PROMPT))
    assert scored.token_scores.scores.shape == (scored.tokens, len(CATEGORIES))
    monkeypatch.setattr(export, "_INT8_TOLERANCE", -1.0)
    with pytest.raises(SystemExit, match="parity"):
        export.main(command)
    assert {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()} == before


def test_a_stopped_stage_goes_on_with_what_it_began_with(tmp_path: Path) -> None:
    """Other options or other data beside its checkpoint are refused by name; a complete stage begins anew."""
    data = tmp_path / "data"
    write_parquet(data / "posts.parquet", _rows(3))
    out = tmp_path / "out"
    Run.start(out, {"lr": 1e-4, "steps": 5, "output": out}, [data]).log("begun")
    (out / CHECKPOINT).write_bytes(b"")
    Run.start(out, {"lr": 1e-4, "steps": 5, "output": f"{out}/."}, [data])
    with pytest.raises(SystemExit, match=r"began with other options: lr, rows \(give them as they were"):
        Run.start(out, {"lr": 1e-3, "steps": 5, "rows": 2, "output": out}, [data])
    write_parquet(data / "posts.parquet", _rows(4))
    with pytest.raises(SystemExit, match=r"other options: data \(their content\)"):
        Run.start(out, {"lr": 1e-4, "steps": 5, "output": out}, [data])
    (out / CHECKPOINT).unlink()
    Run.start(out, {"lr": 1e-3}, [data]).finish({})
    run = Run.start(out, {"lr": 1e-2}, [data])
    assert not (out / "metrics.json").exists() and not (out / "log.txt").exists()
    run.finish({})


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
        weights=np.ones(len(logits)),
    )


def _draw(logits: NDArray[np.float64], rng: np.random.Generator) -> list[float]:
    """Labels, as likely as the logits say."""
    return [float(value) for value in rng.random(len(logits)) < 1 / (1 + np.exp(-logits))]


def test_calibration_recovers_what_made_the_scores() -> None:
    """Platt's fit finds slope, offset and what chunks add to a score; a reversed score is not calibrated."""
    rng = np.random.default_rng(0)
    true, chunks = rng.normal(0, 3, 40000), rng.integers(0, 3, 40000).astype(float)
    logits, values = true + 0.6 * chunks, _draw(0.5 * true - 1, rng)
    found = fit_column([_sample(list(logits), values, list(chunks))], 0)
    assert found is not None
    assert abs(found.a - 0.5) < 0.03 and abs(found.b + 1) < 0.1 and abs(found.c + 0.3) < 0.05
    assert fit_column([_sample(list(-logits), values, list(chunks))], 0) is None


@pytest.mark.parametrize("slant", [-1.5, 1.5])
def test_how_long_the_harmful_texts_of_a_corpus_are_is_not_learnt(slant: float) -> None:
    """Held-out texts of which the long ones are harmful more often, or less often, move no score by its length."""
    rng = np.random.default_rng(1)
    chunks = rng.integers(0, 3, 40000).astype(float)
    values = _draw(slant * (chunks - 1), rng)
    logits = 3 * np.array(values) + rng.normal(0, 2, 40000)
    found = fit_column([_sample(list(logits), values, list(chunks))], 0)
    assert found is not None
    assert found.a > 0.5 and abs(found.c) < 0.03


def test_narrow_labels_do_not_calibrate_the_overall_score(tiny_model_dir: Path) -> None:
    """A source that labels hate alone counts in the hate column and leaves the overall one alone."""
    rows = [*_rows(12), *(replace(row, about=("hate",)) for row in _rows(12, "narrow"))]
    found = score(tiny_model_dir, rows, Direction.PROMPT, per_source=3)
    assert found.mask[:, CATEGORIES.index("hate")].sum() == 12
    assert found.mask[:, CATEGORIES.index(NONCOMPLIANT)].sum() == 6


def test_too_few_positives_are_not_calibrated() -> None:
    """A column with a handful of positives has no fit of its own."""
    assert fit_column([_sample([0.0] * 100, [1.0] * 5 + [0.0] * 95, [0.0] * 100)], 0) is None


def test_a_calibration_that_has_too_few_rows_says_so(
    tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scores stay as they are, and whoever relies on them hears of it."""
    artifact = tmp_path / "artifact"
    shutil.copytree(tiny_model_dir, artifact)
    rows = _rows(12)
    write_parquet(tmp_path / "posts.parquet", rows)
    (tmp_path / "mixture.json").write_text(json.dumps({"heldout": [row.id for row in rows]}), encoding="utf-8")
    calibrate.main(["--artifact", str(artifact), "--model", str(tmp_path), "--data", str(tmp_path)])
    said = capsys.readouterr().out
    assert "prompt: noncompliant keeps the raw scores" in said and "output: noncompliant keeps" in said
    assert read_artifact(artifact).calibration == {d: dict.fromkeys(CATEGORIES, Platt()) for d in Direction}


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


def test_thresholds_are_written_with_the_bounds_that_were_given(tmp_path: Path, tiny_model_dir: Path) -> None:
    """A least threshold lifts a rule, a fixed one is the rule's whatever the texts show, and no other line changes."""
    policy, model, data = tmp_path / "p.yaml", tmp_path / "model", tmp_path / "data"
    rule = "  - {{id: {0}, direction: prompt, category: {0}, threshold: 0.60, action: block}}  # why {0}\n"
    rules = "".join(rule.format(name) for name in ("hate", "privacy", "self_harm"))
    head = "version: 1\nname: shop\n"
    policy.write_text(f"{head}rules:\n{rules}", encoding="utf-8")
    rows = [replace(row, text="hello world") for row in _rows() if row.label == COMPLIANT]
    write_parquet(data / "posts.parquet", rows)
    model.mkdir()
    (model / "mixture.json").write_text(json.dumps({"heldout": [row.id for row in rows]}), encoding="utf-8")
    given = ["--artifact", tiny_model_dir, "--model", model, "--data", data, "--policy", policy, "--write"]
    before = policy.read_bytes()
    with pytest.raises(SystemExit, match="prompt: 20 held-out compliant texts, 100 are needed"):
        thresholds.main([*map(str, given)])
    assert policy.read_bytes() == before
    given += ["--min-texts", "0"]
    options = ["--least", "privacy=0.8", "--fixed", "self_harm=0.15"]
    thresholds.main([*map(str, given), *options])
    written = policy.read_text(encoding="utf-8")
    expected = dict(zip(("hate", "privacy", "self_harm"), ("0.50", "0.80", "0.15"), strict=True))
    for name, value in expected.items():
        assert rule.format(name).replace("0.60", value) in written
    assert len(written.splitlines()) == len((head + rules).splitlines()) + 2  # `rules:` and `calibrated_for`
    for option in ("--least", "--fixed"):
        with pytest.raises(SystemExit, match=f"{option}: .*has no rule distress"):
            thresholds.main([*map(str, given), option, "distress=0.2"])
    assert policy.read_text(encoding="utf-8") == written


@pytest.mark.parametrize("option", ["--least", "--fixed"])
@pytest.mark.parametrize("given", ["a", "=0.5", "a=", "a=high", "a=1.5", "a=nan"])
def test_a_bound_that_is_none_is_refused(option: str, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It names a rule and a number from 0 to 1; what was given is repeated."""
    with pytest.raises(SystemExit):
        thresholds.main(["--artifact", "a", "--model", "m", "--data", "d", "--policy", "p.yaml", option, given])
    assert "RULE=THRESHOLD" in capsys.readouterr().err


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
