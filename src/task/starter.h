/* starter.h - the first task.yaml of a folder, written from what lies there. Never overwrites a file. */
#ifndef HONE_TASK_STARTER_H
#define HONE_TASK_STARTER_H

#include "base/buffer.h"
#include "base/status.h"

typedef struct hone_starter {
    hone_buffer yaml;  /* the text of task.yaml, as written */
    hone_buffer notes; /* one line for each file made and each guess, for the user */
} hone_starter;

/* Writes folder/task.yaml (creating the folder). from: a .jsonl or .csv file, copied into the folder unless it lies
 * there; NULL: the folder's own train.jsonl, train.csv or only data file; where there is none, a small example is
 * written to train.jsonl. HONE_BAD_INPUT when a task.yaml is there already. */
hone_status hone_starter_write(const char *folder, const char *from, hone_starter *out, hone_error *err);
void hone_starter_clear(hone_starter *starter);

#endif
