/* markdown.c - the report as Markdown. Text of unknown origin is escaped; commands and hashes stand in code spans. */
#include "report/markdown.h"

#include "report/facts.h"
#include "report/legible.h"

#include <string.h>

static void text(hone_buffer *b, const char *s)
{
    hone_legible_append_markdown(b, s ? s : "");
}

/* A code span: longer fences than any run of backticks inside (CommonMark 6.1). */
static void code(hone_buffer *b, const char *s)
{
    size_t longest = 0, run = 0;
    for (const char *p = s; *p; p++) {
        run = *p == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    for (size_t i = 0; i <= longest; i++)
        hone_buffer_putc(b, '`');
    bool padded = s[0] == '`' || (s[0] && s[strlen(s) - 1] == '`');
    hone_buffer_puts(b, padded ? " " : "");
    hone_legible_append(b, s, HONE_LEGIBLE_LINE);
    hone_buffer_puts(b, padded ? " " : "");
    for (size_t i = 0; i <= longest; i++)
        hone_buffer_putc(b, '`');
}

static void paragraph(hone_buffer *b, const hone_buffer *from)
{
    if (!from->length)
        return;
    text(b, from->data);
    hone_buffer_puts(b, "\n\n");
}

static void table(hone_buffer *b, const hone_view *v)
{
    int marked = hone_facts_marked(v);
    hone_buffer_puts(b, "| approach |");
    for (int c = 0; c < HONE_COLUMNS; c++)
        hone_buffer_printf(b, " %s |", hone_column_heads[c].name);
    hone_buffer_puts(b, "\n|:---|");
    for (int c = 0; c < HONE_COLUMNS; c++)
        hone_buffer_puts(b, "---:|");
    hone_buffer_putc(b, '\n');
    for (size_t i = 0; i < v->n_approaches; i++) {
        const char *bold = marked >= 0 && (size_t)marked == i ? "**" : "";
        hone_buffer_printf(b, "| %s", bold);
        text(b, v->approaches[i].name);
        hone_buffer_printf(b, "%s |", bold);
        for (int c = 0; c < HONE_COLUMNS; c++)
            hone_buffer_printf(b, " %s%s%s |", bold, hone_facts_cell(&v->approaches[i], (hone_column)c).text, bold);
        hone_buffer_putc(b, '\n');
    }
    hone_buffer_putc(b, '\n');
}

static void comparisons(hone_buffer *b, const hone_view *v)
{
    if (v->n_pairs == 0)
        return;
    hone_buffer_puts(b,
                     "| planned comparison | points | interval | p (Holm) | finding |\n|:---|---:|---:|---:|:---|\n");
    for (size_t i = 0; i < v->n_pairs; i++) {
        const hone_view_pair *p = &v->pairs[i];
        hone_buffer_puts(b, "| ");
        text(b, v->approaches[p->a].name);
        hone_buffer_puts(b, " against ");
        text(b, v->approaches[p->b].name);
        hone_buffer_printf(b, " | %s | %s | %s | ", hone_number_points(p->difference).text,
                           hone_number_points_interval(p->difference, p->ci_low, p->ci_high).text,
                           hone_number_p_bare(p->p_adjusted).text);
        text(b, p->finding);
        hone_buffer_puts(b, " |\n");
    }
    hone_buffer_putc(b, '\n');
}

static void labelled(hone_buffer *b, const char *label, const hone_buffer *from)
{
    if (!from->length)
        return;
    hone_buffer_printf(b, "- **%s:** ", label);
    text(b, from->data);
    hone_buffer_putc(b, '\n');
}

static void record_line(hone_buffer *b, const char *label, const char *value)
{
    if (!value[0])
        return;
    hone_buffer_printf(b, "- %s: ", label);
    code(b, value);
    hone_buffer_putc(b, '\n');
}

static void record(hone_buffer *b, const hone_view *v)
{
    hone_buffer_puts(b, "\n### Reproduce\n\n");
    record_line(b, "command", v->command);
    record_line(b, "model sha256", v->model_hash);
    record_line(b, "test sha256", v->test_hash);
    record_line(b, "train sha256", v->train_hash);
    record_line(b, "seed", v->seed);
    record_line(b, "machine", v->machine);
    record_line(b, "hone", v->hone);
    record_line(b, "started", v->started);
}

hone_status hone_report_markdown(const json_t *document, hone_buffer *out, hone_error *err)
{
    hone_arena *arena = hone_arena_create();
    hone_facts facts = {0};
    hone_view view;
    hone_status status = arena ? hone_view_read(document, arena, &view, err)
                               : hone_fail(err, HONE_NO_MEMORY, "no memory for the Markdown report");
    if (status != HONE_OK)
        goto done;
    status = hone_facts_build(&view, &facts, err);
    if (status != HONE_OK)
        goto done;
    paragraph(out, &facts.header);
    paragraph(out, &facts.detectable);
    paragraph(out, &facts.quick);
    table(out, &view);
    comparisons(out, &view);
    hone_buffer_puts(out, "**");
    text(out, view.headline[0] ? view.headline : "Verdict.");
    hone_buffer_puts(out, "** ");
    text(out, view.summary);
    hone_buffer_puts(out, "\n\n");
    labelled(out, "why", &facts.why);
    labelled(out, "cost", &facts.cost);
    labelled(out, "work", &facts.work);
    labelled(out, "keeps", &facts.keeps);
    labelled(out, "unless", &facts.unless);
    for (size_t i = 0; i < facts.n_next; i++) {
        hone_buffer_puts(out, i == 0 ? "- **next:** " : ", ");
        code(out, facts.next[i].data ? facts.next[i].data : "");
    }
    hone_buffer_puts(out, facts.n_next ? "\n" : "");
    for (size_t i = 0; i < view.n_warnings; i++) {
        hone_buffer_puts(out, "- **note:** ");
        text(out, view.warnings[i]);
        hone_buffer_putc(out, '\n');
    }
    record(out, &view);
    if (out->failed)
        status = hone_fail(err, HONE_NO_MEMORY, "no memory for the Markdown report");
done:
    hone_facts_clear(&facts);
    hone_arena_free(arena);
    return status;
}
