#!/bin/sh
# `hone serve` as a program: the address it prints, a port in use, an adapter of another base, the same answer as `hone run`,
# and an end on SIGTERM. Needs a model (HONE_TEST_MODEL). Usage: serve.sh HONE
hone=$1
probe=$(dirname "$hone")/tests/http_probe
[ -r "${HONE_TEST_MODEL:-}" ] || { echo "skipped: set HONE_TEST_MODEL to a GGUF file"; exit 77; }
[ -x "$probe" ] || { echo "skipped: $probe is not built"; exit 77; }
folder=$(mktemp -d) || exit 3
server=
trap '[ -z "$server" ] || kill -9 $server 2>/dev/null; rm -rf "$folder"' EXIT
fail()
{
    echo "FAILED: $1"
    exit 1
}
refused()
{
    code=$1 says=$2
    shift 2
    "$hone" serve "$@" >"$folder/out" 2>"$folder/errors"
    ended=$?
    [ $ended = "$code" ] || fail "hone serve $* ends with $ended, not $code: $(cat "$folder/errors")"
    grep -q -- "$says" "$folder/errors" || fail "hone serve $* does not say \"$says\": $(cat "$folder/errors")"
    [ "$(wc -l <"$folder/errors")" = 1 ] || fail "hone serve $* says more than a line: $(cat "$folder/errors")"
}

refused 2 'say which with -m'
refused 2 '0 (any free one) to 65535' -m "$HONE_TEST_MODEL" --port 70000
refused 2 'hone serves this machine only' -m "$HONE_TEST_MODEL" --port 0 --host 0.0.0.0
refused 2 'there is no adapter "none"' -m "$HONE_TEST_MODEL" --port 0 --adapter none

# An adapter for this base, trained on two rows, and its copy that claims another base.
printf '%s\n' '{"input":"a","output":"b"}' '{"input":"c","output":"d"}' >"$folder/rows.jsonl"
"$hone" train -m "$HONE_TEST_MODEL" "$folder/rows.jsonl" -o "$folder/mine" --no-select --epochs 1 --rank 2 \
    >"$folder/out" 2>&1 || fail "training an adapter: $(cat "$folder/out")"
cp -r "$folder/mine" "$folder/other"
sed -i 's/"hone_base_sha256": *"[0-9a-f]*"/"hone_base_sha256":"0000000000000000000000000000000000000000000000000000000000000000"/' \
    "$folder/other/adapter_config.json"
refused 2 'use the adapter with its own base' -m "$HONE_TEST_MODEL" --port 0 --adapter "other=$folder/other"
refused 2 'two models are named "x"' -m "$HONE_TEST_MODEL" --port 0 --name x --adapter "x=$folder/mine"

"$hone" serve -m "$HONE_TEST_MODEL" --name base --adapter "mine=$folder/mine" --port 0 2>"$folder/log" &
server=$!
tries=0
until port=$(sed -n 's|^listening on http://127.0.0.1:\([0-9]*\)$|\1|p' "$folder/log") && [ -n "$port" ]; do
    tries=$((tries + 1))
    [ $tries -le 600 ] || fail "no address after a minute: $(cat "$folder/log")"
    sleep 0.1
done
refused 2 "port $port of 127.0.0.1 is in use" -m "$HONE_TEST_MODEL" --port "$port"

"$probe" "$port" once GET /v1/models >"$folder/models" || fail "/v1/models: $(cat "$folder/models")"
grep -q '"id":"mine".*"parent":"base"' "$folder/models" || fail "the adapter is not listed: $(cat "$folder/models")"

# The same text and token counts as `hone run`, on the base and on the adapter.
for model in base mine; do
    adapter=
    [ $model = base ] || adapter="--adapter $folder/mine"
    # shellcheck disable=SC2086 # one option and its value
    printf 'What is the capital of France?' | "$hone" run -m "$HONE_TEST_MODEL" $adapter -n 12 --json >"$folder/run" ||
        fail "hone run"
    body="{\"model\":\"$model\",\"max_tokens\":12,\"messages\":[{\"role\":\"user\",\"content\":\"What is the capital of France?\"}]}"
    "$probe" "$port" once POST /v1/chat/completions "$body" >"$folder/chat" || fail "chat: $(cat "$folder/chat")"
    text=$(sed -n 's/.*"text":\("[^"]*"\).*/\1/p' "$folder/run")
    [ -n "$text" ] || fail "hone run printed no text: $(cat "$folder/run")"
    grep -qF "\"content\":$text" "$folder/chat" || fail "$model: run says $text, the server $(cat "$folder/chat")"
    tokens=$(sed -n 's/.*"tokens_out":\([0-9]*\).*/\1/p' "$folder/run")
    grep -q "\"completion_tokens\":$tokens," "$folder/chat" || fail "$model: other token counts: $(cat "$folder/chat")"
done

kill -TERM $server
wait $server
code=$?
server=
[ $code = 0 ] || fail "SIGTERM ends it with $code: $(cat "$folder/log")"
"$probe" "$port" once GET /health >"$folder/out" 2>&1 && fail "it still answers"
echo "serve: refusals in one line, the same answers as hone run, ends when asked"
