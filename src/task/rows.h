/* rows.h - reads examples from a .jsonl or .csv file into rows.
 *
 * Shapes, the first that fits: the fields named by the caller; {"instruction","input"?,"output"} (Alpaca: the input is
 * the instruction, a blank line, the input); {"input","output"}; {"prompt","completion"} (texts or message lists);
 * {"messages"} (the last assistant message is the output, the user message before it the input); {"conversations"}
 * (ShareGPT, likewise); {"text","label"}. */
#ifndef HONE_TASK_ROWS_H
#define HONE_TASK_ROWS_H

#include "task/task.h"

typedef struct hone_row_options {
    const char *input_field, *output_field; /* both or neither (NULL) */
    const char *group_field;                /* NULL: none */
    hone_output_kind kind;                  /* label and choice: outputs are trimmed; number and json: checked */
    bool fields_matter;                     /* prompts may show any field: rows get their content */
    bool skip_empty;       /* leave rows with an empty input or output out, counted, instead of failing */
    const char *skip_hint; /* how to ask for that, such as "use --skip-empty" */
} hone_row_options;

/* Reads all rows; texts live in the arena, fields in `keep` (a JSON array that must live as long). What was left out or
 * read another way is counted in lines appended to `warnings` (a JSON array). HONE_BAD_INPUT, HONE_BAD_FORMAT:
 * "file:line: cause". */
hone_status hone_rows_read(const char *path, const hone_row_options *options, hone_arena *arena, json_t *keep,
                           json_t *warnings, hone_rows *out, hone_error *err);

/* Appends a formatted line to a JSON array of warnings. */
void hone_warn(json_t *warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
