/* progress.h - telling a person how far long work is.
 *
 * The library reports through this interface and never prints itself; the CLI supplies a sink that draws a bar on a
 * terminal or a line every 30 seconds elsewhere. A NULL progress is allowed everywhere and reports nothing. */
#ifndef HONE_BASE_PROGRESS_H
#define HONE_BASE_PROGRESS_H

#include <stdint.h>

typedef struct hone_progress hone_progress;

struct hone_progress {
    void *context;
    /* A new piece of work of `total` units starts ("tuned + prompt", "rows"). */
    void (*begin)(hone_progress *p, const char *name, const char *unit, int64_t total);
    /* The total is another one than thought at first (a time limit was planned for); may be NULL. */
    void (*resize)(hone_progress *p, int64_t total);
    /* `done` of `total` units; detail is a short extra text such as "loss 0.31", or NULL. */
    void (*update)(hone_progress *p, int64_t done, const char *detail);
    /* The piece of work is over. */
    void (*end)(hone_progress *p);
    /* A line that stays: a warning or a finished result. Said once. */
    void (*note)(hone_progress *p, const char *text);
};

void hone_progress_begin(hone_progress *p, const char *name, const char *unit, int64_t total);
void hone_progress_resize(hone_progress *p, int64_t total);
void hone_progress_update(hone_progress *p, int64_t done, const char *detail);
void hone_progress_end(hone_progress *p);
void hone_progress_note(hone_progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
