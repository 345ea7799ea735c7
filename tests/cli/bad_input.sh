#!/bin/sh
# Bad input to a comparison, case by case: the exit code, and a message that names place and cause. Models are damaged copies of
# HONE_TEST_MODEL (a GGUF file of a llama model); without it those cases are skipped. Usage: bad_input.sh HONE
hone=$1
work=$(mktemp -d) || exit 3
trap 'rm -rf "$work"' EXIT
export HONE_HOME="$work/home"
fail() {
    echo "FAILED: $1"
    exit 1
}
expect() { # code pattern arguments...
    code=$1 pattern=$2
    shift 2
    text=$("$hone" "$@" 2>&1)
    got=$?
    [ "$got" = "$code" ] || fail "hone $*: exit $got, not $code: $text"
    case $text in
    *"$pattern"*) ;;
    *) fail "hone $*: does not say \"$pattern\": $text" ;;
    esac
}
rows() { # FROM TO
    awk -v from="$1" -v to="$2" 'BEGIN { for (i = from; i < to; i++) { c = i % 3 == 0 ? "red" : i % 3 == 1 ? "green" : "blue"
        printf "{\"input\": \"row %d is painted %s all over\", \"output\": \"%s\"}\n", i, c, c } }'
}
task() { # NAME: a fresh good task
    mkdir "$work/$1"
    printf 'data: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\n' >"$work/$1/task.yaml"
    rows 0 60 >"$work/$1/train.jsonl"
    rows 100 130 >"$work/$1/test.jsonl"
}
baselines="--approaches majority,tfidf-logistic"

# ---- rows (without a model)
task good
# shellcheck disable=SC2086 # a list of words
expect 0 "report:" compare "$work/good" $baselines
task json
echo '{"input": oops}' >>"$work/json/train.jsonl"
expect 2 "train.jsonl:61: column 14: bad JSON" compare "$work/json" $baselines
task empty
echo '{"input": "x", "output": ""}' >>"$work/empty/train.jsonl"
expect 2 'train.jsonl:61: "output" is empty' compare "$work/empty" $baselines
task unknown
echo '{"input": "x", "output": "mauve"}' >>"$work/unknown/test.jsonl"
expect 2 'test.jsonl:31: label "mauve" stands in the test only' compare "$work/unknown" $baselines
task one
sed -i 's/"output": "[a-z]*"/"output": "red"/' "$work/one/train.jsonl" "$work/one/test.jsonl"
expect 2 "with one label there is nothing to decide" compare "$work/one" $baselines
task three
rows 0 3 >"$work/three/train.jsonl"
expect 2 "3 different rows; at least" compare "$work/three" $baselines
task none
: >"$work/none/test.jsonl"
expect 2 "test.jsonl: holds no rows" compare "$work/none" $baselines

# ---- places that cannot be written
task closed
: >"$work/closed/.hone"
expect 3 "must be writable" compare "$work/closed" $baselines
expect 2 "cannot write" compare "$work/good" $baselines --html "$work/nowhere/report.html"

# A disk that is full in the middle (here: a limit on file sizes): said as such, and the same command goes on afterwards.
task full
(
    trap '' XFSZ
    ulimit -f 80
    "$hone" compare "$work/full" $baselines >"$work/out" 2>&1
)
code=$?
[ $code = 3 ] || fail "a full disk ends with $code, not 3: $(cat "$work/out")"
grep -q "free some space and run the same command again" "$work/out" || fail "a full disk is not named: $(cat "$work/out")"
expect 0 "report:" compare "$work/full" $baselines

# ---- models
expect 2 "nowhere.gguf: cannot open" compare "$work/good" -m "$work/nowhere.gguf"
expect 2 "smollm2-135m is not here yet; run: hone model pull smollm2-135m" compare "$work/good" -m smollm2-135m
expect 2 'did you mean "smollm2-135m"?' compare "$work/good" -m smolm2-135m
expect 2 "config.json is missing; a model is a GGUF file or a Hugging Face folder" compare "$work/good" -m "$work/good"
: >"$work/zero.gguf"
expect 2 "not a GGUF file" compare "$work/good" -m "$work/zero.gguf"
if [ -z "${HONE_TEST_MODEL:-}" ] || [ ! -f "$HONE_TEST_MODEL" ]; then
    echo "rows, places and names are refused as they should be; HONE_TEST_MODEL is not set: damaged models were not tried"
    exit 0
fi
copy="$work/model.gguf"
place_of() { grep -abo -m 1 "$1" "$HONE_TEST_MODEL" | head -n 1 | cut -d: -f1; }
put() { # OFFSET BYTES: a fresh copy with these bytes there
    cp --reflink=auto "$HONE_TEST_MODEL" "$copy"
    printf '%b' "$2" | dd of="$copy" bs=1 seek="$1" conv=notrunc 2>/dev/null
}
refused() { # pattern
    expect 2 "$1" compare "$work/good" -m "$copy" --quick
    expect 2 "$1" run -m "$copy"
}
head -c 50000000 "$HONE_TEST_MODEL" >"$copy"
refused "it is truncated or damaged: fetch it again"
head -c 3000 "$HONE_TEST_MODEL" >"$copy"
refused "the file ends within"
put "$(place_of llama)" 'qwen9'
refused 'architecture "qwen9"'
first=$(($(place_of 'blk.0.attn_q.weight') + 19)) # then: dimensions u32, each u64, type u32, offset u64 (GGUF 3)
put $((first + 20)) '\0143\0000\0000\0000'
refused 'tensor "blk.0.attn_q.weight" has type number 99'
put $((first + 24)) '\0377\0377\0377\0377\0377\0377\0377\0177'
refused 'outside the file'
put $((first + 4)) '\0377\0377\0377\0377\0377\0377\0377\0177'
refused "absurd size"
put 8 '\0377\0377\0377\0377\0377\0377\0377\0377'
refused "18446744073709551615 tensors"
rm -f "$copy"

# ---- examples longer than the model's context: before anything is spent, by the check and by the comparison
long=$(awk 'BEGIN { for (i = 0; i < 9000; i++) printf "word " }')
for file in train test; do
    task "long_$file"
    echo "{\"input\": \"$long\", \"output\": \"red\"}" >>"$work/long_$file/$file.jsonl"
    expect 1 "the model's context holds" check "$work/long_$file" -m "$HONE_TEST_MODEL"
    expect 2 "$file.jsonl:" compare "$work/long_$file" -m "$HONE_TEST_MODEL" --quick --approaches zero-shot,tuned-prompt
    expect 2 "the model's context holds 8192" compare "$work/long_$file" -m "$HONE_TEST_MODEL" --quick --approaches zero-shot,tuned-prompt
    case $text in *"zero-shot   "*) fail "work was done before the long row was found: $text" ;; esac
done
echo "bad rows, places and models are refused with place and cause"
