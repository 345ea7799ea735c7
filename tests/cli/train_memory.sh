#!/bin/sh
# `hone train --memory`: the limit is kept by the process as the system counts it, or refused with the numbers before
# anything is begun.
# Usage: train_memory.sh HONE
set -u
hone=$1
[ -n "${HONE_TEST_MODEL:-}" ] || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
for i in 1 2 3 4 5 6 7 8; do
    printf '{"input":"%s number %d","output":"answer %d"}\n' "$(printf 'word%d ' $(seq $i $((i + 60))))" $i $i
done > "$work/data.jsonl"

# Fast: two steps. What is refused names the least; the least is enough, and is kept.
train() { "$hone" train -m "$HONE_TEST_MODEL" "$work/data.jsonl" --no-select --epochs 1 --batch 8 -o "$work/$1" --json --memory "$2"; }
train refused 100MiB > /dev/null 2> "$work/refused.err"
[ $? -eq 3 ] || fail "100 MiB must be refused with exit code 3: $(cat "$work/refused.err")"
grep -q "too little: at least .* are needed" "$work/refused.err" || fail "the refusal names no number: $(cat "$work/refused.err")"
grep -q "passes of .* rows" "$work/refused.err" || fail "the refusal does not say what takes how much"
[ ! -e "$work/refused" ] || fail "something was begun"
least=$(sed -n 's/.*at least \([0-9.]* [MG]iB\) are needed.*/\1/p' "$work/refused.err" | tr -d ' ')
limit=$(awk -v l="${least%MiB}" 'BEGIN { printf "%d", l + 1 }')
train kept "${limit}MiB" > "$work/kept.json" 2> "$work/kept.err" || fail "the least that was named is refused: $(cat "$work/kept.err")"
peak=$(sed -n 's/.*"peak_rss_bytes": \([0-9]*\).*/\1/p' "$work/kept.json")
[ "$peak" -le $((limit * 1048576)) ] || fail "$peak bytes were used, ${limit} MiB allowed"
grep -q '"recomputed": true' "$work/kept.json" || fail "blocks should be computed again: $(cat "$work/kept.json")"
echo "limit $limit MiB, peak $((peak / 1048576)) MiB"
