#!/bin/sh
# hone compare with training seeds, on a tiny model that the test writes: each seed is trained and answers the test, scores are
# means over them, the served adapter is the best on select, one opening of the test, and a run that is killed and continued
# finds the same. Usage: compare_seeds.sh HONE
hone=$1
. "$(dirname "$0")/on_tiny_model.inc"

make_task() { # FOLDER SEEDS
    mkdir -p "$1"
    # As many of each label to learn from, but not in the test: so small a model learns little, and which label it says then hangs on
    # the seed.
    awk -v folder="$1" 'BEGIN {
        split("aa bb cc", label, " ")
        for (i = 0; i < 360; i++)
            print row(label[i % 3 + 1], i) > (folder "/train.jsonl")
        for (i = 0; i < 24; i++)
            print row(label[i < 12 ? 1 : i < 20 ? 2 : 3], i + 500) > (folder "/test.jsonl")
    }
    function row(l, i) { return sprintf("{\"input\": \"%s %d\", \"output\": \"%s\"}", l, i, l) }'
    printf 'name: letters\ndata: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\nprompt: {instruction: A}\ntrain: {seeds: %s}\n' \
        "$2" > "$1/task.yaml"
}
compare() { # TASK HOME OUT OPTIONS...
    task=$1 home=$2 out=$3
    shift 3
    HONE_HOME=$home "$hone" compare "$task" -m "$work/tiny.gguf" --quick --threads 1 --approaches tuned --json "$@" > "$out" 2> "$out.log"
}
# What must not depend on time: names, scores, seeds, answers, comparisons.
essence() {
    grep -E '^ *"(name|score|select_name|select_tune|test|seed|kept|mean|standard_deviation|n|a|b|difference|p|p_adjusted|finding|kind|choose|test_openings|answer|raw)":' "$1"
}

make_task "$work/one" 3
make_task "$work/two" 3
compare "$work/one" "$work/home1" "$work/one.json" || fail "the undisturbed run"

# Each seed's scores, their mean and which is kept, taken from the document by hand.
sed -n '/"name": "tuned"/,/"kept"/p' "$work/one.json" > "$work/tuned.json"
awk '
    /"runs":/ { in_runs = 1 }
    in_runs && /"seed":/ { gsub(/[^0-9]/, "", $2); seed[++n] = $2 }
    in_runs && /"select_tune":/ { gsub(/,/, "", $2); tune[n] = $2 }
    in_runs && /"test":/ { gsub(/,/, "", $2); test[n] = $2 }
    /"mean":/ { gsub(/,/, "", $2); mean = $2; in_runs = 0 }
    /"standard_deviation":/ { gsub(/,/, "", $2); deviation = $2 }
    /"kept":/ { gsub(/[^0-9]/, "", $2); kept = $2 }
    /^ *"score":/ { gsub(/,/, "", $2); score = $2 }
    END {
        for (i = 1; i <= n; i++) { sum += test[i]; if (!best || tune[i] > tune[best]) best = i }
        for (i = 1; i <= n; i++) square += (test[i] - sum / n) ^ 2
        print n, seed[1], seed[3], sum / n, mean, score, sqrt(square / (n - 1)), deviation, seed[best], kept
        close_enough = (sum / n - mean) ^ 2 < 1e-16 && (score - mean) ^ 2 < 1e-16
        exit !(n == 3 && square > 0 && seed[1] == 1 && seed[3] == 3 && close_enough && (sqrt(square / (n - 1)) - deviation) ^ 2 < 1e-16 && seed[best] == kept)
    }' "$work/tuned.json" > "$work/sums.txt" || fail "seeds do not add up: $(cat "$work/sums.txt")"
echo "seeds, first, last, mean (thrice), deviation (twice), best on select (twice): $(cat "$work/sums.txt")"
grep -q 'was trained with 3 seeds' "$work/one.json" || fail "the verdict does not speak of the seeds"
grep -q '"test_openings": 1' "$work/one.json" || fail "three seeds are one opening of the test"
grep -q 'one seed' "$work/one.json" && fail "it says that there was one seed"
grep -q 'paired bootstrap, with training seeds' "$work/one.json" || fail "the test does not count the seeds"
grep -q 'Trained with 3 seeds' "$work/one/.hone/report.html" || fail "the report shows no seeds"
kept=$(awk '{ print $NF }' "$work/sums.txt")
adapter=$(sed -n 's/.*"adapter": "\(.*\)",*$/\1/p' "$work/tuned.json")
grep -q "\"seed\": $kept" "$adapter/hone.json" || fail "the adapter named is not that of seed $kept"

# Killed and continued: the same.
killed=0
for seconds in 0.1 0.2 0.3 0.4 0.5; do
    HONE_HOME=$work/home2 HONE_CHECKPOINT_SECONDS=0 "$hone" compare "$work/two" -m "$work/tiny.gguf" --quick --threads 1 --approaches tuned --json \
        > "$work/cut.json" 2> "$work/cut.log" &
    pid=$!
    sleep "$seconds"
    kill -9 $pid 2> /dev/null && killed=$((killed + 1))
    wait $pid 2> /dev/null
done
[ $killed -ge 1 ] || fail "every run ended before it could be killed"
compare "$work/two" "$work/home2" "$work/two.json" || fail "the continued run"
essence "$work/one.json" > "$work/one.txt"
essence "$work/two.json" > "$work/two.txt"
diff "$work/one.txt" "$work/two.txt" || fail "the continued run found something else"

# --seeds goes before the task's; what was trained before is not trained again.
compare "$work/one" "$work/home1" "$work/single.json" --seeds 1 || fail "--seeds 1"
grep -q '"seeds": null' "$work/single.json" || fail "--seeds 1 reports seeds"
grep -q 'paired bootstrap, with training seeds' "$work/single.json" && fail "one seed has no spread"

# Two say nothing of a spread.
compare "$work/one" "$work/home1" "$work/two_seeds.json" --seeds 2 && fail "--seeds 2 is taken"
grep -q -- '--seeds: 2 training seeds; take 1, or 3 to 9' "$work/two_seeds.json.log" || fail "--seeds 2 is refused without the reason"
make_task "$work/bad" 10
compare "$work/bad" "$work/home1" "$work/bad.json" && fail "ten seeds are taken"
grep -q 'task.yaml:5: 10 training seeds' "$work/bad.json.log" || fail "ten seeds are refused without the line"
echo "killed $killed times, same result"
