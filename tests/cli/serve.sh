#!/bin/sh
# `hone serve` as a program: the address it prints, a port in use, an adapter of another base, adapters by name and at run time,
# the encoder of --embedder (HONE_TEST_EMBEDDER), the same answer as `hone run`, and an end on SIGTERM. Needs a model (HONE_TEST_MODEL). Usage: serve.sh HONE
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

# By name: adapters/ of the current folder and hone's home folder, for every command that takes an adapter.
hone=$(realpath "$hone")
probe=$(realpath "$probe")
HONE_TEST_MODEL=$(realpath "$HONE_TEST_MODEL")
mkdir -p "$folder/home/adapters" "$folder/elsewhere/adapters"
cp -r "$folder/mine" "$folder/elsewhere/adapters/here"
cp -r "$folder/mine" "$folder/home/adapters/shared"
cp -r "$folder/other" "$folder/home/adapters/foreign"
cd "$folder/elsewhere" || exit 3
export HONE_HOME="$folder/home"
refused 2 'there is: foreign, here, shared\.' -m "$HONE_TEST_MODEL" --port 0 --adapter nobody
printf 'Hi' | "$hone" run -m "$HONE_TEST_MODEL" --adapter "$folder/mine" -n 4 >"$folder/by_path" || fail "hone run by path"
for name in here shared; do
    printf 'Hi' | "$hone" run -m "$HONE_TEST_MODEL" --adapter $name -n 4 >"$folder/by_name" || fail "hone run --adapter $name"
    cmp -s "$folder/by_path" "$folder/by_name" || fail "--adapter $name is not the adapter of that name"
done
for command in "run -n 4" score "eval $folder/rows.jsonl" "model export $folder/out.gguf"; do
    # shellcheck disable=SC2086 # words
    printf '{"text":"a"}' | "$hone" $command -m "$HONE_TEST_MODEL" --adapter foreign >"$folder/out" 2>"$folder/errors"
    [ $? = 2 ] && grep -q 'use the adapter with its own base' "$folder/errors" || fail "$command: $(cat "$folder/errors")"
done
printf '{"text":"a"}' | "$hone" score -m "$HONE_TEST_MODEL" --adapter shared >"$folder/out" || fail "score by name"
"$hone" model export -m "$HONE_TEST_MODEL" --adapter here "$folder/out.gguf" >"$folder/out" || fail "export by name"

embedder=
[ ! -d "${HONE_TEST_EMBEDDER:-}" ] || embedder="--embedder $HONE_TEST_EMBEDDER"
# shellcheck disable=SC2086 # one option and its value
"$hone" serve -m "$HONE_TEST_MODEL" --name base --adapter "mine=$folder/mine" --adapter shared $embedder --port 0 2>"$folder/log" &
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

# One more adapter at run time, and away again.
body='{"model":"late","max_tokens":4,"messages":[{"role":"user","content":"Hi"}]}'
"$probe" "$port" once POST /v1/load_lora_adapter '{"lora_name":"late","lora_path":"here"}' >"$folder/out" || fail "load: $(cat "$folder/out")"
"$probe" "$port" once POST /v1/chat/completions "$body" >"$folder/chat" || fail "chat with what was loaded: $(cat "$folder/chat")"
grep -qF "\"content\":\"$(cat "$folder/by_path")\"" "$folder/chat" || fail "run says $(cat "$folder/by_path"), the server $(cat "$folder/chat")"
"$probe" "$port" once POST /v1/load_lora_adapter '{"lora_name":"foreign"}' >"$folder/out" && fail "a foreign adapter was loaded"
grep -q 'use the adapter with its own base' "$folder/out" || fail "a foreign adapter: $(cat "$folder/out")"
"$probe" "$port" once POST /v1/unload_lora_adapter '{"lora_name":"late"}' >"$folder/out" || fail "unload: $(cat "$folder/out")"
"$probe" "$port" once POST /v1/chat/completions "$body" >"$folder/chat" && fail "an unloaded adapter answers"

# The encoder of --embedder, under its name, gives the numbers of `hone embed`.
if [ -n "$embedder" ]; then
    name=$(basename "$HONE_TEST_EMBEDDER")
    printf '{"text":"The card was lost."}' | "$hone" embed -m "$HONE_TEST_EMBEDDER" >"$folder/vector" || fail "hone embed"
    "$probe" "$port" once POST /v1/embeddings "{\"model\":\"$name\",\"input\":\"The card was lost.\"}" >"$folder/out" || fail "embeddings: $(cat "$folder/out")"
    first=$(sed 's/^[^[]*\[\(-\{0,1\}0\.[0-9]\{6\}\).*/\1/' "$folder/vector")
    grep -qF "\"embedding\":[$first" "$folder/out" || fail "hone embed begins with $first, the server gives $(cut -c 1-200 "$folder/out")"
    "$probe" "$port" once POST /v1/completions "{\"model\":\"$name\",\"prompt\":\"x\"}" >"$folder/out" && fail "an encoder writes text"
    grep -q 'makes vectors, not text' "$folder/out" || fail "an encoder asked for text: $(cat "$folder/out")"
fi

kill -TERM $server
wait $server
code=$?
server=
[ $code = 0 ] || fail "SIGTERM ends it with $code: $(cat "$folder/log")"
"$probe" "$port" once GET /health >"$folder/out" 2>&1 && fail "it still answers"
echo "serve: refusals in one line, the same answers as hone run, ends when asked"
