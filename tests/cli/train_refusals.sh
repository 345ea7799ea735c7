#!/bin/sh
# What hone train refuses, on a tiny model that the test writes: options that do not go together, values that cannot be, rows
# that teach nothing, folders that are somebody else's. Each ends with exit code 2, says why, and leaves no folder behind.
# Usage: train_refusals.sh HONE
hone=$1
. "$(dirname "$0")/on_tiny_model.inc"
cd "$work" || exit 1
i=0
while [ $i -lt 12 ]; do
    printf '{"input":"row %d","output":"%s"}\n' $i "$([ $((i % 2)) = 0 ] && echo even || echo odd)" >> rows.jsonl
    i=$((i + 1))
done
count=0

# refused REASON OPTION...
refused() {
    reason=$1
    shift
    "$hone" train -m tiny.gguf rows.jsonl --no-select -o out "$@" > out.txt 2> err
    code=$?
    [ $code -eq 2 ] || fail "$* ends with $code"
    grep -qF -- "$reason" err || fail "$*: the reason should hold \"$reason\""
    [ ! -e out/hone.json ] || fail "$* has left a result"
    rm -rf out
    count=$((count + 1))
}

# The model itself, or an adapter of one kind.
refused '--dora is a kind of adapter and --full trains the model itself' --dora --full
for option in '--rank 8' '--alpha 16' '--rslora' '--targets attention' '--rank-of down_proj=4'; do
    # shellcheck disable=SC2086
    refused '--full makes no adapter' --full $option
done
refused 'full fine-tuning has no adapter' --full --lora-plus 4
for option in --auto '--seeds 3' --curve; do
    # shellcheck disable=SC2086
    refused '--full trains once' --full $option
done
refused '--format and --type are for --full' --format hf
refused '--format and --type are for --full' --type f16 --dora
refused '--format parquet; it can be gguf (a file) or hf (a Hugging Face folder)' --full --format parquet
refused '--type q3_k; hone writes f32, f16, bf16 and q8_0' --full --type q3_k
refused '--type q8_0 is for GGUF files' --full --format hf --type q8_0

# Which layers.
refused 'match no layer' --targets nothing_like_it
refused 'is not a regular expression' --targets '('
refused 'rank 33' --rank 33
refused 'rank 33' --rank-of k_proj=33 --dora
refused '--rank 257; 1 to 256' --rank 257
refused 'is not PATTERN=RANK, as in q_proj=8' --rank-of down_proj
refused 'no_such' --rank-of no_such=4
refused 'block' --layers 7
refused 'block' --layers 0-1 --freeze 0
refused 'block' --freeze 0-1

# Numbers and words.
refused '--schedule steps; it can be linear, cosine, constant or wsd' --schedule steps
refused '--batch 0; 1 to 4096' --batch 0
refused 'outside what makes sense' --epochs 0
refused 'outside what makes sense' --lr 2
refused 'B at 0 times the rate of A' --lora-plus 0
refused '--train-on' --train-on first
refused '--too-long' --too-long shorten
refused '--balance' --balance even
refused '--seeds' --seeds 33
for option in --auto '--seeds 3' --curve '--patience 1'; do
    # shellcheck disable=SC2086
    refused 'judges by rows that are held out' $option
done

# Rows.
rows() { # REASON LINE...
    reason=$1
    shift
    printf '%s\n' "$@" > bad.jsonl
    "$hone" train -m tiny.gguf bad.jsonl --no-select -o out > out.txt 2> err
    code=$?
    [ $code -eq 2 ] || fail "$* ends with $code"
    grep -q "bad.jsonl:2: " err || fail "$*: no file and line"
    grep -qF -- "$reason" err || fail "$*: the reason should hold \"$reason\""
    [ ! -e out ] || fail "$* has begun something"
    count=$((count + 1))
}
good='{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}'
rows 'would learn to say nothing' "$good" '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":""}]}'
rows 'assistant' "$good" '{"messages":[{"role":"user","content":"a"}]}'
rows 'role "robot"' "$good" '{"messages":[{"role":"robot","content":"a"},{"role":"assistant","content":"b"}]}'
rows 'content' "$good" '{"messages":[{"role":"user"},{"role":"assistant","content":"b"}]}'
rows 'weight' "$good" '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":2}]}'
rows 'weight' "$good" '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0}]}'

# A folder in which another trainer is at work, and one that holds another run's result.
mkdir busy
(exec 9> busy/.lock; flock 9; exec sleep 20) &
holder=$!
tries=0
until ! flock -n busy/.lock true || [ $tries -gt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
"$hone" train -m tiny.gguf rows.jsonl --no-select -o busy -e 1 > out.txt 2> err
code=$?
kill $holder
[ $code -eq 2 ] || fail "a second trainer on a folder ends with $code"
grep -q 'another hone' err || fail "a second trainer is refused without the reason"
"$hone" train -m tiny.gguf rows.jsonl --no-select -o done -e 1 --dora > out.txt 2> err || fail "training"
before=$(sha256sum < done/adapter_model.safetensors)
"$hone" train -m tiny.gguf rows.jsonl --no-select -o done -e 1 > out.txt 2> err
[ $? -eq 2 ] || fail "another run's adapter was overwritten"
grep -q 'finished adapter of another run' err || fail "another run's folder is refused without the reason"
[ "$before" = "$(sha256sum < done/adapter_model.safetensors)" ] || fail "another run's adapter has changed"

# DoRA has no place in a GGUF adapter; merged it has, also as a folder, which then must not be there yet.
"$hone" model export -m tiny.gguf --adapter done --to gguf-lora lora.gguf > out.txt 2> err
[ $? -eq 2 ] && grep -q 'hone model merge' err || fail "exporting DoRA"
[ ! -e lora.gguf ] || fail "a refused export has left a file"
"$hone" model merge -m tiny.gguf --adapter done -o merged --format hf --type f32 > out.txt 2> err || fail "merging DoRA"
grep -q 'same in 64 of 64 places' out.txt || fail "the merged folder says something else"
"$hone" model merge -m tiny.gguf --adapter done -o merged --format hf > out.txt 2> err
[ $? -eq 2 ] && grep -q 'is there already' err || fail "a folder was overwritten"
"$hone" model merge -m tiny.gguf > out.txt 2> err
[ $? -eq 2 ] && grep -q 'hone model convert' err || fail "merging to nowhere"
"$hone" model convert -m merged -o back.gguf --type f16 > out.txt 2> err || fail "a folder to a file"
"$hone" model convert -m back.gguf -o again --format hf --type bf16 > out.txt 2> err || fail "a file to a folder"

# The result of --full in each form is a model.
"$hone" train -m tiny.gguf rows.jsonl --no-select -o full -e 1 --full --format hf --type f16 > out.txt 2> err || fail "--full --format hf"
grep -q 'hone run -m full$' out.txt || fail "the next command does not name the folder"
echo hello | "$hone" run -m full -n 4 > out.txt 2> err || fail "running the tuned folder"
"$hone" train -m full rows.jsonl --no-select -o full2 -e 1 --full --format hf > out.txt 2> err || fail "tuning a tuned folder"
"$hone" train -m full rows.jsonl --no-select -o full3 -e 1 --full > out.txt 2> err || fail "tuning a folder to a file"
echo hello | "$hone" run -m full3/model.gguf -n 4 > out.txt 2> err || fail "running the tuned file"
for pair in 'full hf full' 'full3/model.gguf gguf full3'; do
    # shellcheck disable=SC2086
    set -- $pair
    before=$(sha256sum full/model.safetensors full3/model.gguf)
    "$hone" train -m "$1" rows.jsonl --no-select -o "$3" -e 2 --full --format "$2" > out.txt 2> err
    [ $? -eq 2 ] && grep -q 'would overwrite the one that it is made from' err || fail "$1 over itself"
    [ "$before" = "$(sha256sum full/model.safetensors full3/model.gguf)" ] || fail "$1 was overwritten"
done
(trap '' XFSZ; ulimit -f 100; exec "$hone" train -m tiny.gguf rows.jsonl --no-select -o nodisk -e 1 --full --format hf) > out.txt 2> err
[ $? -eq 3 ] || fail "a full disk"
grep -q 'cannot write' err || fail "the full disk is not named"
[ ! -e nodisk/model.safetensors ] && [ ! -e nodisk/hone.json ] || fail "a half-written model is left"
echo "$count refusals, each with its reason"
