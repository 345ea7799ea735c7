#!/bin/sh
# `hone tokenize`: the tool contract (DESIGN) and what it says when something is wrong. Usage: tokenize.sh HONE
# Expected ids: llama.cpp, shared/vocab/tokens.jsonl.
hone=$1
vocab=../shared/vocab/ggml-vocab-gpt-2.gguf
[ -r "$vocab" ] || { echo "skipped: $vocab is not here"; exit 77; }
failed=0
expect() { # what, wanted, got
    [ "$2" = "$3" ] || { printf '%s: expected [%s], got [%s]\n' "$1" "$2" "$3"; failed=1; }
}

expect "text to ids" "[15496, 11, 995, 0]" "$(printf 'Hello, world!' | "$hone" tokenize -m $vocab)"
expect "ids to text" "Hello, world!" "$(echo '[15496, 11, 995, 0]' | "$hone" tokenize -m $vocab --decode)"
expect "no text" "[]" "$("$hone" tokenize -m $vocab < /dev/null)"
expect "no ids" "" "$(echo '[]' | "$hone" tokenize -m $vocab --decode)"
expect "a control token is text" "no" "$(printf '<|endoftext|>' | "$hone" tokenize -m $vocab | grep -q 50256 && echo yes || echo no)"
expect "unless asked" "[50256]" "$(printf '<|endoftext|>' | "$hone" tokenize -m $vocab --parse-special)"
expect "special tokens are shown" "<|endoftext|>" "$(echo '[50256]' | "$hone" tokenize -m $vocab --decode)"

refuse() { # what, wanted exit code, words in the message, input, arguments...
    what=$1 code=$2 words=$3 input=$4
    shift 4
    message=$(printf '%s' "$input" | "$hone" tokenize "$@" 2>&1 > /dev/null)
    expect "$what: exit code" "$code" "$?"
    case $message in *"$words"*) ;; *) printf '%s: "%s" is not in "%s"\n' "$what" "$words" "$message"; failed=1 ;; esac
}
refuse "no model" 2 "-m MODEL" x
refuse "absent model" 2 "nowhere.gguf" x -m nowhere.gguf
refuse "not a GGUF" 2 "not a GGUF" x -m "$0"
refuse "text as an argument" 2 "standard input" x -m $vocab Hello
refuse "broken JSON" 2 "line 1" '[1, 2' -m $vocab --decode
refuse "not a list" 2 "JSON list" '{"ids": []}' -m $vocab --decode
refuse "not an id" 2 "item 2" '[1, "x"]' -m $vocab --decode
refuse "an id too large" 2 "50257 tokens" '[50257]' -m $vocab --decode
refuse "a negative id" 2 "item 1" '[-1]' -m $vocab --decode
exit $failed
