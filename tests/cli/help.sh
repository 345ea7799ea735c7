#!/bin/sh
# Every command has help: on standard output, exit 0, with usage and options; and docs/commands.md says the same, word for word.
# Usage: help.sh HONE
hone=$1
root=$(CDPATH='' cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d) || exit 3
trap 'rm -rf "$folder"' EXIT
fail()
{
    echo "FAILED: $1"
    exit 1
}

"$hone" --help >"$folder/list" 2>"$folder/errors" || fail "hone --help ends with $?"
[ -s "$folder/errors" ] && fail "hone --help writes to standard error: $(cat "$folder/errors")"
awk '/^  [a-z]/ { name = substr($0, 3, 16); sub(/ +$/, "", name); print name }' "$folder/list" >"$folder/names"
[ "$(wc -l <"$folder/names")" -ge 12 ] || fail "hone --help lists too few commands: $(cat "$folder/list")"

while read -r name; do
    for flag in --help -h; do
        # shellcheck disable=SC2086 # "model pull" is two words
        "$hone" $name $flag >"$folder/help" 2>"$folder/errors" </dev/null || fail "hone $name $flag ends with $?"
        [ -s "$folder/errors" ] && fail "hone $name $flag writes to standard error: $(cat "$folder/errors")"
        head -n 1 "$folder/help" | grep -q "^usage: hone $name" || fail "hone $name $flag does not begin with its usage"
        grep -q '^options$' "$folder/help" || fail "hone $name $flag lists no options"
    done
    # shellcheck disable=SC2086
    "$hone" $name --no-such-option-at-all >"$folder/help" 2>"$folder/errors" </dev/null
    code=$?
    [ $code = 2 ] || fail "hone $name with an unknown option ends with $code, not 2"
    grep -q 'unknown option' "$folder/errors" || fail "hone $name does not name an unknown option: $(cat "$folder/errors")"
done <"$folder/names"

sh "$root/tools/make_commands_doc.sh" "$hone" "$folder/commands.md" || fail "tools/make_commands_doc.sh ends with $?"
diff -u "$root/docs/commands.md" "$folder/commands.md" ||
    fail "docs/commands.md differs from the help; run tools/make_commands_doc.sh and look at the change"
echo "$(wc -l <"$folder/names") commands explain themselves, and docs/commands.md agrees"
