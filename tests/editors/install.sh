#!/usr/bin/env bash
# Bring real Neovims, a real VS Code with a browser for it, and a Valkey for the tests into a cache folder of the user, and into
# the checkout what builds the VS Code extension; the system's packages and libraries stay as they are.
#
#   bash tests/editors/install.sh
#
# VS Code is the npm package code-server with the Node that it wants. Each other part is a small Debian root folder: the packages
# of a suite and all they need, its libc included, unpacked beside each other. The program in it is told to start with that
# folder's own loader and libraries, so it runs on any Linux of the same processor. A part that is there already costs nothing;
# one that cannot be had is named with its reason.
set -uo pipefail

cache="${GLOSSATOR_TEST_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/glossator-test-parts}"
recipe=1 # raise it when the way of building changes: parts of another recipe are built again
code_server=4.139.1 # VS Code 1.139.1
node=24             # what that VS Code asks for

main() {
    install_extension_packages
    # One line for each part: its package, its program below usr, what that says of its version, and the Debian suites that may
    # carry it, the best first.
    local missing=() vscode="vscode-$code_server"
    present nvim-0.12 || missing+=("nvim-0.12 neovim bin/nvim v0.12. forky sid")
    present nvim-0.10 || missing+=("nvim-0.10 neovim bin/nvim v0.10. trixie")
    present valkey-8 || missing+=("valkey-8 valkey-server bin/valkey-server v=8. trixie")
    has_browser || present chromium || missing+=("chromium chromium lib/chromium/chromium 1 trixie")
    if present "$vscode"; then
        [ "${#missing[@]}" -eq 0 ] && return
    fi

    command -v flock >/dev/null || { skip "the real editors and the store" "flock is not installed"; return; }
    mkdir -p "$cache"
    # Two runs at once share one build; the second finds the parts when the lock is free.
    exec 9>"$cache/.lock"
    flock -w 600 9 || { skip "what is missing" "another installation has held the lock for ten minutes"; return; }
    rm -rf "$cache"/.building.* # what a killed run left behind
    work=$(mktemp -d "$cache/.building.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    present "$vscode" || install_vscode "$vscode"

    local reason
    if reason=$(cannot_build); then
        for part in "${missing[@]}"; do skip "${part%% *}" "$reason"; done
        return
    fi
    for part in "${missing[@]}"; do
        # The words of the line are the arguments.
        # shellcheck disable=SC2086
        install_part $part
    done
}

present() { # PART
    [ "$(cat "$cache/$1/.glossator-part" 2>/dev/null)" = "$recipe" ]
}

skip() { # PART REASON
    echo "skipped: $1: $2"
}

cannot_build() { # prints the reason, or fails where there is none
    local tool
    for tool in apt-get dpkg dpkg-deb; do
        command -v "$tool" >/dev/null || { echo "the real editors and the store are Debian packages, and $tool is not installed"; return; }
    done
    return 1
}

install_extension_packages() {
    local folder stamp
    folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../editors/vscode" && pwd) || return
    stamp="$folder/node_modules/.package-lock.json"
    [ "$stamp" -nt "$folder/package-lock.json" ] && return
    if ! command -v npm >/dev/null; then
        skip "the VS Code extension" "its packages need npm, which is not installed"
    elif (cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts >/dev/null 2>&1); then
        touch "$stamp"
    else
        skip "the VS Code extension" "its packages could not be installed from npm"
    fi
}

has_browser() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
} >/dev/null

# No script of a package is run: what they would compile (terminals, file watching, Kerberos) needs a compiler and minutes, and
# VS Code starts and serves extensions without it.
install_vscode() { # PART
    local part=$1 root="$work/vscode" processor found
    command -v npm >/dev/null || { skip "$part" "it comes by npm, which is not installed"; return; }
    case "$(uname -s) $(uname -m)" in
        "Linux x86_64") processor=x64 ;;
        "Linux aarch64") processor=arm64 ;;
        *) skip "$part" "its Node is packaged for Linux on x86_64 and aarch64 only"; return ;;
    esac
    local quiet=(--loglevel=error --no-audit --no-fund --ignore-scripts)
    mkdir -p "$root"
    echo '{"private": true}' >"$root/package.json"
    local packages="$root/node_modules"
    if (cd "$root" && npm install "${quiet[@]}" "code-server@$code_server" "node-linux-$processor@$node") >"$work/log" 2>&1 &&
        (cd "$packages/code-server/lib/vscode" && npm install "${quiet[@]}" --omit=dev) >>"$work/log" 2>&1 &&
        (cd "$packages/code-server/lib/vscode/extensions" && npm install "${quiet[@]}" --omit=dev) >>"$work/log" 2>&1 &&
        found=$(
            "$packages/node-linux-$processor/bin/node" "$packages/code-server/out/node/entry.js" --config "$work/config.yaml" --version 2>>"$work/log" | tail -n 1
        ); then
        rm -rf "${cache:?}/$part"
        mv "$root" "$cache/$part"
        echo "$recipe" >"$cache/$part/.glossator-part"
        echo "installed: VS Code as code-server ${found%% *} from npm in $cache/$part"
    else
        skip "$part" "not to be had from npm: $(tail -n 1 "$work/log")"
    fi
}

install_part() { # PART PACKAGE PROGRAM VERSION SUITE...
    local part=$1 package=$2 program=$3 version=$4 suite found
    shift 4
    present "$part" && return # built by another run while we waited for the lock
    for suite in "$@"; do
        rm -rf "$work/root"
        if ! unpack "$suite" "$work/root" "$package" patchelf >"$work/log" 2>&1; then
            continue
        fi
        relocate "$work/root" "$cache/$part" "usr/$program" >"$work/log" 2>&1 || continue
        rm -rf "${cache:?}/$part"
        mv "$work/root" "$cache/$part"
        found=$("$cache/$part/usr/$program" --version 2>"$work/log" | head -n 1)
        if [[ $found == *" $version"* ]]; then
            echo "$recipe" >"$cache/$part/.glossator-part"
            echo "installed: $found from Debian $suite in $cache/$part"
            return
        fi
        rm -rf "${cache:?}/$part"
        echo "Debian $suite carries ${found:-a $program that does not start}, not $version" >>"$work/log"
    done
    skip "$part" "not to be had from Debian $*: $(grep -m 1 -E "^[WE]:" "$work/log" || tail -n 1 "$work/log")"
}

# Unpack packages of a Debian suite, and all that they depend on, into a folder. Apt works on lists, a status file and a
# cache of its own, so that it needs no rights and believes that nothing is installed.
unpack() { # SUITE ROOT PACKAGE...
    local suite=$1 root=$2 state="$work/apt" keyring archive
    shift 2
    keyring=$(debian_keyring) || return
    rm -rf "$state"
    mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/etc/preferences.d" "$state/log" "$root"
    : >"$state/status"
    echo "deb [signed-by=$keyring] $(debian_mirror) $suite main" >"$state/sources.list"
    local apt=(apt-get -qq
        -o "Dir::State=$state" -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status"
        -o "Dir::Cache=$state" -o "Dir::Cache::archives=$state/archives" -o "Dir::Log=$state/log"
        -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
        -o APT::Install-Recommends=false -o APT::Update::Error-Mode=any -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
    # Apt drops root's rights for downloads, and then may not read the folder of a user.
    [ "$(id -u)" -eq 0 ] && apt+=(-o APT::Sandbox::User=root)
    "${apt[@]}" update && "${apt[@]}" --yes --download-only install "$@" || return
    for archive in "$state"/archives/*.deb; do
        dpkg-deb --extract "$archive" "$root" || return
    done
}

debian_mirror() { # the one that this machine uses already, if it is a Debian
    local mirror
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -E '/debian/?$' | head -n 1)
    echo "${mirror:-http://deb.debian.org/debian}"
}

debian_keyring() { # Ubuntu carries Debian's keys in a package of its own, signed by Ubuntu
    local installed=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ ! -e "$installed" ]; then
        installed="$work/keys/usr/share/keyrings/debian-archive-keyring.gpg"
        if [ ! -e "$installed" ]; then
            mkdir -p "$work/keys"
            (cd "$work/keys" && apt-get -qq download debian-archive-keyring && dpkg-deb --extract ./*.deb .) || return
        fi
    fi
    echo "$installed"
}

# Make a binary start with the loader and the libraries of the root folder, where that folder will stand in the end.
relocate() { # ROOT FINAL_PLACE BINARY
    local root=$1 final=$2 binary=$3 loader libraries library search
    loader=$(cd "$root" && ls usr/lib64/ld-linux-*.so.2 lib64/ld-linux-*.so.2 usr/lib/ld-linux-*.so.1 lib/ld-linux-*.so.1 2>/dev/null | head -n 1)
    libraries=$(cd "$root" && dirname "$(find . -name 'libc.so.6' | head -n 1)")
    [ -n "$loader" ] && [ -n "$libraries" ] || { echo "the packages hold no loader"; return 1; }
    libraries=${libraries#./}
    # Some packages keep libraries that others of them want in a folder of their own, PulseAudio for one.
    search=$(cd "$root/$libraries" && find . -maxdepth 2 -name 'lib*.so*' -printf '%h\n' | sort -u | sed "s|^\.|$final/$libraries|" | paste -sd :)
    # The patcher comes from the same suite; the running system's own loader may be too old for it.
    local patch=("$root/$loader" --library-path "$root/$libraries" "$root/usr/bin/patchelf")
    "${patch[@]}" --set-interpreter "$final/$loader" --force-rpath --set-rpath "$search" "$root/$binary" || return
    # A library's own search path would hide the binary's.
    for library in "$root/$libraries"/lib*.so*; do
        if [ -f "$library" ] && [ ! -L "$library" ] && [ -n "$("${patch[@]}" --print-rpath "$library" 2>/dev/null)" ]; then
            "${patch[@]}" --remove-rpath "$library" || return
        fi
    done
}

main
exit 0
