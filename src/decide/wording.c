/* wording.c - numbers and names inside the sentences of a verdict. How a number is written stands in base/numbers.h;
 * here is what depends on its interval: scores three decimals, two where the interval is wider than 0.1; differences in
 * points, one decimal below ten and none above or where the interval is wider than 20 points. A rounded number never
 * says something else than the exact one: a limit above 0 is not written 0.0. */
#include "decide/judgement.h"

#include "base/numbers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *hone_words(hone_judgement *j, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length >= 0 ? hone_arena_alloc(j->c->arena, (size_t)length + 1) : NULL;
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    else
        j->out_of_memory = true;
    va_end(again);
    return text ? text : "";
}

void hone_words_add(hone_judgement *j, hone_lines *lines, const char *text)
{
    if (!text[0])
        return;
    if (lines->n == lines->capacity) {
        size_t capacity = lines->capacity ? 2 * lines->capacity : 16;
        const char **items = hone_arena_array(j->c->arena, capacity, sizeof *items);
        if (!items) {
            j->out_of_memory = true;
            return;
        }
        for (size_t i = 0; i < lines->n; i++)
            items[i] = lines->items[i];
        lines->items = items;
        lines->capacity = capacity;
    }
    lines->items[lines->n++] = text;
}

/* The part after " + " names a classical baseline well enough, unless another one ends so. */
static const char *short_name(const hone_judgement *j, int index)
{
    const char *name = j->c->approaches[index].name, *tail = strstr(name, " + ");
    if (!tail)
        return name;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const char *other = (int)i == index ? NULL : strstr(j->c->approaches[i].name, tail + 3);
        if (other && strcmp(other, tail + 3) == 0)
            return name;
    }
    return tail + 3;
}

const char *hone_words_name(hone_judgement *j, int index)
{
    const hone_approach_result *a = &j->c->approaches[index];
    return a->family == HONE_FAMILY_BASELINE ? hone_words(j, "the %s", short_name(j, index)) : a->name;
}

const char *hone_words_sentence_name(hone_judgement *j, int index)
{
    const hone_approach_result *a = &j->c->approaches[index];
    return a->family == HONE_FAMILY_BASELINE ? hone_words(j, "The %s", short_name(j, index)) : a->name;
}

static int score_decimals(const hone_approach_result *a)
{
    return a->ci_high - a->ci_low > 0.1 ? 2 : 3;
}

const char *hone_words_score_of(hone_judgement *j, double score, int index)
{
    return hone_words(j, "%.*f", score_decimals(&j->c->approaches[index]), score);
}

const char *hone_words_score(hone_judgement *j, int index)
{
    return hone_words_score_of(j, j->c->approaches[index].score, index);
}

const char *hone_words_score_against(hone_judgement *j, int index, double limit)
{
    double score = j->c->approaches[index].score;
    int decimals = score_decimals(&j->c->approaches[index]);
    for (; decimals < 6; decimals++) {
        double unit = pow(10, decimals), rounded = round(score * unit) / unit;
        if (score == limit || (rounded < limit) == (score < limit))
            break;
    }
    return hone_words(j, "%.*f", decimals, score);
}

const char *hone_words_interval(hone_judgement *j, int index)
{
    const hone_approach_result *a = &j->c->approaches[index];
    int decimals = score_decimals(a);
    return hone_words(j, "95 %% interval %.*f to %.*f", decimals, a->ci_low, decimals, a->ci_high);
}

const char *hone_words_guessing(hone_judgement *j, int like)
{
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (j->standing[i].guesses && j->standing[i].scores && j->c->approaches[i].score == j->guess)
            return hone_words(j, "always giving the most frequent %s scores %s",
                              j->c->task->n_labels > 0 ? "label" : "answer", hone_words_score_of(j, j->guess, like));
    if (j->c->task->n_labels > 0)
        return hone_words(j, "one of %zu labels at random scores %s", j->c->task->n_labels,
                          hone_words_score_of(j, j->guess, like));
    return "guessing scores 0";
}

static const char *points(hone_judgement *j, double share, int decimals)
{
    double value = 100 * share;
    char text[32];
    do /* what is not 0 is not written as 0 */
        snprintf(text, sizeof text, "%.*f", decimals, value);
    while (strspn(text, "-0.") == strlen(text) && value != 0 && ++decimals < 5);
    return hone_words(j, "%s", strspn(text, "-0.") == strlen(text) ? "0" : text);
}

const char *hone_words_points(hone_judgement *j, double share)
{
    return points(j, fabs(share), fabs(share) < 0.0995 ? 1 : 0);
}

static int pair_decimals(const hone_judged *pair)
{
    return fabs(pair->difference) < 0.0995 && pair->high - pair->low <= 0.2 ? 1 : 0;
}

const char *hone_words_evidence(hone_judgement *j, const hone_judged *pair, bool flipped)
{
    int decimals = pair_decimals(pair);
    double low = flipped ? 0.0 - pair->high : pair->low, high = flipped ? 0.0 - pair->low : pair->high;
    return hone_words(j, "%s to %s, %s", points(j, low, decimals), points(j, high, decimals),
                      hone_words(j, "%s", hone_number_p(pair->p_adjusted).text));
}

const char *hone_words_compared(hone_judgement *j, const hone_judged *pair)
{
    const char *other = hone_words_name(j, pair->b);
    bool below = pair->difference < 0;
    const char *size = points(j, fabs(pair->difference), pair_decimals(pair));
    if (pair->differs)
        return hone_words(j, "%s points %s %s (%s)", size, below ? "below" : "above", other,
                          hone_words_evidence(j, pair, below));
    if (pair->difference == 0)
        return hone_words(j, "level with %s (0 points, interval %s)", other, hone_words_evidence(j, pair, false));
    return hone_words(j, "not shown to differ from %s (%s points %s, interval %s)", other, size,
                      below ? "below" : "above", hone_words_evidence(j, pair, false));
}

const char *hone_words_usd(hone_judgement *j, double usd)
{
    if (!isfinite(usd))
        return "an unknown amount";
    const char *text = hone_words(j, "%s", hone_number_usd(usd).text);
    return text[0] == '<' ? hone_words(j, "less than %s", text + 2) : text;
}

const char *hone_words_costs(hone_judgement *j, int index, int other)
{
    const hone_standing *a = &j->standing[index], *b = &j->standing[other];
    if (!a->running_known || !b->running_known || !isfinite(a->running_usd) || !isfinite(b->running_usd))
        return "";
    const char *of_a = hone_words_usd(j, 1000 * a->running_usd), *of_b = hone_words_usd(j, 1000 * b->running_usd);
    const char *upkeep = a->running_usd > a->cost.operating_usd || b->running_usd > b->cost.operating_usd
                             ? hone_words(j, ", setting it up again %g times a year included", j->use->changes_per_year)
                             : "";
    if (strcmp(of_a, of_b) == 0)
        return hone_words(j, "both cost %s per 1,000 requests%s", of_a, upkeep);
    return hone_words(j, "%s against %s per 1,000 requests%s", of_a, of_b, upkeep);
}

const char *hone_words_ms(hone_judgement *j, double ms)
{
    const char *text = hone_words(j, "%s ms", hone_number_ms(ms).text);
    return text[0] == '<' ? hone_words(j, "less than %s", text + 2) : text;
}

const char *hone_words_hours(hone_judgement *j, double hours)
{
    return hone_words(j, "%s", hone_number_hours(hours).text);
}

const char *hone_words_count(hone_judgement *j, double count)
{
    return hone_words(j, "%s", hone_number_about(count).text);
}

const char *hone_words_rows(hone_judgement *j, double rows)
{
    double unit = rows < 10 ? 1 : pow(10, floor(log10(rows)) - 1);
    return hone_words(j, "%s", hone_number_count(ceil(rows / unit - 1e-9) * unit).text);
}

const char *hone_words_exactly(hone_judgement *j, size_t n)
{
    return hone_words(j, "%s", hone_number_count((double)n).text);
}

const char *hone_words_minimum(hone_judgement *j)
{
    double percent = 100 * j->use->min_score;
    return hone_words(j, fabs(percent - round(percent)) < 1e-9 ? "%.2f" : "%g", j->use->min_score);
}

const char *hone_words_months(hone_judgement *j, double months)
{
    return hone_words(j, "%s", hone_number_months(months).text);
}
