#!/usr/bin/env bash
# Create the virtual environment $1 with the tested set of packages. First install missing system libraries as root on
# Debian or Ubuntu; otherwise, print the command that installs them.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:?the folder of the virtual environment}
python=${PYTHON:-python3}

"$python" - <<'PY' || exit 1
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 12):
    sys.exit(f"error: Python 3.11 or 3.12 is needed, this is {sys.version.split()[0]}; name another: make PYTHON=python3.11 ...")
PY
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Run ldconfig once and without a pipe: grep exits at the first match, which fails the pipe, and the library would seem missing.
known=$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null) || known=
has_library() { # in the loader's cache, or in the interpreter's library folder
  [[ "$known" == *"$1"* ]] || [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR") or "")')/$1" ]
}
missing=()
has_library libGL.so.1 || missing+=(libgl1)
has_library libgthread-2.0.so.0 || missing+=(libglib2.0-0)
has_library "libpython$version.so.1.0" || missing+=("libpython$version")
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing+=("python$version-venv")

if [ ${#missing[@]} -gt 0 ]; then
  command="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing missing system libraries: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"
  else
    echo "error: missing system libraries; as root on Debian or Ubuntu: $command" >&2
    exit 1
  fi
fi

echo "installing Python packages: about 3 GB, some minutes"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
"$venv/bin/python" -m pip check
