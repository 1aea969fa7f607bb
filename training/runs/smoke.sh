#!/usr/bin/env bash
# Every stage on tiny corpora and a tiny random encoder, in about a minute on a CPU. The result judges nothing;
# the run shows that the stages fit together.
#   training/runs/smoke.sh [OUTPUT]
set -euo pipefail
cd "$(dirname "$0")/../.."
run=${1:-runs/smoke}
python=${PYTHON:-python}
own=training/runs/smoke
# A second thread costs a tiny network more than it brings.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
data=$run/data

rm -rf "$run"
"$python" -m training.corpora convert $own/train/*.jsonl --output "$data/train/smoke.parquet"
"$python" -m training.corpora convert $own/bench/*.jsonl --output "$data/bench/smoke_bench.parquet"
"$python" -m training.corpora convert $own/pairs.jsonl --kind pairs --output "$data/pairs.parquet"
"$python" -m training.corpora convert $own/plain.jsonl --kind plain --output "$data/plain.parquet"

"$python" -m training.tiny_backbone --output "$run/backbone"
"$python" -m training.vocab --backbone "$run/backbone" --text "$data/train" --min-count 1 --output "$run/vocab"
"$python" -m training.pretrain --backbone "$run/vocab" --teacher "$run/backbone" --pairs "$data/pairs.parquet" \
    --batch 8 --output "$run/align"
"$python" -m training.rehearse --backbone "$run/align" --plain "$data/plain.parquet" --batch 8 --output "$run/rehearse"
# The mixture is mostly the contrast set and what is composed of it: a part of it is enough.
"$python" -m training.train --backbone "$run/rehearse" --data "$data/train" --plain "$data/plain.parquet" \
    --rows 3000 --steps 60 --lr 1e-3 --output "$run/train"
"$python" -m training.train --backbone "$run/train" --data "$data/train" --plain "$data/plain.parquet" \
    --rows 3000 --steps 10 --lr 1e-4 --seed 1 --output "$run/polish"
"$python" -m training.mean "$run/train" "$run/polish" --output "$run/mean"
"$python" -m training.export --model "$run/mean" --name smoke --sources $own/SOURCES.tsv --output "$run/artifact"
"$python" -m training.calibrate --artifact "$run/artifact" --model "$run/mean" --data "$data/train"
"$python" -m training.unpack --artifact "$run/artifact" --output "$run/further/start"
"$python" -m training.train --backbone "$run/further/start" --data "$data/train" --rows 500 --steps 2 \
    --output "$run/further/train"
"$python" -m training.export --model "$run/further/train" --name further --output "$run/further/artifact"
cp policies/default.yaml "$run/policy.yaml"
"$python" -m training.thresholds --artifact "$run/artifact" --model "$run/mean" --data "$data/train" \
    --policy "$run/policy.yaml" --min-texts 1 --write
"$python" -m training.evaluate --data "$data/bench" --model "$run/artifact" --policy "$run/policy.yaml" --output "$run/eval"
"$python" -m training.model_card --artifact "$run/artifact" --run "$run" --sources $own/SOURCES.tsv \
    --eval "$run/eval/table.json"
