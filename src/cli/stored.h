/* stored.h - what a task's folder keeps of earlier work, as the commands find it. */
#ifndef HONE_CLI_STORED_H
#define HONE_CLI_STORED_H

#include "base/status.h"
#include "store/ledger.h"

/* The folder of the task as a malloc'd string: the argument itself, or the folder that holds the file it names. */
hone_status hone_stored_task_folder(const char *argument, char **out, hone_error *err);
/* *out is NULL (and HONE_OK) where the folder has no ledger; none is created. */
hone_status hone_stored_ledger_open(const char *folder, hone_ledger **out, hone_error *err);

#endif
