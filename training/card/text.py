"""What a model card says that no file of a run can tell: purpose, scope, limits, and what labels are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PURPOSE = """\
It screens the prompts and the outputs of LLM services in Chinese and English: it reads a text, its direction
(prompt or output) and what came before, and gives a calibrated probability for each category. A policy, not the
model, decides what follows. It is meant to stand beside a main model, so that this one need not be over-aligned."""

SCOPE = """\
**Political opinion is out of scope**: there is no category for it, no corpus was chosen for it, and praise or
criticism of a state, a party or a politician is compliant. Personal data (phone, identity and card numbers) is
found by recognizers beside the model, not by it. Other languages than Chinese and English are scored, but were
neither trained nor measured, and mostly pass."""

LABELS = """\
- `human`: people labelled each text; agreement differs, see the corpora's papers.
- `design`: compliant or not by construction (a prompt written to break rules); some such texts are mild.
- `weak_category`: the corpus' category decides, not the single text.
- `assumed_benign`: a general corpus that was not checked text by text.
- `annotated`: read and labelled by a language model, row by row, in one pass, without a second annotator; of long
  answers only the beginning was read.
- `translated`: rendered by a language model from a row in the other language; the label is that row's.
- `model`: the label is a model's.
- Where nothing is said, the labels are the corpus' own, mostly by people.

A language model read the noncompliant rows of harmfulqa and trustllm and the noncompliant prompts of jade a second
time: 406 of 5 687 were harmless and count as compliant; 990 of the first two were mild and teach nothing
(`training/corpora/second_reading.tsv`); so do their renderings. That holds for the last three trainings (of jade for
the last two) and for the calibration; the stages before them learnt from the labels as they were.

A label speaks about what it was made for. A row about hate teaches and measures only that; where a label is
silent, the loss is masked."""


@dataclass(frozen=True, slots=True)
class Example:
    """A short, mild text to show a weakness with; the card says what the model makes of it.

    Attributes:
        text: The text.
        allow: Whether it should be allowed.
        direction: ``prompt`` or ``output``.
        context: The request before it, if any.
    """

    text: str
    allow: bool
    direction: str = "prompt"
    context: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that the model does badly.

    Attributes:
        what: In a sentence or two, Markdown.
        examples: Shown where the described model fails on them; an example that it gets right is left out.
    """

    what: str
    examples: tuple[Example, ...] = ()


LIMITS: tuple[Limit, ...] = (
    Limit(
        "A probability of this model is a probability within its mixture of corpora, where violations are far more "
        "frequent than in ordinary traffic. Set thresholds on your own traffic (shadow mode records every score)."
    ),
    Limit(
        "Harmful answers that do not look like harm (calm, helpful wording) are the hardest kind: on do_not_answer_en, "
        "where 4 of 100 answers are harmful and the rest differ from them by a word of caution, the ranking is chance. "
        "So are borderline sexism, irony, coded language and new slang.",
        (
            Example("Women drivers, what else would you expect.", allow=False),
            Example("Typical. You people always need someone else to do the thinking.", allow=False),
        ),
    ),
    Limit(
        "English questions that only sound dangerous are still the largest source of false alarms, and the default "
        "thresholds let half of the harmful English prompts of unseen sources pass.",
        (
            Example(
                "We run a small honeypot on our DMZ. How do I feed its SSH login attempts into our log search?",
                allow=True,
            ),
            Example("公司内网搭了个蜜罐，想把抓到的攻击日志接到ELK里，有什么建议？", allow=True),
            Example("浴球（泡澡那种炸弹球）在家怎么做，小苏打和柠檬酸什么比例", allow=True),
        ),
    ),
    Limit(
        "Distress is met with words of help on a suspicion (the rule's threshold is far below the others'), and still "
        "overlooked at times, in few or plain words above all. Do not make it the only way to notice a person in need.",
        (
            Example("我真的撑不下去了，不想活了", allow=False),
            Example("I've written my goodbye letter", allow=False),
        ),
    ),
    Limit("Some corpora over-label dialects and reclaimed words; hateful and quoted use can be confused."),
    Limit(
        "A violation that only shows across distant chunks can be missed; a long harmless text is flagged more often "
        "than a short one, because its score is the highest of its chunks."
    ),
    Limit(
        "Disguises that the normaliser does not undo (homophones, leet, look-alike letters) still lower scores.",
        (Example("y0u 4re a w0rthl3ss 1d10t and n0b0dy l1kes y0u", allow=False),),
    ),
    Limit("It can be evaded by whoever can try often enough. It is one layer, not the only one."),
)

_NEAR_ZERO = "one or two texts of a source where n-grams raise almost no false alarm"
_OTHER_POINT = (
    "the 5 % point lies elsewhere: our Chinese benign prompts score so low that the point is reached by this source "
    "itself; by the default policy's thresholds its false alarms are far fewer"
)
_HELD_OUT = "the source is held out here to set thresholds and calibration on, and the n-grams were trained on it"

#: Source -> why the n-gram baseline is better there; only for lines that the model loses.
LOST: Mapping[str, str] = {
    "alpaca_zh_carbonz0": _OTHER_POINT,
    "banking77": _NEAR_ZERO,
    "belle_seed": _OTHER_POINT,
    "chat_baseline": _OTHER_POINT,
    "counsel_chat": _HELD_OUT,
    "latent_jailbreak": _HELD_OUT,
    "do_not_answer_en": "calm answers; the n-grams find the words of refusals, which nearly all harmless answers have",
    "dolly": _NEAR_ZERO,
    "jade": "both rank nearly all of it rightly; mild answers to loaded questions are what is left",
}

#: What was done about the largest causes of mistakes; stands behind their counts.
DONE = (
    "Read by a language model in one pass. The first model's hundred mistakes were implicit harm, doubtful labels, "
    "alarming words, role play and dilution; done about them since: harmful sentences planted among harmless ones and "
    "requests in frames, about 38 000 contrast texts, half of them calm harm and half alarming words without harm, "
    "disguised rows, thresholds at five false alarms in a hundred held-out texts, and a second reading "
    "of the labels of three generated corpora. Dilution is down from seven of a hundred mistakes to one. What is "
    "largest now: harm and contempt in sober words, personas and pretexts of research, harmless texts with alarming "
    "words, and rows whose label a careful reader would not give."
)

NOT_FOR = """\
- Decisions about people: employment, credit, policing, medical or legal judgement.
- Surveillance of opinion, or the suppression of political speech.
- Judging a person by a score: it rates texts. A text in distress asks for help, not for a penalty.
- The only safeguard of a dangerous system, or any use without a way to complain and a human to decide."""

BACKBONE = """\
The encoder starts from `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0; 6 layers, width 384, English), which
itself starts from `nreimers/MiniLM-L6-H384-uncased`. Its card declares about 1.17 billion pairs of these public data
sets; their own licences differ, some of them are for research only, and none is changed by ours."""

#: What the backbone was trained on as its card declares it, and how many pairs; sets of one origin are summed up.
BACKBONE_DATA: Mapping[str, int] = {
    "Reddit comments (2015-2018)": 726_484_430,
    "S2ORC (citations by abstract and title; title and abstract)": 116_288_806 + 52_603_982 + 41_769_185,
    "WikiAnswers (duplicate questions)": 77_427_422,
    "Stack Exchange (titles, bodies, answers, duplicates)": (
        25_316_456 + 21_396_559 + 21_396_559 + 304_525 + 250_519 + 250_460
    ),
    "PAQ": 64_371_441,
    "MS MARCO": 9_144_553,
    "GOOAQ": 3_012_496,
    "Yahoo Answers": 1_198_260 + 681_164 + 659_896,
    "Code Search": 1_151_414,
    "COCO captions": 828_395,
    "SPECTER": 684_100,
    "SearchQA": 582_261,
    "ELI5": 325_475,
    "Flickr 30k": 317_695,
    "AllNLI (SNLI and MultiNLI)": 277_230,
    "Sentence Compression": 180_000,
    "WikiHow": 128_542,
    "Altlex": 112_696,
    "Quora question triplets": 103_663,
    "Simple Wikipedia": 102_225,
    "Natural Questions": 100_231,
    "SQuAD 2.0": 87_599,
    "TriviaQA": 73_346,
}

#: Stage -> what it does; in the order in which they run.
STAGES: Mapping[str, str] = {
    "vocab": "vocabulary of both languages; new embeddings from English glosses",
    "align": "sentence pairs: Chinese and English vectors towards the English encoder's own",
    "rehearse": "masked-LM over paragraphs of both languages",
    "train": "fine-tuning on the labelled corpora",
    "polish": "one more pass over another draw of them, a part of each text's tokens hidden",
    "polish2": "the same over a third draw",
    "polish3": "the same over a fourth, after a second reading of labels, with more renderings between the languages",
    "polish4": "the same as polish3 from the same weights over a fifth, with more contrast texts, requests in frames "
    "and planted sentences, and a loss that asks where the highest token stands",
    "polish5": "the same as polish4 from the same weights over a sixth",
    "mean": "the mean of the weights of polish3, polish4 and polish5: what is exported",
}

#: Sources that were made for this project from the rows of the other corpora: what was done to them.
DERIVED: Mapping[str, str] = {
    "composed": "rows of the corpora of this table put together: answers under requests, harmful sentences among "
    "harmless ones, requests within frames; with answers and frames of `contrast`",
    "disguised": "rows of this table with look-alike, inserted, spaced or replaced characters, as an evader "
    "would write",
    "encoded": "harmless rows of this table in percent signs, base64, hexadecimal digits, escapes or entities",
}

#: Corpora whose texts were written by a model, wholly or in part, and by which where it is known.
MODEL_WRITTEN: Mapping[str, str] = {
    "aisafetylab_zh": "rewritten prompts and answers of several models",
    "alpaca_pairs": "text-davinci-003",
    "alpaca_prompts": "text-davinci-003",
    "alpaca_zh_carbonz0": "text-davinci-003, machine-translated",
    "chat_baseline": "text-davinci-003 (translated Alpaca), in part",
    "codealpaca": "text-davinci-003",
    "composed": "as its parts",
    "contrast": "a language model, for this project",
    "diasafety": "small dialogue models, in part",
    "disguised": "as its rows; altered by a program",
    "encoded": "as its rows; altered by a program",
    "gptfuzz_responses": "ChatGPT (answers)",
    "guardreasoner_mix": "GPT-4 and open models (WildGuardTrain), in part",
    "harmfulqa": "ChatGPT",
    "hh_rlhf_annotated": "an assistant model of Anthropic (answers)",
    "jade": "unnamed models (variants of prompts; answers of version 3)",
    "latent_jailbreak": "ChatGPT, ChatGLM2-6B, BELLE-7B (answers)",
    "plain_plexpt_questions": "ChatGPT-3.5",
    "plain_smile_counselling": "ChatGPT (dialogues rewritten from single turns)",
    "plexpt_annotated": "ChatGPT-3.5",
    "plexpt_questions": "ChatGPT-3.5",
    "presidio_synth": "templates filled by a program",
    "teleantifraud": "an unnamed language model",
    "toxigen_annotated": "GPT-3",
    "translated_en": "unnamed models (variants of prompts, translation)",
    "translated_zh": "an unnamed language model (translation)",
    "trustllm": "several models (jailbreak variants), in part",
}
