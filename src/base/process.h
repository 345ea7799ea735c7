/* process.h - running another program, without a shell. */
#ifndef HONE_BASE_PROCESS_H
#define HONE_BASE_PROCESS_H

#include "base/buffer.h"
#include "base/status.h"

typedef struct hone_process {
    const char *const *argv;     /* NULL-terminated; argv[0] is looked up in PATH */
    const char *variable;        /* one "NAME=VALUE" added to the environment, or NULL */
    void (*tick)(void *context); /* called about five times a second while it runs, or NULL */
    void *context;
} hone_process;

/* Runs the program with no standard input and waits for it. `output` gets what it wrote on stdout and stderr together
 * (the last 64 KiB). *exit_code is its exit code, or 128 + the signal that ended it.
 * HONE_NOT_FOUND when there is no such program; HONE_CANCELLED when the user asked to stop: the program and those it
 * started were ended first. They also end when hone itself is killed (Linux). */
hone_status hone_process_run(const hone_process *process, hone_buffer *output, int *exit_code, hone_error *err);

#endif
