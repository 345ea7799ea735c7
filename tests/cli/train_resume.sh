#!/bin/sh
# hone train: killed with -9 and continued, another number of threads, a full disk, a second trainer, another run's
# checkpoint, bad rows. Needs the real model (HONE_TEST_MODEL). Usage: train_resume.sh HONE
hone=$1
[ -n "${HONE_TEST_MODEL:-}" ] || { echo "skipped: HONE_TEST_MODEL is not set"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work"/*.err 2>/dev/null; exit 1; }

i=0
while [ $i -lt 24 ]; do
    echo "{\"input\":\"How many times may I use card $i abroad before it is blocked for good?\",\"output\":\"label_$((i % 3))\"}"
    i=$((i + 1))
done > "$work/data.jsonl"
settings="--rank 4 --batch 8 --no-select --json"
train() { "$hone" train -m "$HONE_TEST_MODEL" "$work/data.jsonl" $settings "$@"; }
adapter() { sha256sum < "$work/$1/adapter_model.safetensors"; }

train -o "$work/whole" --epochs 4 > "$work/whole.json" 2> "$work/whole.err" || fail "training"
train -o "$work/one" --epochs 4 --threads 1 > /dev/null 2> "$work/one.err" || fail "training on one thread"
[ "$(adapter whole)" = "$(adapter one)" ] || fail "one thread gives other bits than all threads"

# A checkpoint after every step, so that a kill at any instant finds one.
kills=0
while ! [ -f "$work/killed/hone.json" ]; do
    env HONE_CHECKPOINT_SECONDS=0 "$hone" train -m "$HONE_TEST_MODEL" "$work/data.jsonl" $settings -o "$work/killed" --epochs 4 \
        > "$work/killed.json" 2> "$work/killed.err" &
    pid=$!
    if [ $kills -lt 3 ]; then
        tries=0
        until [ -f "$work/killed/checkpoint.bin" ] && [ "$work/killed/checkpoint.bin" -nt "$work/whole.json" ] && [ $tries -ge $((5 + 7 * kills)) ]; do
            sleep 0.1
            tries=$((tries + 1))
            [ $tries -gt 300 ] && break
        done
        kill -9 $pid 2>/dev/null
        kills=$((kills + 1))
    fi
    wait $pid 2>/dev/null
done
[ "$(adapter whole)" = "$(adapter killed)" ] || fail "a run killed $kills times ends with other bits"
grep -q '"resumed": true' "$work/killed.json" || fail "the continued run does not say that it was resumed"

# Finished work is not done again; another run's folder is not overwritten silently.
train -o "$work/killed" --epochs 4 > "$work/again.json" 2> "$work/again.err" || fail "asking again"
grep -q '"resumed": true' "$work/again.json" || fail "a finished run was trained again"

kept=$(adapter killed)
train -o "$work/killed" --epochs 2 > /dev/null 2> "$work/over.err"
[ $? -eq 2 ] || fail "the finished adapter of another run was overwritten"
grep -q "finished adapter of another run" "$work/over.err" || fail "the refusal does not say why"
[ "$kept" = "$(adapter killed)" ] || fail "the finished adapter changed"

# Another run's checkpoint is refused.
env HONE_CHECKPOINT_SECONDS=0 "$hone" train -m "$HONE_TEST_MODEL" "$work/data.jsonl" $settings -o "$work/other" --epochs 40 \
    > /dev/null 2> "$work/other.err" &
pid=$!
tries=0
until [ -f "$work/other/checkpoint.bin" ] || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
train -o "$work/other" --epochs 40 > /dev/null 2> "$work/busy.err"
[ $? -eq 2 ] || fail "a second trainer on the folder was not refused"
grep -q "another hone" "$work/busy.err" || fail "the second trainer does not say why"
kill -9 $pid; wait $pid 2>/dev/null
train -o "$work/other" --epochs 40 --lr 5e-4 > /dev/null 2> "$work/different.err"
[ $? -eq 2 ] || fail "another run's checkpoint was accepted"
grep -q "checkpoint of another run" "$work/different.err" || fail "the refusal does not say why"

# A full disk (here: a limit on file sizes) stops with a clear error and leaves the last good checkpoint.
before=$(sha256sum < "$work/other/checkpoint.bin")
(trap '' XFSZ; ulimit -f 4; HONE_CHECKPOINT_SECONDS=0 train -o "$work/other" --epochs 40) > /dev/null 2> "$work/full.err"
[ $? -eq 3 ] || fail "a disk that is full must end with exit code 3"
grep -q "cannot write" "$work/full.err" || fail "the full disk is not named"
[ "$before" = "$(sha256sum < "$work/other/checkpoint.bin")" ] || fail "the last good checkpoint was lost"

# Bad rows are named with file and line.
bad() {
    printf '%s\n' "$1" > "$work/bad.jsonl"
    "$hone" train -m "$HONE_TEST_MODEL" "$work/bad.jsonl" --no-select -o "$work/bad" > /dev/null 2> "$work/bad.err"
    [ $? -eq 2 ] || fail "accepted: $1"
    grep -q "bad.jsonl:1" "$work/bad.err" || fail "no file and line for: $1"
    grep -q "$2" "$work/bad.err" || fail "expected \"$2\" for: $1"
}
bad '{"input":"x","output":""}' "say nothing"
bad '{"input":"x"}' "expected"
bad '{"input":' "bad.jsonl:1"
bad "{\"input\":\"$(printf 'word %.0s' $(seq 9000))\",\"output\":\"x\"}" "context"
"$hone" train -m "$HONE_TEST_MODEL" "$work/data.jsonl" --lr 0.9 --epochs 30 --no-select -o "$work/nan" > /dev/null 2> "$work/nan.err"
case $? in 0 | 2) ;; *) fail "a learning rate of 0.9 must train or stop with a message" ;; esac
"$hone" train -m "$HONE_TEST_MODEL" "$work/data.jsonl" --rank 5000 -o "$work/r" > /dev/null 2> "$work/rank.err"
[ $? -eq 2 ] || fail "rank 5000 was accepted"
echo "killed $kills times, same bits"
