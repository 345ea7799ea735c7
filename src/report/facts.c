/* facts.c - what a report says, once. Plain words first, the statistic in brackets; nothing is said that was not
 * measured. */
#include "report/facts.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const hone_column_head hone_column_heads[HONE_COLUMNS] = {
    [HONE_COLUMN_SELECT] = {"select", "score on the half of select that only names the winner", 4},
    [HONE_COLUMN_TEST] = {"test", "score on the locked test", 7},
    [HONE_COLUMN_INTERVAL] = {"95 % interval", "95 % confidence interval of the test score", 6},
    [HONE_COLUMN_LATENCY] = {"p50 ms", "median time of one request at a time, prefix cache warm", 3},
    [HONE_COLUMN_COST] = {"$/1,000", "operating cost of 1,000 requests", 5},
    [HONE_COLUMN_SETUP] = {"set-up $", "labels, training, evaluation and work before the first request", 1},
    [HONE_COLUMN_SPENT] = {"spent", "time to build and evaluate it in this run", 2},
};

static double or_zero(double v)
{
    return isfinite(v) ? v : 0;
}

hone_number hone_facts_cell(const hone_view_approach *a, hone_column column)
{
    hone_number n;
    switch (column) {
    case HONE_COLUMN_SELECT:
        return hone_number_score(a->select_name);
    case HONE_COLUMN_TEST:
        return hone_number_score(a->score);
    case HONE_COLUMN_INTERVAL:
        return hone_number_interval(a->ci_low, a->ci_high);
    case HONE_COLUMN_LATENCY:
        return hone_number_ms(a->p50_ms);
    case HONE_COLUMN_COST:
    case HONE_COLUMN_SETUP:
        n = hone_number_usd(column == HONE_COLUMN_COST ? a->operating_per_1k : a->setup_usd);
        for (char *unit; (unit = strchr(n.text, '$')) != NULL;) /* it stands in the header */
            memmove(unit, unit + 1, strlen(unit));
        return n;
    case HONE_COLUMN_SPENT:
        if (!isfinite(a->train_seconds) && !isfinite(a->evaluation_seconds))
            return hone_number_seconds(NAN);
        return hone_number_seconds(or_zero(a->train_seconds) + or_zero(a->evaluation_seconds));
    case HONE_COLUMNS:
        break;
    }
    return hone_number_score(NAN);
}

int hone_facts_marked(const hone_view *v)
{
    bool guesses = v->winner >= 0 && strcmp(v->approaches[v->winner].name, "majority") == 0;
    return v->choose >= 0 ? v->choose : guesses ? -1 : v->winner;
}

int hone_facts_alternative(const hone_view *v)
{
    if (v->choose < 0)
        return -1;
    if (v->break_even_against >= 0 && v->break_even_against != v->choose)
        return v->break_even_against;
    int best = -1;
    bool best_is_apart = false; /* of another family: what a person would weigh the chosen one against */
    for (size_t i = 0; i < v->n_pairs; i++) {
        int other = v->pairs[i].a == v->choose ? v->pairs[i].b : v->pairs[i].b == v->choose ? v->pairs[i].a : -1;
        if (other < 0 || other == v->choose)
            continue;
        bool apart = strcmp(v->approaches[other].family, v->approaches[v->choose].family) != 0;
        if (best < 0 || apart > best_is_apart ||
            (apart == best_is_apart && v->approaches[other].score > v->approaches[best].score)) {
            best = other;
            best_is_apart = apart;
        }
    }
    return best;
}

double hone_facts_horizon_requests(const hone_view *v)
{
    double months = isfinite(v->horizon_months) ? v->horizon_months : 12;
    return v->requests_per_month > 0 && months > 0 ? v->requests_per_month * months : NAN;
}

/* "a", then " · b" after something. */
static void add_part(hone_buffer *b, const char *format, ...)
{
    char part[512];
    va_list args;
    va_start(args, format);
    vsnprintf(part, sizeof part, format, args);
    va_end(args);
    if (part[0] == 0)
        return;
    if (b->length)
        hone_buffer_puts(b, " · ");
    hone_buffer_puts(b, part);
}

static void build_header(const hone_view *v, hone_buffer *b)
{
    add_part(b, "%.200s", v->task);
    add_part(b, "%.200s", v->model);
    add_part(b, "%s train / %s select / %s test rows", hone_number_count(v->rows_train).text,
             hone_number_count(v->rows_select).text, hone_number_count(v->n_test).text);
    if (v->labels > 0)
        add_part(b, "%s labels", hone_number_count(v->labels).text);
    bool any = v->numerics_class[0] || v->isa[0];
    add_part(b, "%.40s%s%.40s%s%s%s", v->numerics_class, v->numerics_class[0] && v->isa[0] ? ", " : "", v->isa,
             any && v->threads > 0 ? ", " : "", v->threads > 0 ? hone_number_count(v->threads).text : "",
             !(v->threads > 0) ? ""
             : v->threads == 1 ? " thread"
                               : " threads");
}

static void build_detectable(const hone_view *v, hone_buffer *b)
{
    if (isfinite(v->detectable_difference) && v->n_pairs > 0)
        hone_buffer_printf(
            b, "This test can detect differences of about %s points (%zu planned comparison%s, 80 %% power). ",
            hone_number_detectable(v->detectable_difference).text, v->n_pairs, v->n_pairs == 1 ? "" : "s");
    if (v->test_openings == 1)
        hone_buffer_puts(b, "It was opened for the first time.");
    else if (v->test_openings > 1)
        hone_buffer_printf(b, "It has been opened %s times; each look makes a lucky result likelier.",
                           hone_number_count(v->test_openings).text);
    else if (v->n_tested == 0)
        hone_buffer_puts(b, "The locked test was not opened.");
}

static void build_quick(const hone_view *v, hone_buffer *b)
{
    if (v->quick)
        hone_buffer_printf(b, "Quick run: %s",
                           v->quick_note[0] ? v->quick_note : "a smaller budget and fewer test rows.");
}

void hone_facts_add_sentence(hone_buffer *b, const char *sentence)
{
    size_t length = strlen(sentence);
    if (length == 0)
        return;
    if (b->length)
        hone_buffer_putc(b, ' ');
    hone_buffer_putc(b, (char)toupper((unsigned char)sentence[0]));
    hone_buffer_append(b, sentence + 1, length - 1);
    if (!strchr(".:;", sentence[length - 1]))
        hone_buffer_putc(b, '.');
}

void hone_facts_add_confidence(const hone_view *v, hone_buffer *b)
{
    char sure[64];
    snprintf(sure, sizeof sure, "%.30s confidence", v->confidence);
    hone_facts_add_sentence(b, sure);
}

static void build_why(const hone_view *v, hone_buffer *b)
{
    if (v->confidence[0])
        hone_facts_add_confidence(v, b);
    for (size_t i = 0; i < v->n_because; i++)
        hone_facts_add_sentence(b, v->because[i]);
}

/* "(312 prompt tokens, of which 0 can be cached)", nothing for what has no prompt. */
static void add_tokens(const hone_view_approach *a, hone_buffer *b)
{
    if (a->sends_prompt && a->tokens_in > 0)
        hone_buffer_printf(b, " (%s prompt tokens, of which %s can be cached)", hone_number_count(a->tokens_in).text,
                           hone_number_count(or_zero(a->tokens_static)).text);
}

static void add_break_even(const hone_view *v, const hone_view_approach *chosen, const hone_view_approach *other,
                           hone_buffer *b)
{
    if (isfinite(v->break_even_requests) && v->break_even_requests > 0) {
        hone_buffer_printf(b, " Set-up of %s pays back after %s requests", hone_number_usd(chosen->setup_usd).text,
                           hone_number_about(v->break_even_requests).text);
        if (v->requests_per_month > 0)
            hone_buffer_printf(b, ": %s at your %s a month",
                               hone_number_months(v->break_even_requests / v->requests_per_month).text,
                               hone_number_about(v->requests_per_month).text);
        hone_buffer_putc(b, '.');
    } else if (!isfinite(chosen->setup_usd) || !isfinite(other->setup_usd))
        return;
    else if (chosen->setup_usd <= other->setup_usd && chosen->operating_per_1k <= other->operating_per_1k)
        hone_buffer_printf(b, " Set-up is %s against %s, so it costs no more from the first request on.",
                           hone_number_usd(chosen->setup_usd).text, hone_number_usd(other->setup_usd).text);
    else if (chosen->setup_usd >= other->setup_usd && chosen->operating_per_1k >= other->operating_per_1k)
        hone_buffer_printf(b, " Set-up of %s is never paid back by running costs: what it buys is the score.",
                           hone_number_usd(chosen->setup_usd).text);
}

static void build_cost(const hone_view *v, hone_buffer *b)
{
    if (v->choose < 0 || !isfinite(v->approaches[v->choose].operating_per_1k))
        return;
    int against = hone_facts_alternative(v);
    const hone_view_approach *chosen = &v->approaches[v->choose];
    hone_buffer_printf(b, "%s per 1,000 requests", hone_number_usd(chosen->operating_per_1k).text);
    add_tokens(chosen, b);
    if (against < 0 || !isfinite(v->approaches[against].operating_per_1k)) {
        hone_buffer_putc(b, '.');
        if (isfinite(chosen->setup_usd))
            hone_buffer_printf(b, " Set-up %s.", hone_number_usd(chosen->setup_usd).text);
        return;
    }
    const hone_view_approach *other = &v->approaches[against];
    hone_buffer_printf(b, "; %s %s", other->name, hone_number_usd(other->operating_per_1k).text);
    add_tokens(other, b);
    hone_buffer_putc(b, '.');
    add_break_even(v, chosen, other, b);
    if (v->input_million_usd > 0 || v->output_million_usd > 0)
        hone_buffer_puts(b, " Tokens are priced as a provider sells them (prices: in task.yaml).");
    else if (v->dedicated)
        hone_buffer_puts(b, " Priced as a machine kept for this alone.");
    else if (isfinite(chosen->cost_provisioned))
        hone_buffer_printf(b, " On a machine kept for this alone, 1,000 requests would cost %s.",
                           hone_number_usd(chosen->cost_provisioned).text);
}

static bool takes_work(const hone_view_approach *a, int kind)
{
    bool tuned = strcmp(a->family, "tuned") == 0, prompt = strcmp(a->family, "prompt") == 0;
    switch ((hone_work_kind)kind) {
    case HONE_WORK_PROMPT:
        return a->sends_prompt;
    case HONE_WORK_TUNING:
        return tuned;
    case HONE_WORK_BASELINE:
        return !tuned && !prompt;
    case HONE_WORK_DEPLOYMENT:
        return !prompt;
    default:
        return true;
    }
}

/* Whose set-up and changes are told of: the approach chosen, or the one that leads. */
static void build_work(const hone_view *v, hone_buffer *b)
{
    int marked = hone_facts_marked(v);
    if (marked < 0 || !isfinite(v->approaches[marked].work_hours) || !isfinite(v->approaches[marked].setup_usd))
        return;
    const hone_view_approach *a = &v->approaches[marked];
    hone_buffer_printf(b, "%s to set %s up: labels %s, computing %s, %s of work %s; each change of the task %s (%s).",
                       hone_number_usd(a->setup_usd).text, a->name, hone_number_usd(a->setup_labels_usd).text,
                       hone_number_usd(a->setup_compute_usd).text, hone_number_hours(a->work_hours).text,
                       hone_number_usd(a->setup_work_usd).text, hone_number_usd(a->change_usd).text,
                       hone_number_hours(a->change_hours).text);
    size_t n = 0;
    for (int kind = 0; kind < HONE_WORK_KINDS; kind++)
        if (v->work_assumed[kind] && takes_work(a, kind))
            hone_buffer_printf(b, "%s%s %s",
                               n++ ? ", " : " Assumed, not measured: ", hone_number_hours(v->work_hours[kind]).text,
                               hone_work_defaults[kind].what);
    if (n)
        hone_buffer_puts(b, "; your own hours go under work: in task.yaml.");
}

static void build_keeps(const hone_view *v, hone_buffer *b)
{
    if (v->choose >= 0 && strcmp(v->approaches[v->choose].family, "tuned") == 0)
        hone_buffer_puts(b, "Not measured in this run: general ability after tuning, and whether rephrased questions "
                            "get the same answer.");
}

static void build_unless(const hone_view *v, hone_buffer *b)
{
    for (size_t i = 0; i < v->n_flips_if; i++) {
        const char *clause = v->flips_if[i];
        size_t length = strlen(clause);
        if (length && clause[length - 1] == '.')
            length--;
        if (i > 0)
            hone_buffer_puts(b, i + 1 == v->n_flips_if ? "; or " : "; ");
        hone_buffer_append(b, clause, length);
    }
    if (b->length)
        hone_buffer_putc(b, '.');
}

/* A word as a shell reads it: bare where that is safe, else in single quotes. */
static void add_shell_word(hone_buffer *b, const char *word)
{
    bool safe = word[0] != 0 && word[0] != '-';
    for (const char *p = word; *p; p++)
        safe &= isalnum((unsigned char)*p) || strchr("._-/+:=@%", *p) != NULL;
    if (safe) {
        hone_buffer_puts(b, word);
        return;
    }
    hone_buffer_putc(b, '\'');
    for (const char *p = word; *p; p++)
        if (*p == '\'')
            hone_buffer_puts(b, "'\\''");
        else
            hone_buffer_putc(b, *p);
    hone_buffer_putc(b, '\'');
}

static void add_next(hone_facts *f, const char *command, const char *task)
{
    hone_buffer *b = &f->next[f->n_next++];
    hone_buffer_puts(b, command);
    if (task[0] && strcmp(task, ".") != 0) {
        hone_buffer_putc(b, ' ');
        add_shell_word(b, task);
    }
}

static void build_next(const hone_view *v, hone_facts *f)
{
    if (v->choose >= 0 && v->approaches[v->choose].adapter[0]) {
        hone_buffer *b = &f->next[f->n_next++];
        hone_buffer_puts(b, "hone run -m ");
        add_shell_word(b, v->model_argument);
        hone_buffer_puts(b, " --adapter ");
        add_shell_word(b, v->approaches[v->choose].adapter);
    }
    if (v->quick)
        add_next(f, "hone compare", v->folder);
    add_next(f, "hone report --open", v->folder);
    if (v->choose < 0 || strcmp(v->kind, "not_enough_data") == 0)
        add_next(f, "hone check", v->folder);
}

hone_status hone_facts_build(const hone_view *v, hone_facts *out, hone_error *err)
{
    memset(out, 0, sizeof *out);
    build_header(v, &out->header);
    build_detectable(v, &out->detectable);
    build_quick(v, &out->quick);
    build_why(v, &out->why);
    build_cost(v, &out->cost);
    build_work(v, &out->work);
    build_keeps(v, &out->keeps);
    build_unless(v, &out->unless);
    build_next(v, out);
    bool failed = out->header.failed | out->detectable.failed | out->quick.failed | out->why.failed | out->cost.failed |
                  out->work.failed | out->keeps.failed | out->unless.failed;
    for (size_t i = 0; i < out->n_next; i++)
        failed |= out->next[i].failed;
    return failed ? hone_fail(err, HONE_NO_MEMORY, "no memory for the sentences of the report") : HONE_OK;
}

void hone_facts_clear(hone_facts *f)
{
    hone_buffer *const buffers[] = {&f->header, &f->detectable, &f->quick, &f->why,
                                    &f->cost,   &f->work,       &f->keeps, &f->unless};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        hone_buffer_clear(buffers[i]);
    for (size_t i = 0; i < HONE_FACTS_MAX_NEXT; i++)
        hone_buffer_clear(&f->next[i]);
}
