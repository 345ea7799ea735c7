#!/bin/sh
# hone doctor: an empty home, a model that is right, damaged or of another size, a home that is no folder, kernels capped.
# Usage: doctor.sh HONE
hone=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export HONE_HOME="$work/home" HONE_CATALOGUE="$work/catalogue.json"
model=$work/home/models/tiny.gguf
mkdir -p "$work/home/models"
"$(dirname "$hone")/tests/tiny_model_file" "$model" || exit 1
cat > "$HONE_CATALOGUE" <<CATALOGUE
{"models": [{"name": "tiny", "licence": "none", "file": "tiny.gguf", "size_bytes": $(wc -c < "$model"),
  "sha256": "$(sha256sum < "$model" | cut -d' ' -f1)", "sources": [{"url": "http://127.0.0.1:1/tiny.gguf"}]}]}
CATALOGUE
failed=0
expect() { # what, wanted, got
    [ "$2" = "$3" ] || { printf '%s: expected [%s], got [%s]\n' "$1" "$2" "$3"; failed=1; }
}
says() { # what, words
    grep -qF -e "$2" "$work/out" || { printf '%s: "%s" is not in: %s\n' "$1" "$2" "$(cat "$work/out")"; failed=1; }
}
doctor() { "$hone" doctor "$@" > "$work/out" 2>&1; }
field() { grep -o "\"$1\": [^,]*" "$work/out" | head -n 1 | sed 's/.*: //'; }

doctor --json
expect "a model that is right: exit code" 0 $?
expect "ok" true "$(field ok)"
says "state" '"state": "verified"'
# By hand: 260 x 64 embeddings, which are the output too, and 2 layers of 64 x 64 twice, 32 x 64 twice, 96 x 64 three times.
expect "weights" 78080 "$(field weights)"
expect "prefill is peak / (2 x weights)" yes "$(awk -v peak="$(field fma_flops)" -v rate="$(field prefill_tokens_per_second_at_most)" \
    'BEGIN { r = rate * 2 * 78080 / peak; print (r > 0.999999 && r < 1.000001) ? "yes" : r }')"
expect "decode is the slower of reading and computing" yes "$(awk -v peak="$(field fma_flops)" -v read="$(field read_bytes_per_second)" \
    -v bytes="$(field matrix_bytes)" -v rate="$(field decode_tokens_per_second_at_most)" \
    'BEGIN { a = read / bytes; b = peak / (2 * 78080); r = rate / (a < b ? a : b); print (r > 0.999999 && r < 1.000001) ? "yes" : r }')"
doctor
expect "for people: exit code" 0 $?
says "for people" "nothing is wrong"
says "formula" "1 / max("

HONE_CPU=scalar doctor --json
expect "scalar: exit code" 0 $?
expect "scalar kernels" '"scalar"' "$(field kernels)"
says "scalar" "HONE_CPU=scalar caps the kernels"
HONE_CPU=scalar doctor
says "scalar, for people" "no bfloat16 products: --numerics bf16 works, but slower than f32"
HONE_CPU=fast doctor
expect "no such kernels: exit code" 2 $?

printf 'x' | dd of="$model" bs=1 seek=5000 conv=notrunc 2> /dev/null
doctor
expect "a changed byte: exit code" 1 $?
says "a changed byte" "sha256 is"
says "a changed byte" "hone model pull tiny --verify"
printf 'x' >> "$model"
doctor
expect "another size: exit code" 1 $?
says "another size" "are expected"
rm "$model"
doctor
expect "no model: exit code" 0 $?
says "no model" "hone model pull tiny"
HONE_HOME=$work/catalogue.json doctor
expect "a home that is a file: exit code" 1 $?
says "a home that is a file" "$work/catalogue.json"
doctor --threads 999
expect "too many threads: exit code" 2 $?
doctor now
expect "an argument: exit code" 2 $?
exit $failed
