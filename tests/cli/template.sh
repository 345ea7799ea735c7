#!/bin/sh
# hone template: text exactly as rendered, errors on stderr with a non-zero exit.
# Usage: template.sh HONE
hone=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
fail() { echo "FAILED: $1" >&2; exit 1; }

printf '%s' '{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}' > "$folder/t.jinja"
context='{"messages":[{"role":"user","content":"a\u00fc"}]}'

printf '%s' "$context" | "$hone" template "$folder/t.jinja" --bos '<s>' --eos '</s>' > "$folder/out" || fail "exit code of a rendering"
printf '<s>[user] a\303\274</s>' > "$folder/expected"
cmp "$folder/out" "$folder/expected" || fail "text must be exact, without an added newline"

out=$(printf '%s' "$context" | "$hone" template "$folder/t.jinja") || fail "defaults"
test "$out" = '[user] aü' || fail "bos and eos are empty by default: $out"

printf '%s' "{{ strftime_now('%d %b %Y') }}" > "$folder/now.jinja"
out=$(echo '{}' | "$hone" template "$folder/now.jinja" --now 2024-07-26T12:00:00)
test "$out" = '26 Jul 2024' || fail "--now: $out"

printf '%s' "{{ raise_exception('roles must alternate') }}" > "$folder/raise.jinja"
echo '{}' | "$hone" template "$folder/raise.jinja" > "$folder/out" 2> "$folder/err"
test $? -eq 2 || fail "a raising template exits with 2"
test ! -s "$folder/out" || fail "a raising template prints nothing"
grep -q 'raise.jinja: line 1 of the template: roles must alternate' "$folder/err" || fail "$(cat "$folder/err")"

printf '{%% if' > "$folder/broken.jinja"
echo '{}' | "$hone" template "$folder/broken.jinja" 2> "$folder/err" && fail "a broken template must fail"
grep -q 'line 1' "$folder/err" || fail "$(cat "$folder/err")"
echo '{"messages": [' | "$hone" template "$folder/t.jinja" 2> "$folder/err" && fail "broken JSON must fail"
grep -q 'standard input:2' "$folder/err" || fail "$(cat "$folder/err")"
echo '{}' | "$hone" template "$folder/absent.jinja" 2> /dev/null && fail "an absent file must fail"

out=$(echo '{"messages":[{"role":"system","content":"Sort."},{"role":"user","content":"b a"}]}' | "$hone" template plain)
test "$out" = 'Sort.

Input: b a
Output:' || fail "plain: $out"
echo "hone template: all good"
