"""What a model card says that no file of a run can tell: purpose, scope, limits, and what labels are worth."""

from __future__ import annotations

from collections.abc import Mapping

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
- `translated`: rendered by a language model from an English row; the label is that row's.
- `model`: the label is a model's.
- Where nothing is said, the labels are the corpus' own, mostly by people.

A label speaks about what it was made for. A row about hate teaches and measures only that; where a label is
silent, the loss is masked."""

LIMITS = """\
- A probability of this model is a probability within its mixture of corpora, where violations are far more frequent
  than in ordinary traffic. Set thresholds on your own traffic (shadow mode records every score).
- Harmful answers that do not look like harm (calm, helpful wording) are the hardest kind; so are borderline
  sexism, irony, coded language and new slang.
- Some corpora over-label dialects and reclaimed words; hateful and quoted use can be confused.
- A harmful sentence among harmless ones can be missed, within one chunk: the score is a weighted mean over the text.
  A violation that only shows across distant chunks can be missed as well.
- Long harmless texts (source code, manuals) are sometimes flagged, mostly as `jailbreak`: the score of a long text is
  the highest of its chunks.
- Some words weigh too much in harmless questions (杀毒, 猎枪, malware, ammunition).
- Obfuscation with homoglyphs or leet lowers scores.
- It can be evaded by whoever can try often enough. It is one layer, not the only one."""

NOT_FOR = """\
- Decisions about people: employment, credit, policing, medical or legal judgement.
- Surveillance of opinion, or the suppression of political speech.
- Judging a person by a score: it rates texts. A text in distress asks for help, not for a penalty.
- The only safeguard of a dangerous system, or any use without a way to complain and a human to decide."""

BACKBONE = """\
The encoder starts from `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0; 6 layers, width 384, English). Its card
says it was trained on over a billion sentence pairs of public data sets (Reddit comments, S2ORC, WikiAnswers, PAQ,
Stack Exchange, MS MARCO, GooAQ, Yahoo Answers, CodeSearchNet, ELI5, SNLI, MultiNLI and others); their own licences
differ and are not changed by ours."""

#: Corpora whose texts were written by a model, wholly or in part, and by which where it is known.
MODEL_WRITTEN: Mapping[str, str] = {
    "aisafetylab_zh": "rewritten prompts and answers of several models",
    "alpaca_pairs": "text-davinci-003",
    "alpaca_prompts": "text-davinci-003",
    "alpaca_zh_carbonz0": "text-davinci-003, machine-translated",
    "chat_baseline": "text-davinci-003 (translated Alpaca), in part",
    "codealpaca": "text-davinci-003",
    "composed": "answers of the contrast set under requests of the other corpora",
    "contrast": "a language model, for this project",
    "diasafety": "small dialogue models, in part",
    "gptfuzz_responses": "ChatGPT (answers)",
    "guardreasoner_mix": "GPT-4 and open models (WildGuardTrain), in part",
    "harmfulqa": "ChatGPT",
    "hh_rlhf_annotated": "an assistant model of Anthropic (answers)",
    "jade": "unnamed models (variants of prompts; answers of version 3)",
    "latent_jailbreak": "ChatGPT, ChatGLM2-6B, BELLE-7B (answers)",
    "plain_plexpt_questions": "ChatGPT-3.5",
    "plain_smile_counselling": "ChatGPT (dialogues rewritten from single turns)",
    "plexpt_questions": "ChatGPT-3.5",
    "teleantifraud": "an unnamed language model",
    "toxigen_annotated": "GPT-3",
    "translated_zh": "an unnamed language model (translation)",
    "trustllm": "several models (jailbreak variants), in part",
}
