/* html.c - the report as one page: header, table, verdict in the order of the terminal, then the planned comparisons,
 * cost over volume, the items, what was measured and spent, prompts and settings, and the record that reproduces it.
 *
 * A Content-Security-Policy names the style sheet and the script by their SHA-256, so that nothing else runs or loads
 * even if a row's text were to escape from its place. */
#include "report/html.h"

#include "base/hash.h"
#include "base/text.h"
#include "report/facts.h"
#include "report/html_parts.h"
#include "report/legible.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hone_html_text(hone_buffer *b, const char *s)
{
    hone_legible_append_html(b, s ? s : "", HONE_LEGIBLE_LINE);
}

void hone_html_block(hone_buffer *b, const char *s)
{
    hone_legible_append_html(b, s ? s : "", HONE_LEGIBLE_BLOCK);
}

void hone_html_isolated(hone_buffer *b, const char *s)
{
    hone_buffer_puts(b, "<bdi>");
    hone_html_text(b, s);
    hone_buffer_puts(b, "</bdi>");
}

void hone_html_scroll_begin(hone_buffer *b, const char *label, const char *class)
{
    hone_buffer_printf(b, "<div class=\"scroll %s\" role=\"region\" aria-label=\"%s\" tabindex=\"0\">", class, label);
}

void hone_html_scroll_end(hone_buffer *b)
{
    hone_buffer_puts(b, "</div>");
}

/* 'sha256-<base64>' of a text, as a policy names it (CSP level 3, 2.3.1; base64 of RFC 4648, 4). */
static void policy_hash(hone_buffer *b, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char hex[65];
    unsigned char bytes[33] = {0};
    hone_sha256_hex(text, strlen(text), hex);
    for (int i = 0; i < 32; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    hone_buffer_puts(b, "'sha256-");
    for (int i = 0; i < 33; i += 3) {
        unsigned v = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        for (int d = 0; d < 4; d++)
            hone_buffer_putc(b, i == 30 && d == 3 ? '=' : digits[v >> (18 - 6 * d) & 63]);
    }
    hone_buffer_putc(b, '\'');
}

void hone_html_head(hone_buffer *b, const char *hone, const char *subject, const char *headline)
{
    hone_buffer_puts(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; "
                        "form-action 'none'; style-src ");
    policy_hash(b, hone_html_style);
    hone_buffer_puts(b, "; script-src ");
    policy_hash(b, hone_html_script);
    hone_buffer_puts(b, "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                        "<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"generator\" content=\"hone ");
    hone_html_text(b, hone);
    hone_buffer_puts(b, "\">\n<title>");
    hone_html_text(b, subject);
    hone_buffer_puts(b, ": ");
    hone_html_text(b, headline);
    hone_buffer_puts(b, "</title>\n<style>");
    hone_buffer_puts(b, hone_html_style);
    hone_buffer_puts(b, "</style></head>\n");
}

static void paragraph(hone_buffer *b, const char *class, const hone_buffer *text)
{
    if (!text->length)
        return;
    hone_buffer_printf(b, "<p class=\"%s\">", class);
    hone_html_text(b, text->data);
    hone_buffer_puts(b, "</p>\n");
}

static void number_cell(hone_buffer *b, const char *class, const char *text)
{
    if (class)
        hone_buffer_printf(b, "<td class=\"%s\">", class);
    else
        hone_buffer_puts(b, "<td>");
    hone_html_text(b, text);
    hone_buffer_puts(b, "</td>");
}

static void name_cell(hone_buffer *b, const char *name)
{
    hone_buffer_puts(b, "<th scope=\"row\" class=\"name\">");
    hone_html_isolated(b, name);
    hone_buffer_puts(b, "</th>");
}

static void approach_row_begin(hone_buffer *b, const hone_view *v, size_t i)
{
    bool marked = hone_facts_marked(v) == (int)i;
    hone_buffer_puts(b, marked ? "<tr class=\"chosen\">" : "<tr>");
    name_cell(b, v->approaches[i].name);
}

static void result_table(hone_buffer *b, const hone_view *v)
{
    /* The drawing stands between the names and the figures it shows. */
    static const hone_column order[] = {HONE_COLUMN_TEST, HONE_COLUMN_INTERVAL, HONE_COLUMN_SELECT, HONE_COLUMN_LATENCY,
                                        HONE_COLUMN_COST, HONE_COLUMN_SETUP,    HONE_COLUMN_SPENT};
    enum { N_ORDER = sizeof order / sizeof *order };
    hone_html_axis axis = hone_html_score_axis(v);
    hone_buffer_puts(b, "<figure>");
    hone_html_scroll_begin(b, "Approaches and their scores", "");
    hone_buffer_puts(b,
                     "<table><thead><tr><th scope=\"col\" class=\"name\">approach</th><th scope=\"col\" class=\"draw\" "
                     "aria-label=\"test score with interval, drawn\">");
    hone_html_axis_labels(b, axis, false);
    hone_buffer_puts(b, "</th>");
    for (size_t c = 0; c < N_ORDER; c++)
        hone_buffer_printf(b, "<th scope=\"col\" title=\"%s\">%s</th>", hone_column_heads[order[c]].explanation,
                           hone_column_heads[order[c]].name);
    hone_buffer_puts(b, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < v->n_approaches; i++) {
        approach_row_begin(b, v, i);
        hone_buffer_puts(b, "<td class=\"draw\">");
        hone_html_score_plot(b, v, i, axis);
        hone_buffer_puts(b, "</td>");
        for (size_t c = 0; c < N_ORDER; c++)
            number_cell(b, c == 0 ? "main" : NULL, hone_facts_cell(&v->approaches[i], order[c]).text);
        hone_buffer_puts(b, "</tr>\n");
    }
    hone_buffer_puts(b, "</tbody></table>");
    hone_html_scroll_end(b);
    hone_buffer_puts(b, "<figcaption>");
    hone_buffer_puts(b, "Score (");
    hone_html_text(b, v->metric[0] ? v->metric : "unnamed metric");
    hone_buffer_puts(b, ")");
    hone_buffer_printf(b, " on the locked test (%s rows): a dot for the score, a whisker for its 95 %% interval. ",
                       hone_number_count(v->n_test).text);
    hone_html_shape_key(b);
    if (isfinite(v->min_score))
        hone_buffer_printf(b, ". Dotted line: the %.2f you asked for", v->min_score);
    hone_buffer_puts(
        b, ". <i>select</i> is the held-out part of the training rows that named the winner; <i>p50</i> is one request "
           "at a time; <i>set-up</i> counts labels, training, evaluation and work; <i>spent</i> is this run's time."
           "</figcaption></figure>\n");
}

static void verdict_row(hone_buffer *b, const char *label, const hone_buffer *text)
{
    if (!text->length)
        return;
    hone_buffer_printf(b, "<dt>%s</dt><dd>", label);
    hone_html_text(b, text->data);
    hone_buffer_puts(b, "</dd>\n");
}

/* The reasons as a list: the same sentences as elsewhere, one a line. */
static void why(hone_buffer *b, const hone_view *v)
{
    if (!v->confidence[0] && v->n_because == 0)
        return;
    hone_buffer_puts(b, "<dt>why</dt><dd>");
    if (v->confidence[0]) {
        hone_buffer sentence = {0};
        hone_facts_add_confidence(v, &sentence);
        hone_html_text(b, sentence.data ? sentence.data : "");
        hone_buffer_clear(&sentence);
    }
    hone_buffer_puts(b, v->n_because ? "<ul>" : "");
    for (size_t i = 0; i < v->n_because; i++) {
        hone_buffer sentence = {0};
        hone_facts_add_sentence(&sentence, v->because[i]);
        hone_buffer_puts(b, "<li>");
        hone_html_text(b, sentence.data ? sentence.data : "");
        hone_buffer_puts(b, "</li>");
        hone_buffer_clear(&sentence);
    }
    hone_buffer_puts(b, v->n_because ? "</ul></dd>\n" : "</dd>\n");
}

static void verdict(hone_buffer *b, const hone_view *v, const hone_facts *f)
{
    hone_buffer_puts(b, "<section class=\"verdict\" id=\"verdict\" aria-label=\"Verdict\"><p><b>");
    hone_html_text(b, v->headline[0] ? v->headline : "Verdict.");
    hone_buffer_puts(b, "</b> ");
    hone_html_text(b, v->summary);
    hone_buffer_puts(b, "</p>\n<dl>");
    why(b, v);
    verdict_row(b, "cost", &f->cost);
    verdict_row(b, "work", &f->work);
    verdict_row(b, "keeps", &f->keeps);
    verdict_row(b, "unless", &f->unless);
    if (f->n_next) {
        hone_buffer_puts(b, "<dt>next</dt><dd class=\"commands\">");
        for (size_t i = 0; i < f->n_next; i++) {
            hone_buffer_puts(b, "<code>");
            hone_html_text(b, f->next[i].data);
            hone_buffer_puts(b, "</code>");
        }
        hone_buffer_puts(b, "</dd>");
    }
    if (v->n_warnings) {
        hone_buffer_printf(b, "<dt>note%s</dt><dd><ul>", v->n_warnings == 1 ? "" : "s");
        for (size_t i = 0; i < v->n_warnings; i++) {
            hone_buffer_puts(b, "<li>");
            hone_html_text(b, v->warnings[i]);
            hone_buffer_puts(b, "</li>");
        }
        hone_buffer_puts(b, "</ul></dd>");
    }
    hone_buffer_puts(b, "</dl></section>\n");
}

static void contents(hone_buffer *b, const hone_view *v)
{
    static const struct {
        const char *id, *title;
    } sections[] = {{"comparisons", "planned comparisons"}, {"cost", "cost over volume"},
                    {"items", "where they disagree"},       {"measured", "measured and spent"},
                    {"prompts", "prompts and settings"},    {"record", "reproduce"}};
    hone_buffer_puts(b, "<nav aria-label=\"In this report\"><ul>");
    for (size_t i = v->n_pairs ? 0 : 1; i < sizeof sections / sizeof *sections; i++)
        hone_buffer_printf(b, "<li><a href=\"#%s\">%s</a></li>", sections[i].id, sections[i].title);
    hone_buffer_puts(b, "</ul></nav>\n");
}

static void comparisons(hone_buffer *b, const hone_view *v)
{
    if (v->n_pairs == 0)
        return;
    hone_html_axis axis = hone_html_difference_axis(v);
    hone_buffer_puts(
        b, "<h2 id=\"comparisons\">Planned comparisons</h2>\n<p>Listed before the test was opened, because they were "
           "the questions; nothing else was tested. Intervals are widened and p is adjusted (Holm) for their number, "
           "so that an interval and its p never disagree.</p>\n");
    hone_html_scroll_begin(b, "Planned comparisons", "");
    bool one_winner = true;
    for (size_t i = 0; i < v->n_pairs; i++)
        one_winner &= v->pairs[i].a == v->pairs[0].a;
    hone_buffer_puts(b, "<table><thead><tr><th scope=\"col\" class=\"name\">");
    if (one_winner) {
        hone_html_isolated(b, v->approaches[v->pairs[0].a].name);
        hone_buffer_puts(b, " against");
    } else
        hone_buffer_puts(b, "comparison");
    hone_buffer_puts(b, "</th><th scope=\"col\" class=\"draw\" aria-label=\"difference with interval, drawn\">");
    hone_html_axis_labels(b, axis, true);
    hone_buffer_puts(b,
                     "</th><th scope=\"col\">points</th><th scope=\"col\">interval</th><th scope=\"col\">p (Holm)</th>"
                     "<th scope=\"col\" title=\"rows that only one of the two has right\">only one right</th>"
                     "<th scope=\"col\" class=\"word\">finding</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < v->n_pairs; i++) {
        const hone_view_pair *p = &v->pairs[i];
        hone_buffer_puts(b, "<tr><th scope=\"row\" class=\"name\">");
        if (!one_winner) {
            hone_html_isolated(b, v->approaches[p->a].name);
            hone_buffer_puts(b, " against ");
        }
        hone_html_isolated(b, v->approaches[p->b].name);
        hone_buffer_puts(b, "</th><td class=\"draw\">");
        hone_html_difference_plot(b, v, i, axis);
        hone_buffer_puts(b, "</td>");
        number_cell(b, "main", hone_number_points(p->difference).text);
        number_cell(b, NULL, hone_number_points_interval(p->difference, p->ci_low, p->ci_high).text);
        number_cell(b, NULL, hone_number_p_bare(p->p_adjusted).text);
        hone_buffer_printf(b, "<td>%s : %s</td>", hone_number_count(p->only_a).text, hone_number_count(p->only_b).text);
        number_cell(b, "word", p->finding);
        hone_buffer_puts(b, "</tr>\n");
    }
    hone_buffer_puts(b, "</tbody></table>");
    hone_html_scroll_end(b);
    hone_buffer_puts(
        b,
        "<p class=\"small\">Differences in points; the plot's zero is no difference, a full dot marks an interval on "
        "one side of it. Test: ");
    hone_html_text(b, v->pairs[0].test[0] ? v->pairs[0].test : "not stated");
    hone_buffer_puts(b, ".</p>\n");
}

static void requests_cell(hone_buffer *b, double requests)
{
    number_cell(b, NULL, isfinite(requests) ? hone_number_about(requests).text : "never");
}

/* The break-even where one assumption is half or double what it is. */
static void sensitivity(hone_buffer *b, const hone_view *v)
{
    if (v->n_bands == 0 || v->choose < 0 || v->break_even_against < 0)
        return;
    hone_buffer_puts(b, "<p>Requests after which ");
    hone_html_isolated(b, v->approaches[v->choose].name);
    hone_buffer_puts(b, " costs less than ");
    hone_html_isolated(b, v->approaches[v->break_even_against].name);
    hone_buffer_puts(b, ", with one assumption halved or doubled and the others as they are:</p>\n");
    hone_html_scroll_begin(b, "Sensitivity of the break-even", "");
    hone_buffer_puts(b, "<table><thead><tr><th scope=\"col\" class=\"name\">assumption</th>"
                        "<th scope=\"col\">halved to</th><th scope=\"col\">requests</th>"
                        "<th scope=\"col\">doubled to</th><th scope=\"col\">requests</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < v->n_bands; i++) {
        const hone_view_band *band = &v->bands[i];
        char low[32], high[32];
        snprintf(low, sizeof low, "%.3g", band->low);
        snprintf(high, sizeof high, "%.3g", band->high);
        hone_buffer_puts(b, "<tr><th scope=\"row\" class=\"name\">");
        hone_html_text(b, band->input);
        hone_buffer_puts(b, "</th>");
        number_cell(b, NULL, low);
        requests_cell(b, band->at_low);
        number_cell(b, NULL, high);
        requests_cell(b, band->at_high);
        hone_buffer_puts(b, "</tr>\n");
    }
    hone_buffer_puts(b, "</tbody></table>");
    hone_html_scroll_end(b);
}

static void cost(hone_buffer *b, const hone_view *v)
{
    double volume = hone_facts_horizon_requests(v), shown = isfinite(volume) ? volume : 1e6;
    double months = isfinite(v->horizon_months) ? v->horizon_months : 12;
    double n_changes = isfinite(volume) && v->changes_per_year > 0 ? v->changes_per_year * months / 12 : 0;
    hone_buffer_puts(
        b, "<h2 id=\"cost\">Cost over volume</h2>\n<p>Set-up plus requests times their price. Lower is cheaper, not "
           "better: errors are not priced here.</p>\n<figure>");
    hone_html_cost_chart(b, v);
    hone_buffer_puts(b, "</figure>\n");
    hone_html_scroll_begin(b, "Costs", "");
    hone_buffer_printf(
        b,
        "<table><thead><tr><th scope=\"col\" class=\"name\">approach</th><th scope=\"col\">labels</th>"
        "<th scope=\"col\" title=\"training, fitting, searching and evaluating\">computing</th>"
        "<th scope=\"col\" title=\"hours of people's work before the first request\">work</th>"
        "<th scope=\"col\" title=\"labels, computing and work before the first request\">set-up</th>"
        "<th scope=\"col\" title=\"labels, computing and work at each change of the task\">each change</th>"
        "<th scope=\"col\" title=\"busy seconds times the price: a machine that others use as well\">1,000 shared</th>"
        "<th scope=\"col\" title=\"hours kept times the price: a machine kept for this alone\">1,000 dedicated</th>"
        "<th scope=\"col\" title=\"set-up, changes of the task and %s requests\">total</th></tr></thead><tbody>\n",
        hone_number_about(shown).text);
    for (size_t i = 0; i < v->n_approaches; i++) {
        const hone_view_approach *a = &v->approaches[i];
        approach_row_begin(b, v, i);
        const double setup[] = {a->setup_labels_usd, a->setup_compute_usd, a->setup_work_usd, a->setup_usd,
                                a->change_usd};
        for (size_t c = 0; c < sizeof setup / sizeof *setup; c++)
            number_cell(b, NULL, hone_number_usd(setup[c]).text);
        number_cell(b, v->dedicated ? NULL : "main", hone_number_usd(a->cost_per_1k).text);
        number_cell(b, v->dedicated ? "main" : NULL, hone_number_usd(a->cost_provisioned).text);
        double of_changes = n_changes > 0 && isfinite(a->change_usd) ? n_changes * a->change_usd : 0;
        number_cell(b, NULL, hone_number_usd(hone_view_total_usd(a, shown) + of_changes).text);
        hone_buffer_puts(b, "</tr>\n");
    }
    hone_buffer_puts(b, "</tbody></table>");
    hone_html_scroll_end(b);
    hone_buffer_puts(b, "<p class=\"small\">Total: set-up");
    if (n_changes > 0)
        hone_buffer_printf(b, ", %.3g change%s of the task", n_changes, n_changes == 1 ? "" : "s");
    hone_buffer_printf(b, " and %s requests. ", hone_number_about(shown).text);
    hone_buffer_printf(b, "Prices: %s for an hour of computing, %s a label, %s for an hour of work.",
                       hone_number_usd(v->compute_hour_usd).text, hone_number_usd(v->label_usd).text,
                       hone_number_usd(v->engineer_hour_usd).text);
    if (v->input_million_usd > 0 || v->output_million_usd > 0) {
        hone_buffer_printf(b, " Tokens are bought: %s a million in, %s a million out",
                           hone_number_usd(v->input_million_usd).text, hone_number_usd(v->output_million_usd).text);
        if (v->cache_hit_rate > 0)
            hone_buffer_printf(b,
                               "; %s of requests find their prefix in the provider's cache, read at %.3g and "
                               "stored at %.3g times the price",
                               hone_number_percent(v->cache_hit_rate).text, v->cache_read, v->cache_write);
        hone_buffer_putc(b, '.');
    }
    for (int kind = 0; kind < HONE_WORK_KINDS; kind++)
        if (isfinite(v->work_hours[kind]))
            hone_buffer_printf(b, "%s%.3g h %s%s", kind ? "; " : " Work: ", v->work_hours[kind],
                               hone_work_defaults[kind].what, v->work_assumed[kind] ? " (assumed)" : "");
    hone_buffer_puts(b, isfinite(v->work_hours[0]) ? ".</p>\n" : "</p>\n");
    sensitivity(b, v);
}

static void measured(hone_buffer *b, const hone_view *v)
{
    static const char *const heads[] = {"P(best)",   "regret",    "labels",     "build",  "train tok/s", "evaluate",
                                        "tokens in", "cacheable", "tokens out", "p50 ms", "p95 ms",      "strict"};
    hone_buffer_puts(b, "<h2 id=\"measured\">What was measured and spent</h2>\n");
    hone_html_scroll_begin(b, "Measurements", "dense");
    hone_buffer_puts(b, "<table><thead><tr><th scope=\"col\" class=\"name\">approach</th>");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        hone_buffer_printf(b, "<th scope=\"col\">%s</th>", heads[i]);
    hone_buffer_puts(b, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < v->n_approaches; i++) {
        const hone_view_approach *a = &v->approaches[i];
        const hone_number cells[] = {
            hone_number_percent(a->p_best),
            hone_number_points(isfinite(a->expected_regret) ? -a->expected_regret : NAN),
            hone_number_count(a->labels_used),
            hone_number_seconds(a->train_seconds),
            hone_number_count(a->train_tokens_per_second > 0 ? a->train_tokens_per_second : NAN),
            hone_number_seconds(a->evaluation_seconds),
            hone_number_count(a->tokens_in > 0 ? a->tokens_in : NAN),
            hone_number_count(a->tokens_in > 0 ? a->tokens_static : NAN),
            hone_number_count(a->tokens_out > 0 ? a->tokens_out : NAN),
            hone_number_ms(a->p50_ms),
            hone_number_ms(a->p95_ms),
            hone_number_percent(a->strict_format)};
        approach_row_begin(b, v, i);
        for (size_t c = 0; c < sizeof cells / sizeof *cells; c++)
            number_cell(b, NULL, cells[c].text);
        hone_buffer_puts(b, "</tr>\n");
    }
    hone_buffer_puts(b, "</tbody></table>");
    hone_html_scroll_end(b);
    hone_buffer_puts(
        b,
        "<p class=\"small\">P(best): the share of resamples of select in which it has the highest score; "
        "regret: the points that "
        "naming it loses there on average. Tokens are means a request; cacheable ones are equal at the start of every "
        "request. Latency: "
        "one request at a time, prefix cache warm. Strict: answers that needed no leniency to "
        "be read.</p>\n<p>");
    if (isfinite(v->seconds))
        hone_buffer_printf(b, "The whole run took %s", hone_number_seconds(v->seconds).text);
    if (isfinite(v->seconds) && v->peak_bytes > 0) {
        char size[32];
        hone_format_bytes((uint64_t)fmin(v->peak_bytes, 1e18), size);
        hone_buffer_printf(b, " and at most %s of memory", size);
    }
    hone_buffer_puts(b, isfinite(v->seconds) ? ".</p>\n" : "</p>\n");
}

/* A line a seed: what it scored where its settings were chosen, where the winner was named, and on the test. */
static void seeds_table(hone_buffer *b, const hone_view_approach *a)
{
    static const char *const keys[] = {"select_tune", "select_name", "test"};
    size_t i;
    json_t *run;
    if (!json_is_array(a->seeds))
        return;
    hone_buffer_printf(b,
                       "<p>Trained with %zu seeds; scores are means over them, intervals include their spread "
                       "(standard deviation %s on the test).</p><table><thead><tr><th scope=\"col\">seed</th>"
                       "<th scope=\"col\">select (settings)</th><th scope=\"col\">select (winner)</th>"
                       "<th scope=\"col\">test</th></tr></thead><tbody>",
                       json_array_size(a->seeds), hone_number_score(a->seeds_deviation).text);
    json_array_foreach(a->seeds, i, run)
    {
        double seed = json_number_value(json_object_get(run, "seed"));
        hone_buffer_printf(b, "<tr><th scope=\"row\">%.0f%s</th>", seed, seed == a->seed_kept ? ", served" : "");
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            const json_t *score = json_object_get(run, keys[k]);
            hone_buffer_printf(b, "<td>%s</td>",
                               hone_number_score(json_is_number(score) ? json_number_value(score) : NAN).text);
        }
        hone_buffer_puts(b, "</tr>");
    }
    hone_buffer_puts(b, "</tbody></table>");
}

static void prompts(hone_buffer *b, const hone_view *v)
{
    hone_buffer_puts(
        b, "<h2 id=\"prompts\">Exact prompts and settings</h2>\n<p>What each approach sent for the first test row; "
           "control characters are shown as pictures.</p>\n");
    for (size_t i = 0; i < v->n_approaches; i++) {
        const hone_view_approach *a = &v->approaches[i];
        hone_buffer_puts(b, "<details><summary>");
        hone_html_isolated(b, a->name);
        hone_buffer_puts(b, "</summary>");
        if (a->description[0]) {
            hone_buffer_puts(b, "<p>");
            hone_html_text(b, a->description);
            hone_buffer_puts(b, "</p>");
        }
        seeds_table(b, a);
        if (a->adapter[0]) {
            hone_buffer_puts(b, "<p>adapter: <code>");
            hone_html_text(b, a->adapter);
            hone_buffer_puts(b, "</code></p>");
        }
        if (a->has_prompt) {
            hone_buffer_puts(b, "<pre dir=\"auto\" tabindex=\"0\">");
            hone_html_block(b, a->prompt);
            hone_buffer_puts(b, "</pre>");
        } else
            hone_buffer_puts(b, strcmp(a->family, "baseline") == 0
                                    ? "<p>No prompt: it does not use the language model.</p>"
                                    : "<p>No prompt was recorded.</p>");
        hone_buffer_puts(b, "</details>\n");
    }
}

static void record_row(hone_buffer *b, const char *label, const char *value)
{
    if (!value[0])
        return;
    hone_buffer_printf(b, "<dt>%s</dt><dd><code>", label);
    hone_html_text(b, value);
    hone_buffer_puts(b, "</code></dd>\n");
}

static void record(hone_buffer *b, const hone_view *v)
{
    hone_buffer_puts(b, "<h2 id=\"record\">Reproduce</h2>\n<p>");
    if (v->test_openings >= 1)
        hone_buffer_printf(b, "This test has been opened %s time%s, this comparison included. ",
                           hone_number_count(v->test_openings).text, v->test_openings == 1 ? "" : "s");
    hone_buffer_puts(b, "The same command with the same files, seed and numerics class gives the same answers, on any "
                        "number of threads."
                        "</p>\n<div class=\"record\"><dl>");
    if (v->command[0]) {
        hone_buffer_puts(b, "<dt>command</dt><dd><code id=\"command\">");
        hone_html_text(b, v->command);
        hone_buffer_puts(
            b, "</code><br><button type=\"button\" id=\"copy-command\" hidden>Copy the command</button></dd>\n");
    }
    char threads[96];
    snprintf(threads, sizeof threads, "%.40s%s%.40s", v->numerics_class, v->numerics_class[0] && v->isa[0] ? ", " : "",
             v->isa);
    record_row(b, "model", v->model);
    record_row(b, "model sha256", v->model_hash);
    record_row(b, "test sha256", v->test_hash);
    record_row(b, "train sha256", v->train_hash);
    record_row(b, "seed", v->seed);
    record_row(b, "numerics", threads);
    record_row(b, "machine", v->machine);
    record_row(b, "hone", v->hone);
    record_row(b, "started", v->started);
    if (v->dropped_duplicates > 0 || v->near_duplicates > 0)
        hone_buffer_printf(
            b,
            "<dt>duplicates</dt><dd>%s train rows equal to a test row were dropped; %s more are equal after "
            "normalisation and were kept.</dd>\n",
            hone_number_count(v->dropped_duplicates).text, hone_number_count(v->near_duplicates).text);
    hone_buffer_puts(b, "</dl></div>\n");
}

static void page(hone_buffer *b, const hone_view *v, const hone_facts *f)
{
    hone_html_head(b, v->hone, v->task, v->headline);
    hone_buffer_puts(
        b,
        "<body><a class=\"skip\" href=\"#verdict\">Skip to the verdict</a>\n<main>\n<header><p class=\"kicker\">hone "
        "comparison");
    if (v->started[0]) {
        /* 2026-01-31T12:00:00Z reads as 2026-01-31 12:00 UTC. */
        bool iso = strlen(v->started) == 20 && v->started[10] == 'T' && v->started[19] == 'Z';
        char day[11] = {0}, minute[6] = {0};
        memcpy(day, v->started, iso ? 10 : 0);
        memcpy(minute, iso ? v->started + 11 : "", iso ? 5 : 0);
        hone_buffer_puts(b, " · ");
        hone_html_text(b, iso ? day : v->started);
        hone_buffer_puts(b, iso ? " " : "");
        hone_html_text(b, minute);
        hone_buffer_puts(b, iso ? " UTC" : "");
    }
    hone_buffer_puts(b, "</p>\n<h1>");
    hone_html_isolated(b, v->task);
    hone_buffer_puts(b, ": ");
    hone_html_text(b, v->headline[0] ? v->headline : "comparison");
    hone_buffer_puts(b, "</h1>\n");
    paragraph(b, "facts", &f->header);
    paragraph(b, "facts", &f->detectable);
    paragraph(b, "quick", &f->quick);
    hone_buffer_puts(b, "</header>\n");
    result_table(b, v);
    verdict(b, v, f);
    contents(b, v);
    comparisons(b, v);
    cost(b, v);
    hone_buffer_puts(b, "<h2 id=\"items\">Where they disagree</h2>\n");
    hone_html_items(b, v);
    measured(b, v);
    prompts(b, v);
    record(b, v);
    hone_buffer_puts(b, "<footer>Made by hone ");
    hone_html_text(b, v->hone);
    hone_buffer_puts(b, ". This file loads nothing and sends nothing.</footer>\n</main>\n<script>");
    hone_buffer_puts(b, hone_html_script);
    hone_buffer_puts(b, "</script></body></html>\n");
}

hone_status hone_report_html(const json_t *document, hone_buffer *out, hone_error *err)
{
    hone_arena *arena = hone_arena_create();
    hone_facts facts = {0};
    hone_view view;
    hone_status status = arena ? hone_view_read(document, arena, &view, err)
                               : hone_fail(err, HONE_NO_MEMORY, "no memory for the HTML report");
    if (status != HONE_OK)
        goto done;
    status = hone_facts_build(&view, &facts, err);
    if (status != HONE_OK)
        goto done;
    page(out, &view, &facts);
    if (out->failed)
        status = hone_fail(err, HONE_NO_MEMORY, "no memory for the HTML report");
done:
    hone_facts_clear(&facts);
    hone_arena_free(arena);
    return status;
}
