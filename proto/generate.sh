#!/bin/sh
# Generates guard/v1/ from proto/guard/v1/guard.proto; the result is committed.
#
#   proto/generate.sh           write guard/v1/
#   proto/generate.sh --check   write nothing; exit 1 and show the difference if guard/v1/ is stale
#
# Needs grpcio-tools (extra `dev`) in the Python named by $PYTHON (default: python3).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}

generate() {
    "$python" -m grpc_tools.protoc -I "$root/proto" --python_out="$1" --pyi_out="$1" --grpc_python_out="$1" \
        "$root/proto/guard/v1/guard.proto"
}

case "${1:-}" in
    "")
        generate "$root"
        ;;
    --check)
        fresh=$(mktemp -d)
        trap 'rm -rf "$fresh"' EXIT
        generate "$fresh"
        for file in guard_pb2.py guard_pb2.pyi guard_pb2_grpc.py; do
            diff -u "$root/guard/v1/$file" "$fresh/guard/v1/$file" || {
                echo "guard/v1/$file is stale (run proto/generate.sh and commit)" >&2
                exit 1
            }
        done
        ;;
    *)
        echo "usage: proto/generate.sh [--check]" >&2
        exit 2
        ;;
esac
