#!/bin/sh
# Installs `sweep` from the archives of a release: downloads one, verifies its checksum, copies its files below a prefix.
#     sh install.sh [--prefix FOLDER] [--target TARGET]
set -eu

# A release fills these two in.
version="${SWEEP_VERSION:-@VERSION@}"
url="${SWEEP_DOWNLOAD_URL:-@URL@}"
prefix="${SWEEP_PREFIX:-$HOME/.local}"
target=""

usage() {
  cat <<'TEXT'
Installs sweep: the program, its manual pages and its completions.

Usage: install.sh [--prefix FOLDER] [--target TARGET]

Options:
  --prefix FOLDER  installs into FOLDER/bin and FOLDER/share [default: ~/.local; env: SWEEP_PREFIX]
  --target TARGET  takes the archive of another target, such as x86_64-unknown-linux-musl
  --help           prints this

SWEEP_VERSION names another version, and SWEEP_DOWNLOAD_URL another place that has the archives.
TEXT
}

fail() {
  echo "error: $*" >&2
  exit 1
}

detect_target() {
  case "$(uname -m)" in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no archive for the processor $(uname -m); build from source" ;;
  esac
  case "$(uname -s)" in
    Darwin) echo "$machine-apple-darwin" ;;
    Linux)
      # glibc names itself there; where it is missing, the program without a C library runs.
      if getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
        echo "$machine-unknown-linux-gnu"
      else
        echo "$machine-unknown-linux-musl"
      fi
      ;;
    *) fail "there is no archive for $(uname -s); build from source" ;;
  esac
}

download() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 3 --output "$2" "$1" || fail "cannot download $1"
  elif command -v wget >/dev/null; then
    wget --quiet --tries=3 --output-document="$2" "$1" || fail "cannot download $1"
  else
    fail "needs curl or wget"
  fi
}

verify() {
  expected="$(cut -d' ' -f1 <"$1.sha256")"
  if command -v sha256sum >/dev/null; then
    found="$(sha256sum "$1" | cut -d' ' -f1)"
  elif command -v shasum >/dev/null; then
    found="$(shasum -a 256 "$1" | cut -d' ' -f1)"
  else
    fail "needs sha256sum or shasum to verify the download"
  fi
  [ "$found" = "$expected" ] || fail "the checksum of $1 is $found, not $expected; nothing was installed"
}

# In a function, so that a script that arrives in part does nothing.
main() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --prefix) prefix="${2:?--prefix needs a folder}" && shift 2 ;;
      --target) target="${2:?--target needs a target}" && shift 2 ;;
      --help) usage && exit 0 ;;
      *) fail "unknown argument $1; --help lists them" ;;
    esac
  done
  case "$version$url" in
    *@*@*) fail "this script is the template of a release's; set SWEEP_VERSION and SWEEP_DOWNLOAD_URL" ;;
  esac
  [ -n "$target" ] || target="$(detect_target)"
  name="sweep-$version-$target"
  scratch="$(mktemp -d)"
  trap 'rm -rf "$scratch"' EXIT
  mkdir -p "$prefix"
  prefix="$(cd "$prefix" && pwd)"
  cd "$scratch"
  download "$url/$name.tar.gz" "$name.tar.gz"
  download "$url/$name.tar.gz.sha256" "$name.tar.gz.sha256"
  verify "$name.tar.gz"
  tar -xzf "$name.tar.gz"
  "$name/bin/sweep" --version >/dev/null || fail "the program of $target does not run on this machine; choose another with --target"
  mkdir -p "$prefix/bin" "$prefix/share"
  # A running program cannot be written to, but it can be replaced.
  cp "$name/bin/sweep" "$prefix/bin/.sweep.new"
  mv -f "$prefix/bin/.sweep.new" "$prefix/bin/sweep"
  cp -R "$name/share/." "$prefix/share/"
  echo "installed sweep $version in $prefix/bin"
  case ":$PATH:" in
    *":$prefix/bin:"*) ;;
    *) echo "add $prefix/bin to PATH to run it as \`sweep\`" ;;
  esac
}

main "$@"
