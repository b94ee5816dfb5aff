#!/bin/sh
# Put whom the benchmarks compare with into environments of their own: get_peers.sh UV PYTHON FOLDER. Who cannot be had is named and left out.
set -eu
uv=$1 python=$2 folder=$3
missing=

get() {
    group=$1
    shift
    "$uv" venv --quiet --allow-existing --python "$python" "$folder/$group"
    "$uv" export --quiet --frozen --no-hashes --only-group "$group" --output-file "$folder/$group/locked.txt" >/dev/null
    for peer in "$@"; do
        "$uv" pip install --quiet --python "$folder/$group" --constraint "$folder/$group/locked.txt" "$peer" || {
            echo "benchmarks: $peer could not be had, so it is not compared with" >&2
            missing="$missing $peer"
        }
    done
}

mkdir -p "$folder"
get bench-sdks openai anthropic google-genai boto3 cohere ollama
get bench-litellm boto3 'litellm[mcp]'
if [ -z "$missing" ]; then
    touch "$folder/complete"
fi
