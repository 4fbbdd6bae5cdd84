#!/bin/sh
# Compares the goldens with what the library of the convention says today, both ways.
#
#   check.sh PIPIT [PYTHON]
#
# PYTHON has torch, safetensors and compressed-tensors; left out, they are installed into a folder that is
# removed afterwards. Without a network there is nothing to compare with, and that is said.
set -eu
pipit=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${2:-}
if [ -z "$python" ]; then
  python3 -m venv "$work/venv"
  python=$work/venv/bin/python
  if ! "$python" -m pip install --quiet torch safetensors compressed-tensors==0.20.0; then
    echo "skipped: compressed-tensors cannot be installed here"
    exit 0
  fi
fi
cp -r "$here" "$work/goldens"
for scheme in w8a8 w8 w4; do
  "$pipit" quantize "$here/input" "$work/ours_$scheme" --scheme $scheme >/dev/null
done
"$python" "$work/goldens/make_goldens.py" goldens "$work/ours_w8a8" "$work/ours_w8" "$work/ours_w4"
for file in ours_w8a8 ours_w8 ours_w4 theirs theirs/model; do
  cmp "$here/$file.safetensors" "$work/goldens/$file.safetensors"
done
echo "as the library reads and writes it"
