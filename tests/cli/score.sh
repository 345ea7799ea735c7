#!/bin/sh
# `hone score` and `hone run` on prompts in parts and prompts that are too long. Usage: score.sh HONE
# Expected values are those of the same tokens scored as a whole line (compared with transformers in test_oracle.c).
hone=$1
[ -r "${HONE_TEST_MODEL:-}" ] || { echo "skipped: set HONE_TEST_MODEL to SmolLM2-135M-Instruct.Q4_1.gguf"; exit 77; }
failed=0
expect() { # what, wanted, got
    [ "$2" = "$3" ] || { printf '%s: expected [%s], got [%s]\n' "$1" "$2" "$3"; failed=1; }
}
score() {
    "$hone" score -m "$HONE_TEST_MODEL" "$@"
}
# numbers of "logprobs" of a line, from the given one on
logprobs() {
    sed -n "$1p" | sed 's/.*"logprobs":\[//; s/\].*//' | tr ',' '\n' | tail -n "+$2" | tr '\n' ' '
}

# 6 tokens: "The capital of France is Paris"
out=$(printf '%s\n' '{"text":"The capital of France is Paris"}' '{"text":"The capital of France is Paris","from":5}' \
    '{"context":"The capital of France is","continuation":" Paris"}' \
    '{"context":"The capital of France is ","continuation":"Paris"}' | score) || failed=1
whole=$(printf '%s' "$out" | logprobs 1 6)
expect "whole: the first has none" null "$(printf '%s' "$out" | logprobs 1 1 | cut -d' ' -f1)"
expect "from: five have none" "null null null null null " "$(printf '%s' "$out" | logprobs 2 1 | sed 's/-.*//')"
expect "from: the last is the same" "$whole" "$(printf '%s' "$out" | logprobs 2 6)"
expect "continuation: the same" "$whole" "$(printf '%s' "$out" | logprobs 3 1)"
expect "the space may stand in the context" "$(printf '%s\n' "$out" | sed -n 3p)" "$(printf '%s\n' "$out" | sed -n 4p)"
expect "greedy" 1 "$(printf '%s\n' "$out" | sed -n 3p | grep -c '"greedy":true,"context_tokens":5}')"
expect "not greedy" 1 "$(echo '{"context":"The capital of France is","continuation":" blue"}' | score | grep -c '"greedy":false')"

refuse() { # what, words in the message, input, arguments...
    what=$1 words=$2 input=$3
    shift 3
    message=$(printf '%s\n' "$input" | "$hone" "$@" -m "$HONE_TEST_MODEL" 2>&1 > /dev/null)
    expect "$what: exit code" 2 "$?"
    case $message in *"$words"*) ;; *) printf '%s: "%s" is not in "%s"\n' "$what" "$words" "$message"; failed=1 ;; esac
}
refuse "no context" "input:1: \"context\" is empty" '{"context":" ","continuation":""}' score
refuse "no continuation" "no tokens of its own" '{"context":"a b","continuation":""}' score
refuse "from beyond" "0 to 1 here" '{"ids":[5],"from":2}' score
refuse "from in a continuation" "\"from\"" '{"context":"a","continuation":" b","from":1}' score
refuse "neither" "neither" '{"context":"a"}' score

# Too long: refused with the numbers, or the oldest turns go and it is said.
long_text=$(yes word | head -9000 | tr '\n' ' ')
refuse "too long" "exceed the model's context of 8192" "$long_text" run --raw -n 4
refuse "too long to score" "exceed the model's context of 8192" "{\"text\":\"$long_text\"}" score
talk='{"role":"user","content":"Say yes."}'
long="{\"messages\":[{\"role\":\"user\",\"content\":\"$long_text\"},{\"role\":\"assistant\",\"content\":\"ok\"},$talk]}"
shortened=$(printf '%s\n' "$long" | "$hone" run -m "$HONE_TEST_MODEL" --jsonl --truncate -n 4 2> "${TMPDIR:-/tmp}/hone-score-$$")
alone=$(printf '%s\n' "{\"messages\":[$talk]}" | "$hone" run -m "$HONE_TEST_MODEL" --jsonl -n 4)
said=$(cat "${TMPDIR:-/tmp}/hone-score-$$")
rm -f "${TMPDIR:-/tmp}/hone-score-$$"
expect "turns left out are counted" 1 "$(printf '%s' "$shortened" | grep -c '"left_out":{"messages":2,"tokens":0}')"
expect "and said" "hone run: 1 of 1 prompts shortened to fit: 2 messages and 0 tokens left out" "$said"
expect "the rest is answered alone" "$(printf '%s' "$alone" | sed 's/,"tokens_in.*//')" "$(printf '%s' "$shortened" | sed 's/,"tokens_in.*//')"
exit $failed
