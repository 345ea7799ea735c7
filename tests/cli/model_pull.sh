#!/bin/sh
# model_pull.sh - claims about `hone model pull` and `model list`, against a server on the loopback.
# Usage: model_pull.sh HONE
hone=$1
server=$(dirname "$hone")/tests/loopback_server
[ -x "$server" ] || { echo "no loopback_server beside $hone"; exit 77; }
work=$(mktemp -d) || exit 2
export HONE_HOME="$work/home" HONE_CATALOGUE="$work/models.json" no_proxy=127.0.0.1
server_pid=
trap '[ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null; chmod -R u+w "$work"; rm -rf "$work"' EXIT
failures=0

# 2 MiB that differ everywhere.
i=0
while [ $i -lt 64 ]; do
    awk -v s=$i 'BEGIN { srand(s + 1); for (j = 0; j < 32768; j++) printf "%c", 33 + int(rand() * 90) }'
    i=$((i + 1))
done >"$work/body"
size=$(wc -c <"$work/body" | tr -d ' ')
hash=$(sha256sum "$work/body" | cut -d' ' -f1)
other=$(printf other | sha256sum | cut -d' ' -f1)

# Waits up to 20 s for a file that is not empty.
wait_for()
{
    tries=0
    while [ ! -s "$1" ]; do
        tries=$((tries + 1))
        [ $tries -lt 400 ] || { echo "$1 did not appear"; exit 2; }
        sleep 0.05
    done
}

start_server()
{
    rm -f "$work/port"
    "$server" "$work/body" >"$work/port" &
    server_pid=$!
    wait_for "$work/port"
    base=http://127.0.0.1:$(cat "$work/port")
}

start_server
file=$HONE_HOME/models/toy.gguf

# catalogue HASH SOURCE...: one model "toy"
catalogue()
{
    sum=$1
    shift
    list=$(printf '%s,' "$@")
    printf '{"models":[{"name":"toy","licence":"MIT","file":"toy.gguf","size_bytes":%s,"sha256":"%s","sources":[%s]}]}' \
        "$size" "$sum" "${list%,}" >"$HONE_CATALOGUE"
}

url()
{
    printf '{"url":"%s%s"}' "$base" "$1"
}

pull()
{
    "$hone" model pull "$@" >"$work/out" 2>"$work/err"
}

claim()
{
    what=$1
    shift
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what"
        sed 's/^/  stdout: /' "$work/out"
        sed 's/^/  stderr: /' "$work/err"
        failures=$((failures + 1))
    fi
}

says() { grep -qF -- "$1" "$work/err"; }
is_whole() { cmp -s "$work/body" "$file"; }
nothing_left() { [ ! -e "$file" ] && [ ! -e "$file.part" ] && [ ! -e "$file.sha256" ]; }
size_of() { wc -c <"$1" | tr -d ' '; }
fresh() { rm -rf "$HONE_HOME"; }

catalogue "$hash" "$(url /file)"
pull toy; code=$?
claim "a pull ends well and prints the path" [ "$code" = 0 -a "$(cat "$work/out")" = "$file" ]
claim "the file is the served one" is_whole
claim "the record reads as sha256sum's" sh -c 'cd "$0" && sha256sum -c --quiet toy.gguf.sha256' "$HONE_HOME/models"
kill "$server_pid"; wait "$server_pid" 2>/dev/null
pull toy --json; code=$?
claim "a second pull needs no server" [ "$code" = 0 ]
claim "--json is as promised" grep -qF "{\"name\": \"toy\", \"path\": \"$file\", \"sha256\": \"$hash\", \"size_bytes\": $size, \"source\": \"$base/file\"}" "$work/out"
pull toy --verify; code=$?
claim "--verify of a right file needs none either" [ "$code" = 0 ]
"$hone" model list >"$work/out" 2>"$work/err"
claim "the list shows it is here" grep -qE '^toy .* MIT +yes' "$work/out"
fresh
pull toy; code=$?
claim "without a server the pull fails as environment" [ "$code" = 3 ]
claim "and names the host and the cause" says "127.0.0.1: "
start_server

fresh
catalogue "$other" "$(url /file)"
pull toy; code=$?
claim "a wrong hash fails" [ "$code" = 3 ]
claim "and names both hashes" says "sha256 is $hash, expected $other"
claim "and leaves no file" nothing_left

fresh
catalogue "$hash" "$(url /short)" "$(url /missing)" "$(url /file)"
pull toy; code=$?
claim "a truncated and a missing source are passed over" [ "$code" = 0 ]
claim "each with one line" [ "$(wc -l <"$work/err")" = 2 ]
claim "that says why" says "it is not the same file; trying"
claim "and the third one's file is right" is_whole

fresh
catalogue "$hash" "$(url /cut/500000)"
pull toy; code=$?
claim "a connection that breaks again and again is continued" [ "$code" = 0 ]
claim "to the same bytes" is_whole

fresh
mkdir -p "$HONE_HOME/models"
head -c 700000 /dev/zero >"$file.part"
catalogue "$hash" "$(url /file)"
pull toy; code=$?
claim "a leftover that does not fit is thrown away" [ "$code" = 0 ]
claim "and said" says "starting over"
claim "and the file is right" is_whole

fresh
catalogue "$hash" "{\"parts\":[{\"url\":\"$base/file\",\"size_bytes\":$size}]}"
pull toy; code=$?
claim "a source of parts works" [ "$code" = 0 ]

# kill -9 in the middle: 2 MiB at 1 MiB/s
fresh
catalogue "$hash" "$(url /slow/1000000)"
"$hone" model pull toy >/dev/null 2>&1 &
pid=$!
wait_for "$file.part"
sleep 0.3
kill -9 $pid
wait $pid 2>/dev/null
before=$(size_of "$file.part")
claim "a kill leaves what arrived, under another name" [ "$before" -gt 0 -a ! -e "$file" ]
catalogue "$hash" "$(url /cut/$((size - before)))"
pull toy; code=$?
claim "and the next pull asks for the rest only" [ "$code" = 0 ]
claim "and has the same bytes" is_whole

# Ctrl-C
fresh
catalogue "$hash" "$(url /slow/1000000)"
"$hone" model pull toy >"$work/out" 2>"$work/err" &
pid=$!
wait_for "$file.part"
kill -TERM $pid
wait $pid
code=$?
claim "a request to stop ends with 130" [ "$code" = 130 ]
claim "and says that the same command continues" says "the same command continues"
claim "and keeps what arrived" [ -s "$file.part" ]

# two at once
fresh
catalogue "$hash" "$(url /slow/4000000)"
"$hone" model pull toy >"$work/out1" 2>"$work/err1" &
first=$!
pull toy; code=$?
wait $first; code1=$?
claim "two pulls at once both end well" [ "$code$code1" = 00 ]
claim "with the right file" is_whole
claim "one having waited for the other" grep -q 'waiting for it' "$work/err" "$work/err1"

# disk full: a limit on file sizes stands in for it
fresh
catalogue "$hash" "$(url /file)" "$(url /norange)"
(trap '' XFSZ; ulimit -f 1000; "$hone" model pull toy >"$work/out" 2>"$work/err"); code=$?
claim "a write that fails ends with 3" [ "$code" = 3 ]
claim "names the file" says "$file.part: cannot write"
claim "and does not try the next source" [ "$(wc -l <"$work/err")" = 1 ]
claim "and nothing is taken for the model" [ ! -e "$file" ]
pull toy; code=$?
claim "with room again the same command continues" [ "$code" = 0 ]

# no permission
if [ "$(id -u)" != 0 ]; then
    fresh
    mkdir -p "$HONE_HOME/models"
    chmod a-w "$HONE_HOME/models"
    pull toy; code=$?
    claim "a folder that cannot be written ends with 3" [ "$code" = 3 ]
    claim "and says so" says "check the permissions"
    chmod u+w "$HONE_HOME/models"
else
    fresh
    : >"$work/plain"
    HONE_HOME="$work/plain" pull toy; code=$?
    claim "a file in the folder's place is told" [ "$code" != 0 ]
fi

pull tyo; code=$?
claim "an unknown name is wrong usage" [ "$code" = 2 ]
claim "and gets a suggestion" says 'did you mean "toy"?'
pull; code=$?
claim "no name is wrong usage" [ "$code" = 2 ]
pull toy toy; code=$?
claim "so are two" [ "$code" = 2 ]
echo '{"models": 3}' >"$HONE_CATALOGUE"
pull toy; code=$?
claim "a bad catalogue is bad input, named" [ "$code" = 2 ]
claim "with its path" says "$HONE_CATALOGUE: "

[ "$failures" = 0 ] || { echo "$failures claims failed"; exit 1; }
