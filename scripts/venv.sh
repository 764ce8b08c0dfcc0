#!/bin/sh
# Make the virtual environment with the locked dependencies; on Debian it installs what Python needs for that.
# usage: venv.sh PYTHON FOLDER
set -eu
python=$1 folder=$2

needs_python() {
    ! command -v "$python" >/dev/null || ! "$python" -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))'
}

if needs_python; then
    if ! command -v apt-get >/dev/null; then
        echo "kubelab needs Python 3.11 or newer with its venv module" >&2
        exit 1
    fi
    root=""
    if [ "$(id -u)" -ne 0 ]; then root="sudo -n"; fi
    echo "as root: apt-get install python3 python3-venv"
    $root apt-get update -qq
    $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 python3 python3-venv >/dev/null
fi
"$python" -m venv --clear "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
touch "$folder/.installed"
