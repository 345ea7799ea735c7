#!/bin/sh
# check.sh - `hone init` and `hone check` from a user's side: output, exit codes, messages. Usage: check.sh HONE
hone=$1
case $hone in /*) ;; *) hone=$PWD/$hone ;; esac
source=$PWD
work=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export HONE_HOME="$work/home"
failures=0

# expect CODE TEXT COMMAND...: the command ends with CODE and its output (both streams) holds TEXT.
expect() {
    wanted=$1 text=$2
    shift 2
    out=$("$@" 2>&1)
    code=$?
    if [ $code -ne "$wanted" ]; then
        echo "FAILED: $* ended with $code, not $wanted:"; echo "$out"; failures=$((failures + 1))
    elif ! printf '%s' "$out" | grep -qF -- "$text"; then
        echo "FAILED: $* does not say: $text"; echo "$out"; failures=$((failures + 1))
    fi
}

rows() { # rows FROM TO LABELS
    i=$1
    while [ "$i" -le "$2" ]; do
        echo "{\"input\": \"question number $i\", \"output\": \"label $((i % $3))\"}"
        i=$((i + 1))
    done
}

# the example of the repository
cp -r "$source/examples/bank_intents" "$work/bank"
rm -rf "$work/bank/.hone"
expect 0 "1,000 test rows" "$hone" check "$work/bank"
expect 0 "77 labels" "$hone" check "$work/bank/task.yaml"
expect 0 '"test_openings": 0' "$hone" check "$work/bank" --json
expect 0 '"passed": true' "$hone" check "$work/bank" --json

# the same splits the second time, and in a copy elsewhere
a=$("$hone" check "$work/bank" --json | grep train_hash)
cp -r "$source/examples/bank_intents" "$work/copy"
rm -rf "$work/copy/.hone"
b=$("$hone" check "$work/copy" --json | grep train_hash)
if [ -z "$a" ] || [ "$a" != "$b" ]; then
    echo "FAILED: a copy has other splits: $a $b"; failures=$((failures + 1))
fi

# a task found in the current folder; init in an empty folder, from a CSV, never twice
mkdir "$work/empty"
cd "$work/empty" || exit 2
expect 2 "task.yaml: no such file" "$hone" check
expect 0 "next: hone check" "$hone" init
expect 1 "3 labels" "$hone" check # a dozen rows open, but their test decides nothing
expect 2 "exists already and is not overwritten" "$hone" init
cd "$source" || exit 2
{ echo "ticket,message,team"; i=0; while [ $i -lt 200 ]; do echo "$i,\"please help, case $i\",team $((i % 4))"; i=$((i + 1)); done; } > "$work/data.csv"
expect 0 'input is read from "message", output from "team"' "$hone" init "$work/fromcsv" --from "$work/data.csv"
expect 0 "4 labels" "$hone" check "$work/fromcsv"
expect 2 "examples are read from .jsonl or .csv" "$hone" init "$work/x" --from "$source/LICENSE"

# a failed check ends with 1: rows of the test in train
mkdir "$work/leak"
printf 'data: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\n' > "$work/leak/task.yaml"
rows 1 105 2 > "$work/leak/train.jsonl"
rows 101 300 2 > "$work/leak/test.jsonl"
expect 1 "FAIL  leaks" "$hone" check "$work/leak"
expect 1 "train.jsonl:101 is $work/leak/test.jsonl:1" "$hone" check "$work/leak"
expect 1 '"exact_duplicates": 5' "$hone" check "$work/leak" --json

# bad input ends with 2 and names the place
mkdir "$work/bad"
printf 'name: x\ndata: {train: train.jsonl}\nmetrics: accuracy\n' > "$work/bad/task.yaml"
expect 2 'task.yaml:3: unknown key "metrics" in task (did you mean "metric"?)' "$hone" check "$work/bad"
printf 'data: {train: train.jsonl}\noutput: {kind: label}\n' > "$work/bad/task.yaml"
expect 2 "train.jsonl: no such file" "$hone" check "$work/bad"
rows 1 3 2 > "$work/bad/train.jsonl"
expect 2 "3 different rows; at least 10 are needed" "$hone" check "$work/bad"
rows 1 30 1 > "$work/bad/train.jsonl"
expect 2 "with one label there is nothing to decide" "$hone" check "$work/bad"
{ rows 1 30 2; echo '{"input": "a", "output": ""}'; } > "$work/bad/train.jsonl"
expect 2 'train.jsonl:31: "output" is empty' "$hone" check "$work/bad"
{ rows 1 30 2; echo '{"input": "a", "output": "b"'; } > "$work/bad/train.jsonl"
expect 2 "train.jsonl:31: column" "$hone" check "$work/bad"
expect 2 "did you mean --json?" "$hone" check --jsno
expect 2 "one task at a time" "$hone" check a b
expect 0 "usage: hone check" "$hone" check --help
expect 0 "usage: hone init" "$hone" init --help

# a ledger that cannot be read, and one that cannot be written, are told apart from bad input
rows 1 30 2 > "$work/bad/train.jsonl"
mkdir -p "$work/bad/.hone"
head -c 8192 "$source/LICENSE" > "$work/bad/.hone/ledger.sqlite"
expect 2 "is damaged or not a ledger" "$hone" check "$work/bad"
rm -r "$work/bad/.hone"
: > "$work/bad/.hone"
expect 3 "must be writable" "$hone" check "$work/bad"

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all good"
