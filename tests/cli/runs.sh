#!/bin/sh
# `hone runs` and `hone runs show`: what a task's ledger remembers, an interrupted comparison marked with the command that goes on.
# Baselines alone need no model, so this is a real comparison. Usage: runs.sh HONE
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

mkdir "$work/task"
printf 'name: colours\ndata: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\n' >"$work/task/task.yaml"
awk 'BEGIN { for (i = 0; i < 90; i++) { c = i % 3 == 0 ? "red" : i % 3 == 1 ? "green" : "blue"
    printf "{\"input\": \"row %d is painted %s all over\", \"output\": \"%s\"}\n", i, c, c } }' >"$work/task/train.jsonl"
awk 'BEGIN { for (i = 100; i < 220; i++) { c = i % 3 == 0 ? "red" : i % 3 == 1 ? "green" : "blue"
    printf "{\"input\": \"row %d is painted %s all over\", \"output\": \"%s\"}\n", i, c, c } }' >"$work/task/test.jsonl"

expect 2 "no comparison was begun here yet" runs "$work/task"
[ -e "$work/task/.hone" ] && fail "a list of runs created a ledger"
expect 2 "no such task" runs "$work/nowhere"
expect 2 "one task at a time" runs a b
expect 2 "which run?" runs show
expect 2 "\"x\" is no run" runs show x "$work/task"
expect 2 "no finished comparison here yet" runs show 1 "$work/task"

"$hone" compare "$work/task" --approaches majority,tfidf-logistic --json >"$work/one.json" 2>"$work/log" || fail "compare: $(cat "$work/log")"
"$hone" compare "$work/task" --approaches majority,tfidf-logistic --test-rows 90 --json >"$work/two.json" 2>"$work/log" ||
    fail "compare: $(cat "$work/log")"
expect 0 "baseline: nearest neighbour" runs "$work/task"
"$hone" runs "$work/task" --json >"$work/runs.json" || fail "hone runs --json"
[ "$(grep -c '"state": "finished"' "$work/runs.json")" = 2 ] || fail "two finished runs are not listed: $(cat "$work/runs.json")"
grep -q '"test_rows": 120' "$work/runs.json" && grep -q '"test_rows": 90' "$work/runs.json" || fail "the rows of the runs are not told"
grep -q '"test_openings": 2' "$work/runs.json" || fail "the second look at the test is not told"

# The report of the first run as it was when it ended, and not that of the last. (The ledger keeps keys in another order.)
same() { # whatever the order of keys
    sed 's/,$//' "$1" | sort >"$work/a"
    sed 's/,$//' "$2" | sort >"$work/b"
    cmp -s "$work/a" "$work/b"
}
"$hone" runs show 1 "$work/task" --json >"$work/shown.json" || fail "runs show 1"
same "$work/one.json" "$work/shown.json" || fail "run 1 is shown otherwise than it ended"
"$hone" runs show 2 "$work/task/task.yaml" --json >"$work/shown.json" || fail "runs show 2"
same "$work/two.json" "$work/shown.json" || fail "run 2 is shown otherwise than it ended"
same "$work/one.json" "$work/shown.json" && fail "runs 1 and 2 are not told apart"
expect 2 "no run 9" runs show 9 "$work/task"

# A run without an end is marked, and says how to go on. (As a kill leaves it: begun, not finished.)
python=$(command -v python3 || true)
if [ -n "$python" ]; then
    "$python" - "$work/task/.hone/ledger.sqlite" <<'PY' || fail "cannot write to the ledger"
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
ledger.execute("INSERT INTO runs (run_key, settings, started) VALUES ('k', ?, '2000-01-02T03:04:05Z')",
               ('{"level": "full", "test_rows": 120, "command": "hone compare colours"}',))
ledger.commit()
PY
    expect 0 "interrupted" runs "$work/task"
    expect 0 "goes on with: hone compare colours" runs "$work/task"
    expect 2 "has not come to its end" runs show 3 "$work/task"
    "$hone" runs "$work/task" --json | grep -q '"state": "interrupted"' || fail "the JSON does not mark an interrupted run"
fi
echo "runs are listed, shown and marked"
