#!/bin/sh
# Fails when a file under src/ includes from a folder below its own in the list of layers (docs/design.md).
# Usage: include_order.sh SOURCE_DIR
cd "$1" || exit 2
layers="base tensor format net stats ops text model engine metric store catalogue task provider retrieve prompt train approach evidence decide report lifecycle serve cli"
grep -rnE '^#include "[a-z_]+/' src --include='*.c' --include='*.h' | awk -v layers="$layers" '
  BEGIN { n = split(layers, names, " "); for (i = 1; i <= n; i++) rank[names[i]] = i }
  {
    split($0, part, ":"); file = part[1]
    split(file, path, "/"); own = path[2]
    text = $0; sub(/.*#include "/, "", text); sub(/\/.*/, "", text)
    if (!(own in rank)) { print file ": folder src/" own " is not in the list of layers"; bad = 1 }
    else if (!(text in rank)) { print file ": includes from unknown folder " text; bad = 1 }
    else if (rank[text] > rank[own]) { print file ":" part[2] ": src/" own " must not include from src/" text " (a lower layer)"; bad = 1 }
    checked++
  }
  END { if (!checked) { print "no includes found: is this the source folder?"; bad = 1 } if (!bad) print checked " includes in order"; exit bad }'
