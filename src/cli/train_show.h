/* train_show.h - what `hone train` says when it has ended. */
#ifndef HONE_CLI_TRAIN_SHOW_H
#define HONE_CLI_TRAIN_SHOW_H

#include "cli/train_data.h"

typedef struct hone_train_ending {
    const char *model, *folder, *report; /* report: the path of report.html; NULL where it was not written */
    const hone_train_result *result;
    const hone_train_data *data;
    const char *model_suffix; /* of --full: what follows the folder's name in that of the model; NULL: an adapter */
    const json_t *search, *seeds, *curve, *warnings; /* NULL where there are none */
} hone_train_ending;

void hone_train_show(const hone_train_ending *ending);
void hone_train_show_json(const hone_train_ending *ending);

#endif
