#!/bin/sh
# hone model verify, merge and inspect on the tiny model: right files, damaged ones, an adapter, folders, bad usage.
# Usage: model_verify.sh HONE
hone=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export HONE_HOME="$work/home"
model=$work/tiny.gguf
"$(dirname "$hone")/tests/tiny_model_file" "$model" || exit 1
failed=0
expect() { # what, wanted, got
    [ "$2" = "$3" ] || { printf '%s: expected [%s], got [%s]\n' "$1" "$2" "$3"; failed=1; }
}
says() { # what, words
    grep -qF -e "$2" "$work/out" || { printf '%s: "%s" is not in: %s\n' "$1" "$2" "$(cat "$work/out")"; failed=1; }
}
run() { "$hone" model "$@" > "$work/out" 2>&1; }

run verify "$model"
expect "a right file: exit code" 0 $?
says "structure" "structure  good: 20 tensors, 78400 weights"
says "hash" "$(sha256sum < "$model" | cut -d' ' -f1) (no catalogue entry"
run verify "$model" --numerics
expect "numerics: exit code" 0 $?
says "numerics" "numerics: good"
says "layers" "block 1"
run verify "$model" --numerics --json
expect "JSON: exit code" 0 $?
says "JSON" '"good": true'
run verify "$model" --numerics bf16
expect "numerics bf16: exit code" 0 $?
says "numerics bf16" "numerics class bf16 ("
says "numerics bf16" "tolerance: relative L2 3e-02"
HONE_CPU=scalar run verify "$model" --numerics bf16 --json
says "scalar, bf16: the class" '"numerics_class": "bf16"'
says "scalar, bf16: good" '"good": true'

# The catalogue knows another hash; a weight that is no number (the last tensor is a norm or matrix near the end).
mkdir -p "$HONE_HOME/models"
cp "$model" "$HONE_HOME/models/tiny.gguf"
cat > "$work/catalogue.json" <<CATALOGUE
{"models": [{"name": "tiny", "licence": "none", "file": "tiny.gguf", "size_bytes": $(wc -c < "$model"),
  "sha256": "$(sha256sum < "$model" | cut -d' ' -f1)", "sources": [{"url": "http://127.0.0.1:1/tiny.gguf"}]}]}
CATALOGUE
HONE_CATALOGUE="$work/catalogue.json" run verify tiny
expect "the catalogue's own file: exit code" 0 $?
says "the catalogue's own file" "as in the catalogue"
size=$(wc -c < "$model")
printf '\377\377\377\377' | dd of="$HONE_HOME/models/tiny.gguf" bs=1 seek=$((size - 8)) conv=notrunc 2>/dev/null
HONE_CATALOGUE="$work/catalogue.json" run verify tiny
expect "a changed file: exit code" 1 $?
says "a changed file" "hone model pull --verify"
head -c $((size - 100)) "$model" > "$work/short.gguf"
run verify "$work/short.gguf"
expect "a truncated file: exit code" 2 $?
says "a truncated file" "truncated or damaged: fetch it again"

# An adapter: trained for a step, verified, merged, inspected.
printf '{"input": "a", "output": "b"}\n{"input": "c", "output": "d"}\n' > "$work/data.jsonl"
"$hone" train -m "$model" "$work/data.jsonl" -o "$work/adapter" --no-select --rank 2 --epochs 30 --lr 0.05 > "$work/out" 2>&1 ||
    { cat "$work/out"; failed=1; }
run verify "$model" --numerics --adapter "$work/adapter"
expect "with an adapter: exit code" 0 $?
for type in f32 f16 bf16 q8_0; do
    run merge -m "$model" --adapter "$work/adapter" -o "$work/$type.gguf" --type $type
    expect "merge to $type: exit code" 0 $?
    says "merge to $type" "against base + adapter"
    run verify "$work/$type.gguf"
    expect "the merged $type file: exit code" 0 $?
done
logprobs() { # the arguments of score: one log-probability a line
    echo '{"ids": [258, 117, 115, 101, 114, 10, 97]}' | "$hone" score "$@" 2>/dev/null |
        sed -n 's/.*"logprobs": *\[\([^]]*\)\].*/\1/p' | tr ',' '\n'
}
logprobs -m "$model" --adapter "$work/adapter" > "$work/two"
logprobs -m "$work/f32.gguf" > "$work/one"
expect "scored tokens" 7 "$(wc -l < "$work/one" | tr -d ' ')"
paste "$work/one" "$work/two" | awk '{ d = $1 - $2; if (d > 1e-4 || d < -1e-4) bad = 1 } END { exit bad || NR == 0 }' ||
    { echo "the merged f32 model scores otherwise:"; paste "$work/one" "$work/two"; failed=1; }
run merge -m "$model" -o "$work/x.gguf" --type q4_1
expect "another type: exit code" 2 $?
says "another type" "--type q4_1; hone writes f32, f16, bf16 and q8_0"
run merge -m "$model"
expect "no output: exit code" 2 $?
run merge -m "$model" -o "$work/none/x.gguf"
expect "no folder: exit code" 2 $?

run inspect "$work/adapter"
expect "inspect an adapter: exit code" 0 $?
says "inspect an adapter" "adapts 14 linear layers"
run inspect "$work/adapter" --json
says "inspect an adapter as JSON" '"kind": "adapter"'
run inspect "$model"
says "inspect a file" "GGUF version 3"
mkdir "$work/folder" "$work/empty"
echo '{"model_type": "gemma3_text"}' > "$work/folder/config.json"
run inspect "$work/folder"
expect "inspect a folder: exit code" 0 $?
says "inspect a folder" 'hone does not run it:'
says "inspect a folder" '"model_type" is gemma3_text; of Hugging Face folders hone reads llama'
run inspect "$work/empty"
expect "inspect an empty folder: exit code" 2 $?
says "inspect an empty folder" "neither config.json (a model) nor adapter_config.json (an adapter) is there"
run verify
expect "no model: exit code" 2 $?
run verify "$model" "a text"
expect "a text without --numerics: exit code" 2 $?
says "a text without --numerics" "is for --numerics"
exit $failed
