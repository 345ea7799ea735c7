#!/bin/sh
# A whole comparison on a tiny task with a real model: once undisturbed, once killed with -9 again and again and continued. Both must
# come to the same scores, answers, comparisons and verdict, with one opening of the test each.
# Needs HONE_TEST_MODEL (a GGUF file of a chat model); without it the test is skipped.
# Usage: compare_small.sh HONE
hone=$1
[ -n "$HONE_TEST_MODEL" ] && [ -f "$HONE_TEST_MODEL" ] || { echo "HONE_TEST_MODEL is not set"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }

# 3 labels, 40 short rows each for training, 10 each for the test; the same words decide, the rest varies.
make_task() {
    mkdir -p "$1"
    awk 'BEGIN {
        split("weather food sport", label, " ")
        split("rain sun storm snow wind|bread soup rice cheese apple|football tennis swimming cycling rowing", group, "|")
        split("today tomorrow again here outside now soon always", end, " ")
        for (l = 1; l <= 3; l++) {
            split(group[l], word, " ")
            for (i = 0; i < 40; i++)
                printf "{\"input\": \"We talked about %s and %s %s\", \"output\": \"%s\"}\n", word[i % 5 + 1],
                    word[int(i / 5) % 5 + 1], end[i % 8 + 1], label[l]
        }
    }' > "$1/all.jsonl"
    awk '!seen[$0]++' "$1/all.jsonl" > "$1/rows.jsonl"
    awk '{ print > (NR % 4 == 0 ? test : train) }' train="$1/train.jsonl" test="$1/test.jsonl" "$1/rows.jsonl"
    rm "$1/all.jsonl" "$1/rows.jsonl"
    cat > "$1/task.yaml" <<YAML
name: topics
data: {train: train.jsonl, test: test.jsonl}
output: {kind: label}
prompt:
  role: You sort short notes.
  instruction: Reply with the topic of the note.
YAML
}

compare() { # TASK HOME OUT
    HONE_HOME=$2 "$hone" compare "$1" -m "$HONE_TEST_MODEL" --quick --approaches zero-shot,few-shot,retrieved-few-shot,tuned-prompt --json \
        > "$3" 2> "$3.log"
}

# What must not depend on time: names, scores, answers, comparisons, the choice, the openings.
essence() {
    grep -E '^ *"(name|score|select_name|select_tune|n|a|b|difference|p|p_adjusted|only_a|only_b|finding|kind|choose|winner|test_openings|answer|raw|tokens_in)":' "$1"
}

make_task "$work/one"
make_task "$work/two"
compare "$work/one" "$work/home1" "$work/one.json" || { cat "$work/one.json.log"; fail "the undisturbed run exits with $?"; }
[ -s "$work/one/.hone/report.html" ] || fail "no report.html"

killed=0
marked=0
for seconds in 1 2 3 4 6 8; do
    HONE_HOME=$work/home2 "$hone" compare "$work/two" -m "$HONE_TEST_MODEL" --quick \
        --approaches zero-shot,few-shot,retrieved-few-shot,tuned-prompt --json > "$work/cut.json" 2> "$work/cut.log" &
    pid=$!
    sleep "$seconds"
    kill -9 $pid 2> /dev/null && killed=$((killed + 1))
    wait $pid 2> /dev/null
    "$hone" runs "$work/two" > "$work/runs.txt" 2>&1 # nothing yet where the kill came before the run had begun
    grep -q ' interrupted$' "$work/runs.txt" && marked=$((marked + 1))
done
[ $killed -ge 1 ] || fail "every run ended before it could be killed"
[ $marked -ge 1 ] || { cat "$work/runs.txt"; fail "hone runs marked no killed run as interrupted"; }
compare "$work/two" "$work/home2" "$work/two.json" || { cat "$work/two.json.log"; fail "the continued run exits with $?"; }

essence "$work/one.json" > "$work/one.txt"
essence "$work/two.json" > "$work/two.txt"
[ "$(wc -l < "$work/one.txt")" -ge 50 ] || fail "the result holds less than expected"
diff "$work/one.txt" "$work/two.txt" || fail "the continued run found something else than the undisturbed one"
grep -q '"test_openings": 1' "$work/two.json" || fail "a continued run must count as one opening of the test"

# A second hone on the same task is refused while the first works, and says why.
HONE_HOME=$work/home2 "$hone" compare "$work/two" -m "$HONE_TEST_MODEL" --seed 2 --quick --approaches few-shot --json > /dev/null 2>&1 &
pid=$!
sleep 2
if kill -0 $pid 2> /dev/null; then
    HONE_HOME=$work/home2 "$hone" compare "$work/two" -m "$HONE_TEST_MODEL" --seed 2 --quick --approaches few-shot > /dev/null 2> "$work/busy.log"
    code=$?
    if kill -0 $pid 2> /dev/null; then
        [ $code -eq 2 ] || fail "a second hone on the task exits with $code"
        grep -q 'another hone' "$work/busy.log" || fail "a second hone on the task does not say why it stops"
    fi
    kill -9 $pid 2> /dev/null
fi
wait $pid 2> /dev/null
echo "killed $killed times, same result"
