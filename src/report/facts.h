/* facts.h - what a report says, once: the sentences and the table's cells that the terminal, Markdown and HTML all
 * show, in this order: header, detectable difference, table, planned comparisons, verdict (headline, summary, why,
 * cost, work, keeps, unless, next), notes. The texts are plain and unescaped; a renderer makes them legible for its
 * medium.
 */
#ifndef HONE_REPORT_FACTS_H
#define HONE_REPORT_FACTS_H

#include "base/buffer.h"
#include "base/numbers.h"
#include "report/view.h"

enum { HONE_FACTS_MAX_NEXT = 4 };

typedef struct hone_facts {
    hone_buffer header;     /* "bank-intents · smollm2-135m · 1,600 train / 400 select / 1,000 test rows · ..." */
    hone_buffer detectable; /* "This test can detect differences of about 4 points ..." and how often it was opened */
    hone_buffer quick;      /* what a quick run left out; empty for a full run */
    hone_buffer why;        /* confidence and reasons */
    hone_buffer cost, work, keeps, unless; /* empty where there is nothing to say */
    hone_buffer next[HONE_FACTS_MAX_NEXT]; /* commands */
    size_t n_next;
} hone_facts;

/* HONE_NO_MEMORY. Clear it afterwards in any case. */
hone_status hone_facts_build(const hone_view *view, hone_facts *out, hone_error *err);
void hone_facts_clear(hone_facts *facts);
/* Adds a sentence with a capital and a full stop, after a space where something stands before it. */
void hone_facts_add_sentence(hone_buffer *b, const char *sentence);
/* "Low confidence." */
void hone_facts_add_confidence(const hone_view *view, hone_buffer *b);

/* The table of approaches. A narrow medium leaves columns out in the order of `importance`, lowest first. */
typedef enum hone_column {
    HONE_COLUMN_SELECT,
    HONE_COLUMN_TEST,
    HONE_COLUMN_INTERVAL,
    HONE_COLUMN_LATENCY,
    HONE_COLUMN_COST,
    HONE_COLUMN_SETUP,
    HONE_COLUMN_SPENT,
    HONE_COLUMNS
} hone_column;

typedef struct hone_column_head {
    const char *name;        /* with the unit: "p50 ms" */
    const char *explanation; /* one line for a tooltip or a caption */
    int importance;
} hone_column_head;
extern const hone_column_head hone_column_heads[HONE_COLUMNS];
hone_number hone_facts_cell(const hone_view_approach *approach, hone_column column);

/* The approach that the verdict names; or, when it names none, the winner of select; -1. */
int hone_facts_marked(const hone_view *view);
/* The approach whose costs stand beside the chosen one's: the break-even's, else, of the planned comparisons, the best
 * approach of another family, or the best; -1. */
int hone_facts_alternative(const hone_view *view);
/* The horizon's requests, NAN when the task does not say how many it serves. */
double hone_facts_horizon_requests(const hone_view *view);

#endif
