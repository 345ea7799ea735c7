#!/bin/sh
# hone run: sampling, stop strings, several answers, log-probabilities, and what it says of settings out of range. On a tiny
# model with random weights, so answers are noise that must repeat. Usage: run.sh HONE
hone=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
model=$work/tiny.gguf
"$(dirname "$hone")/tests/tiny_model_file" "$model" || exit 1
failed=0
expect() { # what, wanted, got
    [ "$2" = "$3" ] || { printf '%s: expected [%s], got [%s]\n' "$1" "$2" "$3"; failed=1; }
}
run() { printf 'What is the weather?' | "$hone" run -m "$model" "$@" 2> "$work/err" || cat "$work/err"; }
field() { grep -o "\"$1\":[^,}]*" | head -n 1 | cut -d: -f2-; }

# The same settings give the same answer, another seed another one, whatever is drawn beside it.
settings="--temperature 0.9 --top-k 50 --top-p 0.95 --min-p 0.01 --repetition-penalty 1.1 -n 20"
run $settings --seed 3 --json > "$work/a"
run $settings --seed 3 --json --threads 1 > "$work/b"
run $settings --seed 4 --json > "$work/c"
expect "same seed, other threads" "$(cat "$work/a")" "$(cat "$work/b")"
[ "$(cat "$work/a")" != "$(cat "$work/c")" ] || { echo "another seed gives the same answer"; failed=1; }
run $settings --seed 3 --json --answers 4 > "$work/four"
expect "four answers" 4 "$(grep -o '"text"' "$work/four" | wc -l)"
expect "the first of four is the one alone" "$(field text < "$work/a")" "$(field text < "$work/four")"
expect "the four differ" 4 "$(grep -o '"text":"[^"]*"' "$work/four" | sort -u | wc -l)"
expect "the prompt is computed once" 3 "$(grep -o '"tokens_cached":[1-9]' "$work/four" | wc -l)"

# A bias of 100 on "a" (token 97) writes nothing else, so the stop string "aaa" ends it after the third.
run --logit-bias 97=100 -n 9 > "$work/a"
expect "bias" aaaaaaaaa "$(cat "$work/a")"
run --logit-bias 97=100 -n 9 --stop xyz --stop aaa --json > "$work/a"
expect "stop: text" '""' "$(field text < "$work/a")"
expect "stop: finish" '"stop"' "$(field finish < "$work/a")"
expect "stop: tokens" 3 "$(field tokens_out < "$work/a")"
run --logit-bias 97=100 -n 9 --stop aaab --json > "$work/a"
expect "a stop string that only begins" '"aaaaaaaaa"' "$(field text < "$work/a")"
expect "frequency penalty" 5 "$(run --logit-bias 97=20 --logit-bias 98=20 --frequency-penalty 2 --presence-penalty 2 \
    --logit-bias 257=-100 -n 10 | tr -cd a | wc -c)"

# The token's own log-probability and its entry among the best are the same digits.
run -n 5 --json --logprobs 3 > "$work/a"
expect "a position for each token" "$(field tokens_out < "$work/a")" \
    "$(grep -o '"logprob":' "$work/a" | wc -l)"
own=$(grep -o '"logprob":[^,]*' "$work/a" | cut -d: -f2) # greedy, so it stands first
best=$(grep -o '"top":\[\[[0-9]*,[^]]*' "$work/a" | sed 's/.*,//')
expect "greedy tokens are the best ones" "$own" "$best"
expect "three best each" 15 "$(sed 's/"top":/\n&/g' "$work/a" | grep '^"top"' | sed 's/}.*//' | grep -o '\[[0-9][^]]*\]' | wc -l)"

refuse() { # words in the message, arguments...
    words=$1
    shift
    message=$(echo x | "$hone" run -m "$model" "$@" 2>&1 > /dev/null)
    expect "$*: exit code" 2 "$?"
    case $message in *"$words"*) ;; *) printf '%s: "%s" is not in "%s"\n' "$*" "$words" "$message"; failed=1 ;; esac
}
refuse "--temperature -1; it is 0" --temperature -1
refuse "--temperature takes a number" --temperature nan
refuse "--top-p 0; it is above 0" --top-p 0
refuse "--top-p 1.01" --top-p 1.01
refuse "--min-p -0.1" --min-p -0.1
refuse "--typical 0" --typical 0
refuse "--top-k -3" --top-k -3
refuse "--top-k takes a whole number" --top-k 2.5
refuse "--repetition-penalty 0" --repetition-penalty 0
refuse "--presence-penalty 2.1" --presence-penalty 2.1
refuse "--frequency-penalty -2.1" --frequency-penalty -2.1
refuse "written ID=V" --logit-bias 97
refuse "-100 to 100" --logit-bias 97=101
refuse "0 to 259" --logit-bias 260=1
refuse "token 97 twice" --logit-bias 97=1 --logit-bias 97=2
refuse "stop string 1 is empty" --stop ""
refuse "--answers 0" --answers 0
refuse "give --temperature" --answers 2
refuse "--logprobs 21" --json --logprobs 21
refuse "--json" --logprobs 2
refuse "goes with none" --choice a --choice b --stop x
exit $failed
