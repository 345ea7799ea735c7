#!/bin/sh
# hone compare after a change: what a result depends on is computed anew and counts as another look at the test, what it does not
# depend on is found again. Each changed folder must come to what a fresh folder with the same content comes to.
# Usage: compare_changes.sh HONE
hone=$1
. "$(dirname "$0")/on_tiny_model.inc"

# Three labels; the word of the input does not decide, the hint (a further field) does where HINT is right.
# Machine time costs nothing, so that no timing decides what is planned: a request of so small a model takes no longer than noise.
make_task() { # FOLDER HINT MORE-YAML
    mkdir -p "$1"
    awk -v folder="$1" -v hint="$2" 'BEGIN {
        split("aa bb cc", label, " ")
        for (i = 0; i < 90; i++)
            print row(i) > (folder "/train.jsonl")
        for (i = 0; i < 30; i++)
            print row(i + 500) > (folder "/test.jsonl")
    }
    function row(i) {
        l = label[i % 3 + 1]
        return sprintf("{\"input\": \"%d x\", \"output\": \"%s\", \"hint\": \"%s\"}", i, l, hint == "right" ? l : label[(i * 7 + 2) % 3 + 1])
    }'
    printf 'name: letters\ndata: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\nprices: {compute_hour_usd: 0}\n%s\n' "$3" > "$1/task.yaml"
}
compare() { # TASK HOME OUT OPTIONS...
    task=$1 home=$2 out=$3
    shift 3
    HONE_HOME=$home "$hone" compare "$task" -m "$work/tiny.gguf" --quick --threads 1 --json "$@" > "$out" 2> "$out.log"
}
# What must not depend on time: names, scores, answers, comparisons.
essence() {
    grep -E '^ *"(name|score|select_name|select_tune|n|a|b|difference|p|p_adjusted|finding|kind|choose|winner|answer|raw|tokens_in)":' "$1"
}
same() { # A B WHAT
    essence "$1" > "$work/a.txt"
    essence "$2" > "$work/b.txt"
    [ "$(wc -l < "$work/a.txt")" -ge 50 ] || fail "$3: the result holds less than expected"
    diff "$work/a.txt" "$work/b.txt" > "$work/diff.log" || fail "$3: not what a fresh folder comes to"
}
openings() { # OUT N WHAT
    grep -q "\"test_openings\": $2,*\$" "$1" || fail "$3: $(grep test_openings "$1"), not $2"
}

# A field that the context shows is part of what an answer depends on, and of what a tuned adapter was made from.
context='prompt: {instruction: A, context: "{{hint}}"}'
make_task "$work/hint" wrong "$context"
make_task "$work/fresh" right "$context"
compare "$work/hint" "$work/home" "$work/before.json" --approaches zero-shot,few-shot,tuned-prompt || fail "the first run"
openings "$work/before.json" 1 "the first run"
make_task "$work/hint" right "$context"
compare "$work/hint" "$work/home" "$work/after.json" --approaches zero-shot,few-shot,tuned-prompt || fail "the run with other hints"
compare "$work/fresh" "$work/home_fresh" "$work/fresh.json" --approaches zero-shot,few-shot,tuned-prompt || fail "the fresh run"
same "$work/after.json" "$work/fresh.json" "other hints"
essence "$work/before.json" > "$work/a.txt"
cmp -s "$work/a.txt" "$work/b.txt" && fail "the hints make no difference, so nothing was tested"
openings "$work/after.json" 2 "other hints"

# One that no prompt shows is not: the same command finds everything done.
make_task "$work/unused" wrong 'prompt: {instruction: A}'
compare "$work/unused" "$work/home" "$work/unused.json" --approaches zero-shot || fail "hints that no prompt shows"
make_task "$work/unused" right 'prompt: {instruction: A}'
n=$(grep -o '"test_openings": [0-9]*' "$work/unused.json" | grep -o '[0-9]*')
compare "$work/unused" "$work/home" "$work/again.json" --approaches zero-shot || fail "other hints that no prompt shows"
openings "$work/again.json" "$n" "hints that no prompt shows"

# Another embedder is another comparison: its own winner, its own look at the test.
cp "$work/tiny.gguf" "$work/other.gguf"
size=$(wc -c < "$work/other.gguf")
dd if=/dev/zero of="$work/other.gguf" bs=1 count=4000 seek=$((size - 6000)) conv=notrunc 2> /dev/null
make_task "$work/embedder" right "embedder: $work/tiny.gguf"
compare "$work/embedder" "$work/home2" "$work/tiny.json" --approaches majority || fail "the first embedder"
openings "$work/tiny.json" 1 "the first embedder"
make_task "$work/embedder" right "embedder: $work/other.gguf"
make_task "$work/embedder_fresh" right "embedder: $work/other.gguf"
compare "$work/embedder" "$work/home2" "$work/other.json" --approaches majority || fail "another embedder"
compare "$work/embedder_fresh" "$work/home3" "$work/fresh.json" --approaches majority || fail "another embedder in a fresh folder"
same "$work/other.json" "$work/fresh.json" "another embedder"
essence "$work/tiny.json" > "$work/a.txt"
cmp -s "$work/a.txt" "$work/b.txt" && fail "the embedders make no difference, so nothing was tested"
openings "$work/other.json" 2 "another embedder"

# A limit that the winner breaks names another. Latencies are remembered, so half of the winner's is broken for certain. Here every input
# is a word of its own, from whose letters the embedder tells the labels; what counts words cannot, and takes a hundredth of the time.
winner_of() { awk '/"winner": \{/ { getline; gsub(/.*: "|",?$/, ""); print; exit } /"winner": "/ { gsub(/.*: "|",?$/, ""); print; exit }' "$1"; }
p95_of() { awk -v name="$2" '/^ *"name": "/ { at = $0; gsub(/.*: "|",?$/, "", at) } at == name && /"p95":/ { gsub(/[^0-9.e-]/, "", $2); print $2; exit }' "$1"; }
limit_task() { # MORE-YAML
    make_task "$work/limit" wrong "embedder: $work/tiny.gguf
$1"
    sed -i 's/"input": "\([0-9]*\) x", "output": "\(..\)"/"input": "\2\2\2\2\2\2\2\2\1", "output": "\2"/' "$work/limit/train.jsonl" "$work/limit/test.jsonl"
}
limit_task ''
compare "$work/limit" "$work/home4" "$work/free.json" --approaches majority || fail "without a limit"
n=$(grep -o '"test_openings": [0-9]*' "$work/free.json" | grep -o '[0-9]*')
winner=$(winner_of "$work/free.json")
p95=$(p95_of "$work/free.json" "$winner")
case $winner in embedding*) ;; *) fail "the embedder tells nothing: $winner wins" ;; esac
[ -n "$p95" ] || fail "no winner or no latency: '$winner' '$p95'"
limit=$(awk -v p="$p95" 'BEGIN { printf "%.9f", p / 2 }')
limit_task "use: {latency_p95_ms: $limit}"
compare "$work/limit" "$work/home4" "$work/limited.json" --approaches majority || fail "with a limit"
[ "$(winner_of "$work/limited.json")" != "$winner" ] || fail "$winner takes $p95 ms and stays the winner with a limit of $limit"
openings "$work/limited.json" $((n + 1)) "a limit that names another"
# What decides neither winner nor pairs is no new look at the test.
limit_task "use: {latency_p95_ms: $limit, min_score: 0.9, error_cost_usd: 3}"
compare "$work/limit" "$work/home4" "$work/words.json" --approaches majority || fail "with a minimum"
openings "$work/words.json" $((n + 1)) "a minimum"

# The same rows in another order are the same test.
tac "$work/limit/test.jsonl" > "$work/turned" && mv "$work/turned" "$work/limit/test.jsonl"
compare "$work/limit" "$work/home4" "$work/turned.json" --approaches majority || fail "a shuffled test"
openings "$work/turned.json" $((n + 2)) "a shuffled test"

# A plan for a budget is made anew for other approaches: that of a prompt alone knows no limit for tuning.
make_task "$work/budget" wrong 'prompt: {instruction: A}'
budget() { # OUT APPROACHES
    HONE_HOME=$work/home6 "$hone" compare "$work/budget" -m "$work/tiny.gguf" --budget 20s --threads 1 --json --approaches "$2" > "$1" 2> "$1.log"
}
budget "$work/prompt.json" zero-shot || fail "a budget for a prompt"
budget "$work/both.json" zero-shot,tuned || fail "the same budget for a prompt and tuning"
grep -q '"quick_note": ".*tuning: .*at most [0-9]* s' "$work/both.json" || fail "tuning has no limit: $(grep quick_note "$work/both.json")"

# The task's seed is the one that is used; --seed goes before it.
make_task "$work/seed" wrong "prompt: {instruction: A}
seed: 7"
make_task "$work/asked" wrong 'prompt: {instruction: A}'
compare "$work/seed" "$work/home7" "$work/seed.json" --approaches few-shot || fail "a seed in the task"
compare "$work/asked" "$work/home7" "$work/asked.json" --approaches few-shot --seed 7 || fail "--seed"
grep -q '"seed": "7"' "$work/seed.json" || fail "the task's seed is not used: $(grep '"seed"' "$work/seed.json")"
same "$work/seed.json" "$work/asked.json" "the task's seed"
compare "$work/seed" "$work/home7" "$work/other.json" --approaches few-shot --seed 8 || fail "another --seed"
grep -q '"seed": "8"' "$work/other.json" || fail "--seed does not go before the task's"
compare "$work/seed" "$work/home7" "$work/other.json" --approaches few-shot --seed -1 && fail "--seed -1 is taken"

# The line that runs the result names the model as it was named.
sed -n 's/.*"argument": "\(.*\)",*$/\1/p' "$work/seed.json" | grep -qx "$work/tiny.gguf" || fail "the model's path is not kept"

# The answer may not stand in the prompt, whatever its field is called: the model would be given what it is asked for.
refused() { # PATTERN FOLDER OPTIONS...
    pattern=$1 folder=$2
    shift 2
    compare "$folder" "$work/home5" "$work/refused.json" "$@" && fail "$folder: taken, though $pattern"
    grep -q -- "$pattern" "$work/refused.json.log" || fail "$folder: does not say \"$pattern\""
}
make_task "$work/named" wrong 'prompt: {context: "Hint {{intent}}."}'
sed -i 's/test.jsonl}/test.jsonl, input: q, output: intent}/' "$work/named/task.yaml"
sed -i 's/"input"/"q"/; s/"output"/"intent"/' "$work/named/train.jsonl" "$work/named/test.jsonl"
refused 'uses {{intent}}, which is the answer' "$work/named" --approaches zero-shot
make_task "$work/text" wrong 'prompt: {context: "The label is {{label}}."}'
sed -i 's/"input"/"text"/; s/"output"/"label"/' "$work/text/train.jsonl" "$work/text/test.jsonl"
refused 'uses {{label}}, which is the answer' "$work/text" --approaches zero-shot
for folder in named text; do # and before anything is spent
    "$hone" check "$work/$folder" > "$work/check.log" 2>&1 && fail "hone check passes a context that gives the answer away"
    grep -q 'which is the answer' "$work/check.log" || fail "hone check does not say that the context gives the answer away"
done

# A list of models is not silently its first; a schema that binds no answer is said.
make_task "$work/models" wrong 'model: [one, two]'
HONE_HOME=$work/home8 "$hone" compare "$work/models" --quick --approaches zero-shot > "$work/models.log" 2>&1 && fail "two models are taken"
grep -q 'names 2 models; a comparison is of one' "$work/models.log" || fail "two models are refused without the reason"
compare "$work/models" "$work/home8" "$work/models.json" --approaches zero-shot || fail "-m says which"
make_task "$work/schema" wrong 'model: one'
sed -i 's/kind: label/kind: json, schema: s.json/' "$work/schema/task.yaml"
sed -i 's/"output": "\(..\)"/"output": {"a": "\1"}/' "$work/schema/train.jsonl" "$work/schema/test.jsonl"
echo '{}' > "$work/schema/s.json"
HONE_HOME=$work/home8 "$hone" check "$work/schema" > "$work/schema.log" 2>&1
grep -q 'output.schema is read but answers are not held to it' "$work/schema.log" || fail "nothing is said of output.schema"
echo "changes are noticed"
