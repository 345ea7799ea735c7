#!/bin/sh
# Writes docs/commands.md from what the program itself says: the list of commands, then each one's --help.
# Usage: make_commands_doc.sh [HONE [FILE]]   (default: build/release/hone and docs/commands.md; FILE "-" is standard output)
# tests/cli/help.sh runs this and fails where the file in the repository differs.
set -eu
root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd)
hone=${1:-$root/build/release/hone}
file=${2:-$root/docs/commands.md}

write()
{
    list=$("$hone" --help)
    cat <<'HEAD'
# Commands

This page is made by `tools/make_commands_doc.sh` from the program's own help; a test fails where the two differ.

Common to all commands:

- Exit codes: 0 done, 1 a check or threshold failed, 2 wrong usage or bad input, 3 the environment failed (disk, network,
  memory), 130 interrupted (what was finished is kept; the same command continues).
- Text for people and results go to standard output; progress, warnings and errors to standard error.
- `-m MODEL` is a name of the catalogue (`hone model list`) or the path of a GGUF file or of a Hugging Face folder.
- Times are written `90s`, `30m`, `2h`; sizes `512MiB`, `4GiB`.
- Environment: `HONE_HOME` is where models and the count of test openings are kept (default: `hone` in the XDG cache folder);
  `HONE_CPU=scalar|avx2|avx512|avx512_bf16` caps the instruction set; `HONE_CATALOGUE` names another catalogue file; `NO_COLOR` turns colours off.

HEAD
    echo '```text'
    printf '%s\n' "$list"
    echo '```'
    # A line of the list: two spaces, the name in 16 columns, the summary.
    printf '%s\n' "$list" | awk '/^  [a-z]/ { name = substr($0, 3, 16); sub(/ +$/, "", name); print name }' | while read -r name; do
        printf '\n## hone %s\n\n```text\n' "$name"
        # shellcheck disable=SC2086 # "model pull" is two words
        "$hone" $name --help </dev/null
        echo '```'
    done
}

if [ "$file" = - ]; then
    write
else
    write >"$file.tmp-$$"
    mv "$file.tmp-$$" "$file"
fi
