#!/bin/sh
# Makes the data files of examples/bank_intents from the banking77 rows (CC BY 4.0, examples/bank_intents/NOTICE).
# Usage: tools/make_bank_intents.sh SHARED_DIR OUT_DIR
#   train.jsonl  the 2,000 rows of peers/bank_intents/train2000.jsonl, unchanged
#   test.jsonl   the 500 rows of peers/bank_intents/test500.jsonl, then the next rows of data/banking77/test.jsonl, in file
#                order, that stand in neither of them, up to 1,000 rows
set -eu
shared=$1 out=$2
mkdir -p "$out"
cp "$shared/peers/bank_intents/train2000.jsonl" "$out/train.jsonl"
# The sources differ only in the spaces between keys and values.
awk -v most=1000 '
    { row = $0; sub(/^\{"input": ?"/, "{\"input\": \"", row); sub(/", ?"output": ?"/, "\", \"output\": \"", row) }
    FILENAME == ARGV[1] { seen[row] = 1; next }
    !(row in seen)      { seen[row] = 1; if (n < most) { print row; n++ } }
' "$out/train.jsonl" "$shared/peers/bank_intents/test500.jsonl" "$shared/data/banking77/test.jsonl" > "$out/test.jsonl"
