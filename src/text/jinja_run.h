/* jinja_run.h - one rendering: its memory, its budgets, its first error, its output.
 *
 * Everything a rendering makes lives in one arena until the rendering ends, so values are never freed one by one.
 * Functions that can fail return false after the first error was recorded here; callers pass that on. */
#ifndef HONE_TEXT_JINJA_RUN_H
#define HONE_TEXT_JINJA_RUN_H

#include "base/arena.h"
#include "text/template.h"

/* Limits against hostile templates, far above what chat templates need. */
#define JINJA_MAX_SOURCE_BYTES ((size_t)4 << 20)
#define JINJA_MAX_STRING_BYTES ((size_t)16 << 20) /* any one string, the rendered text included */
#define JINJA_MAX_MEMORY_BYTES ((size_t)512 << 20)
#define JINJA_MAX_STEPS ((int64_t)20 * 1000 * 1000) /* expressions evaluated; long strings cost more */
enum {
    JINJA_MAX_DEPTH = 600,        /* nested evaluation: expressions, blocks, macro calls */
    JINJA_MAX_SYNTAX_DEPTH = 150, /* nested parentheses and blocks in the source */
    JINJA_MAX_DATA_DEPTH = 200,   /* nested lists and objects, in the context and in values */
    JINJA_MAX_RANGE = 100000      /* items of range(), as in Jinja2's sandbox */
};

typedef struct jinja_run {
    hone_arena *arena;
    char *chunk;
    size_t chunk_left_bytes;
    size_t memory_bytes;
    int64_t steps_left;
    int depth;
    int line;                   /* of the statement or expression at work, for messages */
    hone_buffer *out;           /* where output goes at the moment */
    int captures;               /* open captures (macro, set block, ...); 0: `out` is the document */
    hone_template_spans *spans; /* NULL: not wanted */
    const hone_template_options *options;
    hone_status status;
    hone_error *err;
} jinja_run;

/* Zeroed memory, 16-byte aligned; NULL after recording the error. */
void *jinja_alloc(jinja_run *run, size_t bytes);
void *jinja_alloc_array(jinja_run *run, size_t count, size_t size);

/* Records the first error as "line N: message" (HONE_BAD_INPUT) and returns false. */
bool jinja_raise(jinja_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool jinja_out_of_memory(jinja_run *run);

/* Takes one step, and one more for each 256 bytes of work. */
bool jinja_spend(jinja_run *run, size_t bytes);
/* One level deeper; each successful enter needs a leave. */
bool jinja_enter(jinja_run *run);
void jinja_leave(jinja_run *run);

/* Appends with the limit on string sizes. */
bool jinja_put(jinja_run *run, hone_buffer *b, const char *data, size_t length);
bool jinja_puts(jinja_run *run, hone_buffer *b, const char *text);

#endif
