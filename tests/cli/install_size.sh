#!/bin/sh
# What has to be installed to tune a model: the program and the shared libraries that it loads, the C library's own
# included, take less than 100 MB. (PyTorch with PEFT and TRL takes gigabytes.)
# Usage: install_size.sh HONE
set -eu
hone=$1
command -v ldd >/dev/null || exit 77
libraries=$(ldd "$hone")
case $libraries in
*libasan*) exit 77 ;; # sanitizers are no part of an installation
esac
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
cp "$hone" "$stripped"
strip "$stripped" 2>/dev/null || true
total=$(wc -c <"$stripped")
for library in $(printf '%s\n' "$libraries" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | sort -u); do
    total=$((total + $(wc -c <"$(readlink -f "$library")")))
done
echo "program and libraries: $total bytes"
[ "$total" -lt 100000000 ] || { echo "that is 100 MB or more"; exit 1; }
