#!/bin/sh
# hone train as a new user has it, on a tiny model that the test writes: a CSV alone, --auto killed and continued, seeds,
# a curve, the report made again, and what is refused. Usage: train_watch.sh HONE
hone=$1
. "$(dirname "$0")/on_tiny_model.inc"
i=0
echo "text,label" > "$work/colours.csv"
while [ $i -lt 120 ]; do
    case $((i % 3)) in 0) c=red ;; 1) c=blue ;; *) c=green ;; esac
    echo "row $i asks for $c paint,$c" >> "$work/colours.csv"
    i=$((i + 1))
done
cd "$work" || exit 1
train() { "$hone" train -m tiny.gguf colours.csv "$@"; }
adapter() { sha256sum < "$work/$1/adapter_model.safetensors"; }

# A file and a model are enough.
train > plain.out 2> plain.err || fail "training on a CSV alone"
[ -f adapters/colours/report.html ] || fail "no report"
[ -f adapters/colours/README.md ] || fail "no model card"
grep -q "report: adapters/colours/report.html" plain.out || fail "the report's place is not said"
grep -q "hone run -m tiny.gguf --adapter adapters/colours" plain.out || fail "no next command"
grep -q "held-out rows answered exactly (95 % interval" plain.out || fail "no score with its interval"
grep -q '"score"' adapters/colours/metrics.jsonl || fail "no scores in metrics.jsonl"
grep -q '"samples"' adapters/colours/metrics.jsonl || fail "no sample answers in metrics.jsonl"
grep -q "hone train -m tiny.gguf colours.csv" adapters/colours/report.html || fail "no command in the report"
grep -q "https\{0,1\}://" adapters/colours/report.html && fail "the report names the network"

# Rows that ask the same are learned or held out together, so that no held-out row was learned as well: of 6 questions asked 4 times
# each, 2 are held out.
i=0
while [ $i -lt 24 ]; do
    echo "{\"input\":\"Question $((i % 6))\",\"output\":\"answer $((i % 6))\"}"
    i=$((i + 1))
done > repeats.jsonl
"$hone" train -m tiny.gguf repeats.jsonl -e 1 -o repeats > repeats.out 2> repeats.err || fail "rows that repeat"
grep -o '"lines": *\[[^]]*\]' repeats/metrics.jsonl | grep -o '[0-9][0-9]*' | sort -un | awk '{ n[($1 - 1) % 6]++ } END {
    for (q in n) { questions++; bad += n[q] != 4 }
    exit !(questions == 4 && !bad) }' || fail "a question was learned and held out"
grep -q "of 8 held-out rows" repeats.out || fail "not 8 rows were held out"
i=0
while [ $i -lt 20 ]; do
    echo '{"input":"What now?","output":"this"}'
    i=$((i + 1))
done > same.jsonl
"$hone" train -m tiny.gguf same.jsonl -o same > same.out 2> same.err && fail "all rows ask the same, and some were held out"
grep -q "too many rows ask the same" same.err || fail "it is not said that all rows ask the same"

# A limit that leaves fewer steps than the epochs take is said.
train --no-select --steps 3 -o limited > limited.out 2> limited.err || fail "--steps"
grep -q "^3 of the 40 steps that its epochs would take" limited.out || fail "the limit of steps is not said"
grep -q "3 of 40 steps" limited/report.html || fail "the report takes the limit for the whole"
grep -q "| steps | 3 of 40 |" limited/README.md || fail "so does the model card"

# The report is made again from the folder alone, to the byte.
cp adapters/colours/report.html before.html
"$hone" report adapters/colours > again.out 2> again.err || fail "hone report FOLDER"
cmp -s before.html adapters/colours/report.html || fail "the report made again differs"
"$hone" report adapters/colours --json > record.json 2> record.err || fail "hone report --json"
grep -q '"data_sha256"' record.json || fail "the record lacks the data's hash"

# --auto: killed while it searches and gone on with, it ends with the bits of a run with the rate that it chose.
train --auto --epochs 6 -o found > found.out 2> found.err || fail "--auto"
grep -q "chosen for" found.out || fail "--auto does not say why"
rate=$(sed -n 's/^ *\([0-9.e-]*\) .*<- chosen$/\1/p' found.out)
[ -n "$rate" ] || fail "--auto does not show what it chose"
train --lr "$rate" --epochs 6 -o alone > alone.out 2> alone.err || fail "the chosen rate alone"
[ "$(adapter found)" = "$(adapter alone)" ] || fail "--auto gives another adapter than its rate"
for wait in 0.1 0.25 0.5; do
    env HONE_CHECKPOINT_SECONDS=0 "$hone" train -m tiny.gguf colours.csv --auto --epochs 6 -o killed --threads 1 > killed.out 2> killed.err &
    pid=$!
    sleep $wait
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
done
train --auto --epochs 6 -o killed > killed.out 2> killed.err || fail "going on with --auto"
[ "$(adapter found)" = "$(adapter killed)" ] || fail "a search that was killed ends with other bits"
train --auto --epochs 1 -o short > short.out 2> short.err
[ $? -eq 2 ] || fail "a search of 7 steps was not refused"
grep -q "too few to tell rates apart" short.err || fail "the refusal does not say why"

# Seeds and a curve.
train --seeds 3 --epochs 2 -o seeds --json > seeds.out 2> seeds.err || fail "--seeds"
grep -q '"standard_deviation"' seeds.out || fail "no spread over the seeds"
grep -q 'id="seeds"' seeds/report.html || fail "the report lacks the seeds"
train --curve --epochs 1 -o curve > curve.out 2> curve.err || fail "--curve"
grep -q "learning curve: 25 rows" curve.out || fail "no curve"
grep -q 'id="curve"' curve/report.html || fail "the report lacks the curve"
grep -q "luck of a training is not in" curve/report.html && fail "no forecast has a range" # three sizes only
train --curve --seeds 2 --epochs 1 --threads 1 -o both > both.out 2> both.err || fail "--curve --seeds"
grep -q "learning curve: 25 rows .*(sd .*means over 2 seeds" both.out || fail "no means over seeds"
grep -q "Each part was trained with 2 seeds" both/report.html || fail "the report lacks the seeds of the curve"
for run in both/curve/25/seed-0 both/curve/50/seed-1 both/seed-1; do [ -f $run/hone.json ] || fail "no $run"; done
cp both/curve.json before.json
train --curve --seeds 2 --epochs 1 --threads 1 -o both --json > again.out 2> again.err || fail "--curve --seeds again"
cmp -s before.json both/curve.json || fail "a curve made again differs"
grep -q '"seeds": 2' again.out || fail "the JSON does not say how many seeds"
for wait in 0.2 0.3; do
    env HONE_CHECKPOINT_SECONDS=0 "$hone" train -m tiny.gguf colours.csv --curve --seeds 2 --epochs 1 --threads 1 -o stopped > stopped.out 2> stopped.err &
    pid=$!
    sleep $wait
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
done
train --curve --seeds 2 --epochs 1 --threads 1 -o stopped > stopped.out 2> stopped.err || fail "going on with a curve"
grep -v '"seconds"' both/curve.json > whole.json
grep -v '"seconds"' stopped/curve.json | cmp -s - whole.json || fail "a curve that was killed ends otherwise"

# What judges by held-out rows needs some.
for option in --auto "--seeds 2" --curve "--patience 1"; do
    # shellcheck disable=SC2086
    train $option --no-select -o none > none.out 2> none.err
    [ $? -eq 2 ] || fail "$option --no-select was accepted"
    grep -q "rows that are held out" none.err || fail "$option --no-select: no reason"
done
train --auto ranks -o none > none.out 2> none.err
[ $? -eq 2 ] || fail "--auto ranks was accepted"
echo "trained, found $rate, killed, the same bits"
