#!/bin/sh
# hone eval: scores, intervals and the paired comparison are recomputed here from the answers that it writes. On a tiny model with
# random weights, whose answers are steered by a file of allowed ones. Usage: eval.sh HONE
hone=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
model=$work/tiny.gguf
"$(dirname "$hone")/tests/tiny_model_file" "$model" || exit 1
failed=0
expect() { # what, wanted, got
    [ "$2" = "$3" ] || { printf '%s: expected [%s], got [%s]\n' "$1" "$2" "$3"; failed=1; }
}
number() { # key of the JSON on standard input, first occurrence
    grep -o "\"$1\": [-0-9.e]*" | head -n 1 | cut -d' ' -f2
}
i=0
while [ $i -lt 40 ]; do # 40 rows, of which 24 are answered yes
    case $((i % 5)) in 0) a=no ;; 1) a=maybe ;; *) a=yes ;; esac
    printf '{"input":"question %d","output":"%s"}\n' $i $a
    i=$((i + 1))
done > "$work/rows.jsonl"

sed '31,$s/"output":"[a-z]*"/"output":"no"/' "$work/rows.jsonl" > "$work/test.jsonl" # ten that tuning gets wrong, but for the base's habit

"$hone" train -m "$model" "$work/rows.jsonl" -o "$work/adapter" --no-select -e 40 --lr 0.01 -r 8 -b 4 -t 1 > /dev/null 2>&1 || { echo "training failed"; exit 1; }
"$hone" eval -m "$model" "$work/test.jsonl" --adapter "$work/adapter" --against base --choices-from "$work/rows.jsonl" \
    --answers "$work/answers.jsonl" --json > "$work/result.json" 2> "$work/err" || { cat "$work/err"; exit 1; }
expect "a line a row" 40 "$(wc -l < "$work/answers.jsonl" | tr -d ' ')"
expect "only allowed answers" "" "$(grep -o '"answer":"[^"]*"' "$work/answers.jsonl" | grep -v -e '"yes"' -e '"no"' -e '"maybe"')"

# Counted from the answers: right ones, discordant pairs; Wilson 1927 for the interval, the binomial tail for McNemar's p.
sed 's/.*"reference":"\([^"]*\)","answer":"\([^"]*\)".*"against":"\([^"]*\)".*/\1 \2 \3/' "$work/answers.jsonl" > "$work/table"
awk '{ n++; a += $1 == $2; b += $1 == $3; oa += $1 == $2 && $1 != $3; ob += $1 != $2 && $1 == $3 }
    END {
        z = 1.959963984540054; p = a / n; m = (p + z * z / (2 * n)) / (1 + z * z / n)
        h = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        k = oa + ob; least = oa < ob ? oa : ob; tail = 0; c = 1
        for (i = 0; i <= least; i++) { tail += c; c = c * (k - i) / (i + 1) }
        pv = 2 * tail / 2 ^ k; if (pv > 1) pv = 1
        printf "%.6f %.6f %.6f %.6f %.6f %.6f\n", p, m - h, m + h, b / n, (a - b) / n, pv
    }' "$work/table" > "$work/counted"
read -r score low high other difference p < "$work/counted"
got() { printf '%.6f' "$(number "$1" < "$2")"; }
expect score "$score" "$(got score "$work/result.json")"
expect difference "$difference" "$(got difference "$work/result.json")"
expect "p of McNemar" "$p" "$(got p "$work/result.json")"
expect "the base's score" "$other" "$(printf '%.6f' "$(tr -d '\n ' < "$work/result.json" | sed 's/.*"against":{[^}]*"score":\([^,]*\).*/\1/')")"
own=$(tr -d '\n ' < "$work/result.json" | sed 's/"against".*//; s/.*"ci":\[\([^]]*\)\].*/\1/')
expect "interval, low" "$low" "$(printf '%.6f' "${own%,*}")"
expect "interval, high" "$high" "$(printf '%.6f' "${own#*,}")"
awk -v s="$score" -v o="$other" 'BEGIN { exit !(s > o) }' || { echo "tuning on these rows helped nothing ($score, $other): the test shows too little"; failed=1; }

"$hone" eval -m "$model" "$work/rows.jsonl" --min-score 0.99 > /dev/null 2> "$work/err"
expect "below --min-score: exit code" 1 $?
expect "and it is said" 1 "$(grep -c 'below --min-score 0.99' "$work/err")"

# Choices that lack what the rows have for answers: said, as no answer could be right. "No" is right for "no" (leniently).
printf '{"input":"x","output":"No"}\n{"input":"y","output":"perhaps"}\n' > "$work/others.jsonl"
"$hone" eval -m "$model" "$work/rows.jsonl" --choices-from "$work/others.jsonl" > "$work/out" 2> "$work/err"
expect "foreign choices are said" 1 "$(grep -c 'the answers of 32 of 40 rows are not among the 2 of ' "$work/err")"
expect "what answers are held to" 1 "$(grep -c 'held to the 2 answers of ' "$work/out")"

refuse() { # words in the message, arguments...
    words=$1
    shift
    message=$("$hone" eval -m "$model" "$@" 2>&1 > /dev/null)
    expect "$*: exit code" 2 "$?"
    case $message in *"$words"*) ;; *) printf '%s: "%s" is not in "%s"\n' "$*" "$words" "$message"; failed=1 ;; esac
}
refuse "name one file"
refuse "there are: label, exact" "$work/rows.jsonl" --metric bleu
refuse "rows.jsonl:1: the reference \"no\" holds no number" "$work/rows.jsonl" --metric number
refuse "scores go from 0 to 1; for 85 % write 0.85" "$work/rows.jsonl" --min-score 85
refuse "absent" "$work/rows.jsonl" --adapter "$work/absent"
printf '{"input":"x"}\n' > "$work/bad.jsonl"
refuse "bad.jsonl:1" "$work/bad.jsonl"
exit $failed
