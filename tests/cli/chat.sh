#!/bin/sh
# hone chat from a pipe: answers as `hone run` gives them to the same messages, commands, many lines, a full context, Ctrl-C and
# SIGTERM, files that are no conversations. On a tiny model with random weights and a context of 256 tokens. Usage: chat.sh HONE
hone=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
model=$work/tiny.gguf
"$(dirname "$hone")/tests/tiny_model_file" "$model" || exit 1
failed=0
expect() { # what, wanted, got
    [ "$2" = "$3" ] || { printf '%s: expected [%s], got [%s]\n' "$1" "$2" "$3"; failed=1; }
}
says() { # what, words, file
    grep -qF -e "$2" "$3" || { printf '%s: "%s" is not in: %s\n' "$1" "$2" "$(cat "$3")"; failed=1; }
}
# The tiny model's tokens are bytes; this bias leaves small letters, so that answers are text of one line.
letters=$(i=97; while [ $i -le 122 ]; do printf ' --logit-bias %d=60' $i; i=$((i + 1)); done)
chat() { "$hone" chat -m "$model" $letters -n 8 "$@" > "$work/out" 2> "$work/err"; }
run() { "$hone" run -m "$model" $letters -n 8 --jsonl | sed 's/.*"text":"\([^"]*\)".*/\1/'; }
line() { sed -n "$1p" "$work/out"; }

# Turn by turn the same text as one request with the whole conversation.
printf 'Hello\nAnd you?\n/save %s\n' "$work/talk.json" | chat --system 'Be kind.'
expect "exit code" 0 $?
expect "two answers" 2 "$(wc -l < "$work/out")"
one=$(line 1) two=$(line 2)
expect "first answer" "$(echo '{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hello"}]}' | run)" "$one"
expect "second answer" "$(echo '{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hello"},
    {"role":"assistant","content":"'"$one"'"},{"role":"user","content":"And you?"}]}' | tr -d '\n' | run)" "$two"
expect "saved roles" "system user assistant user assistant" \
    "$(grep -o '"role": "[a-z]*"' "$work/talk.json" | cut -d'"' -f4 | tr '\n' ' ' | sed 's/ $//')"

# What is loaded, taken back or asked again goes on as if it had been typed.
printf '/load %s\n/undo\nAnd you?\n/retry\n' "$work/talk.json" | chat
expect "after load and undo" "$two" "$(line 1)"
expect "greedy again" "$two" "$(line 2)"
printf 'Hello\n/clear\n/system Be kind.\nHello\n' | chat
expect "after clear" "$one" "$(line 2)"
printf 'Hello\n/retry\n/retry\n' | chat --temperature 1 --seed 5
[ "$(line 1)" != "$(line 2)" ] && [ "$(line 2)" != "$(line 3)" ] || { echo "drawn answers do not differ"; failed=1; }
cp "$work/out" "$work/first"
printf '/set temperature 1\n/set seed 5\nHello\n/retry\n/retry\n' | chat
expect "the same seed gives the same chat" "$(cat "$work/first")" "$(cat "$work/out")"
printf '/set max-new-tokens 3\nHello\n' | chat
expect "length set" 3 "$(line 1 | tr -d '\n' | wc -c)"

# Messages of many lines, each way, and one that begins with a slash.
printf '"""a\nb"""\n/clear\n/multi\na\nb\n.\n/clear\n"""\na\nb\n"""\n/save %s\n/clear\n//x\n/save %s\n/exit\nnever\n' "$work/m.json" "$work/s.json" | chat
expect "answers to many lines" 4 "$(wc -l < "$work/out")"
expect "two ways to say the same" "$(line 1)" "$(line 2)"
says "quoted lines" '"content": "a\nb"' "$work/m.json"
says "a slash" '"content": "/x"' "$work/s.json"

# A full context: 256 tokens hold few turns; the oldest go, and it says so.
i=0
while [ $i -lt 6 ]; do echo "message number $i, of forty-four bytes or so.."; i=$((i + 1)); done | chat
expect "exit code with a full context" 0 $?
expect "all answered" 6 "$(wc -l < "$work/out")"
says "dropped turns" "dropped the oldest 1 turn: with an answer of 8 tokens the chat exceeds the context of 256" "$work/err"
head -c 400 /dev/zero | tr '\0' x > "$work/long"
(cat "$work/long"; printf '\nHello\n') | chat --system 'Be kind.'
expect "exit code after a message that is too long" 2 $?
says "too long" "the model's context is 256" "$work/err"
expect "the next message" "$one" "$(line 1)"

# Ctrl-C while it waits ends nothing; SIGTERM ends it.
mkfifo "$work/pipe"
chat --system 'Be kind.' < "$work/pipe" &
exec 3> "$work/pipe"
sleep 1
pid=$(ps -o pid= --ppid $! 2> /dev/null | tr -d ' ')
[ -n "$pid" ] || pid=$!
kill -INT "$pid"
sleep 0.3
echo Hello >&3
tries=0
while ! grep -q "^$one\$" "$work/out" && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
expect "answered after Ctrl-C" "$one" "$(cat "$work/out")"
kill -TERM "$pid"
wait $!
expect "exit code after SIGTERM" 130 $?
exec 3>&-

refuse() { # words, input lines
    printf '%s\n' "$2" | chat
    expect "$2: exit code" 2 $?
    says "$2" "$1" "$work/err"
}
refuse "did you mean /retry?" "/rety"
refuse "did you mean temperature?" "/set temprature 1"
refuse "--top-p 2" "/set top-p 2"
refuse "max-new-tokens is 1 to 256" "/set max-new-tokens 0"
refuse "no turn to take back" "/undo"
refuse "nowhere.json" "/load $work/nowhere.json"
refuse "needs a file name" "/save"
refuse "cannot" "/save $work/no/such/folder.json"
refuse "nothere" "/adapter $work/nothere"
for text in '{"messages":[{"role":"robot","content":"x"}]}' '[{"role":"user"}]' '{"a":1}' '[' ''; do
    printf '%s' "$text" > "$work/bad.json"
    refuse "bad.json" "/load $work/bad.json"
done
# At a terminal lines can be edited and earlier ones called back: the message is typed with a slip, put right with the arrow
# keys, and asked once more with Up. Ctrl-C drops a line that is begun.
if command -v script > /dev/null 2>&1; then
    cat > "$work/typed.sh" << END
exec "$hone" chat -m "$model" $letters -n 8
END
    (
        sleep 1
        printf 'Helo\033[Dl\n'
        sleep 1
        printf '\033[A\n'
        sleep 1
        printf 'never'
        sleep 0.3
        printf '\003'
        sleep 0.3
        printf 'na\303\257v\177\n'
        sleep 1
        printf '/save %s\n/exit\n' "$work/typed.json"
    ) | TERM=vt100 script -qec "sh $work/typed.sh" /dev/null > "$work/out" 2>&1
    expect "typed messages" "Hello,Hello,naï" \
        "$(tr -d '\n' < "$work/typed.json" | grep -o '"role": "user", *"content": "[^"]*"\|"content": "[^"]*", *"role": "user"' |
            sed 's/.*"content": "\([^"]*\)".*/\1/' | tr '\n' ',' | sed 's/,$//')"
else
    echo "no script(1): the terminal was not tested"
fi

"$hone" chat -m "$model" hello < /dev/null 2> "$work/err"
expect "an argument" 2 $?
exit $failed
