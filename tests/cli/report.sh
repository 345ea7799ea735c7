#!/bin/sh
# `hone report` where there is nothing to report: says so with the fix, exits 2, creates nothing. Usage: report.sh HONE
hone=$1
folder=$(mktemp -d) || exit 3
trap 'rm -rf "$folder"' EXIT
fail() {
    echo "FAILED: $1"
    exit 1
}
expect() { # code pattern arguments...
    code=$1 pattern=$2
    shift 2
    text=$("$hone" report "$@" 2>&1)
    got=$?
    [ "$got" = "$code" ] || fail "hone report $*: exit $got, not $code: $text"
    case $text in
    *"$pattern"*) ;;
    *) fail "hone report $*: does not say \"$pattern\": $text" ;;
    esac
}
mkdir "$folder/task"
echo "name: x" >"$folder/task/task.yaml"
expect 2 "hone compare" "$folder/task"
expect 2 "hone compare" "$folder/task/task.yaml"
[ -e "$folder/task/.hone" ] && fail "a report created a ledger"
expect 2 "no such task" "$folder/nowhere"
expect 2 "one task at a time" a b
expect 2 "did you mean" --htm x
expect 2 "--open needs a file" --open --html - "$folder/task"
expect 0 "--markdown FILE" --help
mkdir "$folder/task/.hone"
echo "this is no database, whatever its name says" >"$folder/task/.hone/ledger.sqlite"
expect 2 "ledger.sqlite" "$folder/task"
echo "report says what is missing"
