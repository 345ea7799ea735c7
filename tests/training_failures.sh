#!/bin/sh
# Fails when docs/training-failures.md does not hold fifteen failures with a test each, or names a test that does not exist
# or is not run.
# Usage: training_failures.sh SOURCE_DIR
set -eu
cd "$1"
table=docs/training-failures.md
failed=0
rows=$(grep -c '^| [0-9]* | .*`' $table)
[ "$rows" = 15 ] || { echo "$table: $rows failures with a test, not 15"; failed=1; }
for test in $(grep -oE '`(test_[a-z0-9_]+|tests/[a-z_]+/[a-z_]+\.sh)`' $table | tr -d '`' | sort -u); do
    case $test in
    tests/*) [ -f "$test" ] || { echo "$table: $test does not exist"; failed=1; } ;;
    *) # a function, and its entry in the list of a test program
        { grep -q "static void $test(" tests/unit/*.c && grep -qE "cmocka_unit_test[a-z_]*\($test[,)]" tests/unit/*.c; } ||
            { echo "$table: no test program runs $test"; failed=1; } ;;
    esac
done
exit $failed
