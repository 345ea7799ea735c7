/* jinja_parse_statement.c - statements and blocks, and the parser's small tools. */
#include "text/jinja_parser.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *fail_as(jinja_parser *p, hone_status code, const char *format, va_list args)
{
    char message[800];
    vsnprintf(message, sizeof message, format, args);
    if (p->status == HONE_OK)
        p->status = hone_fail(p->err, code, "line %d of the template: %s", p->at->line, message);
    return NULL;
}

void *jinja_parser_fail(jinja_parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_as(p, HONE_BAD_FORMAT, format, args);
    va_end(args);
    return NULL;
}

void *jinja_parser_unsupported(jinja_parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_as(p, HONE_UNSUPPORTED, format, args);
    va_end(args);
    return NULL;
}

void *jinja_parser_no_memory(jinja_parser *p)
{
    if (p->status == HONE_OK)
        p->status = hone_fail(p->err, HONE_NO_MEMORY, "out of memory while reading a template");
    return NULL;
}

bool jinja_parser_enter(jinja_parser *p)
{
    if (p->depth >= JINJA_MAX_SYNTAX_DEPTH)
        return jinja_parser_fail(p, "brackets or blocks are nested more than %d deep", JINJA_MAX_SYNTAX_DEPTH) != NULL;
    p->depth++;
    return true;
}

jinja_node *jinja_parser_node(jinja_parser *p, jinja_node_kind kind)
{
    jinja_node *node = hone_arena_alloc(p->arena, sizeof *node);
    if (!node)
        return jinja_parser_no_memory(p);
    node->kind = kind;
    node->line = p->at->line;
    return node;
}

bool jinja_parser_add(jinja_parser *p, jinja_nodes *list, jinja_node *node)
{
    if (!node)
        return false;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        jinja_node **items = hone_arena_array(p->arena, capacity, sizeof *items);
        if (!items)
            return jinja_parser_no_memory(p) != NULL;
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = node;
    return true;
}

const jinja_string *jinja_parser_string(jinja_parser *p, const char *text, size_t length)
{
    jinja_string *s = hone_arena_alloc(p->arena, sizeof *s);
    if (!s)
        return jinja_parser_no_memory(p);
    *s = (jinja_string){text, length, jinja_count_chars(text, length)};
    return s;
}

static bool token_is(const jinja_parser *p, jinja_token_kind kind, const char *text)
{
    return p->at->kind == kind && p->at->length == strlen(text) && memcmp(p->at->text, text, p->at->length) == 0;
}

bool jinja_at_operator(const jinja_parser *p, const char *op)
{
    return token_is(p, JINJA_T_OPERATOR, op);
}

bool jinja_at_name(const jinja_parser *p, const char *name)
{
    return token_is(p, JINJA_T_NAME, name);
}

bool jinja_skip_operator(jinja_parser *p, const char *op)
{
    bool here = jinja_at_operator(p, op);
    p->at += here;
    return here;
}

bool jinja_skip_name(jinja_parser *p, const char *name)
{
    bool here = jinja_at_name(p, name);
    p->at += here;
    return here;
}

const char *jinja_token_name(const jinja_parser *p, char out[64])
{
    static const char *const names[] = {"text outside of tags", "{{", "}}", "{%", "%}"};
    if (p->at->kind == JINJA_T_END)
        snprintf(out, 64, "the end of the template");
    else if (p->at->kind <= JINJA_T_BLOCK_END)
        snprintf(out, 64, "%s", names[p->at->kind]);
    else
        snprintf(out, 64, "'%.*s'", (int)(p->at->length > 40 ? 40 : p->at->length), p->at->text);
    return out;
}

bool jinja_expect_operator(jinja_parser *p, const char *op)
{
    char name[64];
    if (jinja_skip_operator(p, op))
        return true;
    jinja_parser_fail(p, "expected '%s', got %s", op, jinja_token_name(p, name));
    return false;
}

bool jinja_expect(jinja_parser *p, jinja_token_kind kind)
{
    char name[64];
    if (p->at->kind == kind) {
        p->at++;
        return true;
    }
    jinja_parser_fail(p, "expected %s, got %s",
                      kind == JINJA_T_PRINT_END   ? "}}"
                      : kind == JINJA_T_BLOCK_END ? "%}"
                                                  : "a name",
                      jinja_token_name(p, name));
    return false;
}

const jinja_string *jinja_expect_name(jinja_parser *p)
{
    const jinja_token *t = p->at;
    return jinja_expect(p, JINJA_T_NAME) ? jinja_parser_string(p, t->text, t->length) : NULL;
}

void jinja_parser_drop_unknown(jinja_parser *p, size_t since)
{
    size_t kept = since;
    for (size_t i = since; i < p->n_unknown; i++)
        if (p->unknown[i].certain)
            p->unknown[kept++] = p->unknown[i];
    p->n_unknown = kept;
}

void jinja_parser_certain_unknown(jinja_parser *p, size_t since)
{
    for (size_t i = since; i < p->n_unknown; i++)
        p->unknown[i].certain = true;
}

static bool parse_body(jinja_parser *p, jinja_nodes *out, const char *const *ends);

/* A body that is a function or scope of its own in Jinja2: unknown filters in it are errors even below an if. */
static bool own_body(jinja_parser *p, jinja_nodes *out, const char *const *ends)
{
    size_t unknown = p->n_unknown;
    bool good = parse_body(p, out, ends);
    jinja_parser_certain_unknown(p, unknown);
    return good;
}

/* The end tag that parse_body stopped at: skips its name and expects the end of the tag. */
static bool end_tag(jinja_parser *p)
{
    p->at++;
    return jinja_expect(p, JINJA_T_BLOCK_END);
}

static jinja_node *parse_if(jinja_parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    size_t unknown = p->n_unknown;
    jinja_node *first = NULL, **link = &first;
    do {
        p->at++; /* if, elif */
        jinja_node *node = jinja_parser_node(p, JINJA_IF);
        if (!node || !(node->first = jinja_parse_tuple(p, false, NULL)) || !jinja_expect(p, JINJA_T_BLOCK_END) ||
            !parse_body(p, &node->body, ends))
            return NULL;
        *link = node;
        link = &node->next;
    } while (jinja_at_name(p, "elif"));
    if (jinja_at_name(p, "else") && (!end_tag(p) || !parse_body(p, &first->otherwise, last)))
        return NULL;
    jinja_parser_drop_unknown(p, unknown);
    return end_tag(p) ? first : NULL;
}

static jinja_node *parse_for(jinja_parser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL}, *const last[] = {"endfor", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_FOR);
    p->at++;
    if (!node || !(node->first = jinja_parse_target(p, false)))
        return NULL;
    if (node->first->kind == JINJA_NAME && jinja_text_is(node->first->name, "loop"))
        return jinja_parser_fail(p, "the loop variable cannot be called 'loop'");
    if (!jinja_skip_name(p, "in")) {
        char name[64];
        return jinja_parser_fail(p, "expected 'in', got %s", jinja_token_name(p, name));
    }
    if (!(node->second = jinja_parse_tuple(p, false, "recursive")))
        return NULL;
    if (jinja_skip_name(p, "if") && !(node->third = jinja_parse_expression(p, true)))
        return NULL;
    node->flag = jinja_skip_name(p, "recursive");
    p->loops++;
    bool good = jinja_expect(p, JINJA_T_BLOCK_END) && own_body(p, &node->body, ends);
    p->loops--;
    if (!good || (jinja_at_name(p, "else") && (!end_tag(p) || !own_body(p, &node->otherwise, last))))
        return NULL;
    return end_tag(p) ? node : NULL;
}

static jinja_node *parse_set(jinja_parser *p)
{
    static const char *const ends[] = {"endset", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_SET);
    p->at++;
    if (!node || !(node->first = jinja_parse_target(p, true)))
        return NULL;
    if (jinja_skip_operator(p, "=")) {
        node->second = jinja_parse_tuple(p, true, NULL);
        return node->second && jinja_expect(p, JINJA_T_BLOCK_END) ? node : NULL;
    }
    node->kind = JINJA_SET_BLOCK;
    if (jinja_skip_operator(p, "|") && !(node->second = jinja_parse_filters(p, NULL, false)))
        return NULL;
    if (!jinja_expect(p, JINJA_T_BLOCK_END) || !own_body(p, &node->body, ends))
        return NULL;
    return end_tag(p) ? node : NULL;
}

/* "(a, b=1)"; defaults stand for the last parameters. */
static bool parse_signature(jinja_parser *p, jinja_node *macro)
{
    if (!jinja_expect_operator(p, "("))
        return false;
    while (!jinja_at_operator(p, ")")) {
        if (macro->items.n && !jinja_expect_operator(p, ","))
            return false;
        jinja_node *parameter = jinja_parse_single_target(p, false);
        if (!parameter || parameter->kind != JINJA_NAME)
            return jinja_parser_fail(p, "a parameter must be a name") != NULL;
        if (!jinja_parser_add(p, &macro->items, parameter))
            return false;
        if (jinja_skip_operator(p, "=")) {
            if (!jinja_parser_add(p, &macro->defaults, jinja_parse_expression(p, true)))
                return false;
        } else if (macro->defaults.n)
            return jinja_parser_fail(p, "non-default argument follows default argument") != NULL;
    }
    p->at++;
    return true;
}

/* The body of a macro or call block: its own function, so loops around it cannot be broken out of. */
static bool macro_body(jinja_parser *p, jinja_node *macro, const char *const *ends)
{
    int loops = p->loops, uses = p->uses;
    p->loops = p->uses = 0;
    bool good = jinja_expect(p, JINJA_T_BLOCK_END) && own_body(p, &macro->body, ends);
    macro->flag = p->uses;
    p->loops = loops;
    p->uses |= uses;
    return good && end_tag(p);
}

static jinja_node *parse_macro(jinja_parser *p)
{
    static const char *const ends[] = {"endmacro", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_MACRO);
    p->at++;
    if (!node || !(node->name = jinja_expect_name(p)) || !parse_signature(p, node) || !macro_body(p, node, ends))
        return NULL;
    return node;
}

static jinja_node *parse_call_block(jinja_parser *p)
{
    static const char *const ends[] = {"endcall", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_CALL_BLOCK), *macro = jinja_parser_node(p, JINJA_MACRO);
    p->at++;
    if (!node || !macro || !(macro->name = jinja_parser_string(p, "caller", 6)))
        return NULL;
    if (jinja_at_operator(p, "(") && !parse_signature(p, macro))
        return NULL;
    if (!(node->first = jinja_parse_expression(p, true)))
        return NULL;
    if (node->first->kind != JINJA_CALL)
        return jinja_parser_fail(p, "expected a call after {%% call");
    node->second = macro;
    return macro_body(p, macro, ends) ? node : NULL;
}

static jinja_node *parse_filter_block(jinja_parser *p)
{
    static const char *const ends[] = {"endfilter", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_FILTER_BLOCK);
    p->at++;
    if (!node || !(node->first = jinja_parse_filters(p, NULL, false)) || !jinja_expect(p, JINJA_T_BLOCK_END) ||
        !own_body(p, &node->body, ends))
        return NULL;
    return end_tag(p) ? node : NULL;
}

static jinja_node *parse_with(jinja_parser *p)
{
    static const char *const ends[] = {"endwith", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_WITH);
    p->at++;
    while (node && p->at->kind != JINJA_T_BLOCK_END) {
        if (node->items.n && !jinja_expect_operator(p, ","))
            return NULL;
        if (!jinja_parser_add(p, &node->items, jinja_parse_single_target(p, false)) || !jinja_expect_operator(p, "=") ||
            !jinja_parser_add(p, &node->items, jinja_parse_expression(p, true)))
            return NULL;
    }
    if (!node || !jinja_expect(p, JINJA_T_BLOCK_END) || !own_body(p, &node->body, ends))
        return NULL;
    return end_tag(p) ? node : NULL;
}

static jinja_node *parse_generation(jinja_parser *p)
{
    static const char *const ends[] = {"endgeneration", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_GENERATION);
    p->marks_generation = true;
    p->at++;
    int uses = p->uses;
    bool good = node && macro_body(p, node, ends);
    p->uses |= uses;
    return good ? node : NULL;
}

static jinja_node *parse_block(jinja_parser *p)
{
    static const char *const ends[] = {"endblock", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_SCOPED);
    p->at++;
    if (!node || !(node->name = jinja_expect_name(p)))
        return NULL;
    node->flag = !jinja_skip_name(p, "scoped");
    jinja_skip_name(p, "required");
    int loops = p->loops;
    p->loops = 0;
    bool good = jinja_expect(p, JINJA_T_BLOCK_END) && own_body(p, &node->body, ends);
    p->loops = loops;
    p->at++;
    if (good && p->at->kind == JINJA_T_NAME)
        p->at++; /* {% endblock name %} */
    return good && jinja_expect(p, JINJA_T_BLOCK_END) ? node : NULL;
}

static jinja_node *parse_autoescape(jinja_parser *p)
{
    static const char *const ends[] = {"endautoescape", NULL};
    jinja_node *node = jinja_parser_node(p, JINJA_SCOPED);
    p->at++;
    if (!node || !jinja_skip_name(p, "false"))
        return jinja_parser_unsupported(p, "autoescape other than false is not supported: prompts are not HTML");
    return jinja_expect(p, JINJA_T_BLOCK_END) && own_body(p, &node->body, ends) && end_tag(p) ? node : NULL;
}

static jinja_node *parse_print(jinja_parser *p)
{
    jinja_node *node = jinja_parser_node(p, JINJA_OUTPUT);
    p->at++;
    while (node && p->at->kind != JINJA_T_BLOCK_END) {
        if (node->items.n && !jinja_expect_operator(p, ","))
            return NULL;
        if (!jinja_parser_add(p, &node->items, jinja_parse_expression(p, true)))
            return NULL;
    }
    return node && jinja_expect(p, JINJA_T_BLOCK_END) ? node : NULL;
}

static jinja_node *parse_jump(jinja_parser *p)
{
    jinja_node *node = jinja_parser_node(p, jinja_at_name(p, "break") ? JINJA_BREAK : JINJA_CONTINUE);
    if (p->loops == 0)
        return jinja_parser_fail(p, "'%s' outside of a loop", jinja_at_name(p, "break") ? "break" : "continue");
    return node && end_tag(p) ? node : NULL;
}

static const struct {
    const char *name;
    jinja_node *(*parse)(jinja_parser *p);
} statements[] = {{"if", parse_if},           {"for", parse_for},
                  {"set", parse_set},         {"macro", parse_macro},
                  {"call", parse_call_block}, {"filter", parse_filter_block},
                  {"with", parse_with},       {"generation", parse_generation},
                  {"block", parse_block},     {"autoescape", parse_autoescape},
                  {"print", parse_print},     {"break", parse_jump},
                  {"continue", parse_jump}};

static jinja_node *parse_statement(jinja_parser *p)
{
    enum { N = sizeof statements / sizeof *statements };
    char name[64];
    for (size_t i = 0; i < N; i++)
        if (jinja_at_name(p, statements[i].name)) {
            if (!jinja_parser_enter(p))
                return NULL;
            jinja_node *node = statements[i].parse(p);
            p->depth--;
            return node;
        }
    if (p->at->kind != JINJA_T_NAME)
        return jinja_parser_fail(p, "a statement's name expected, got %s", jinja_token_name(p, name));
    static const char *const files[] = {"extends", "include", "import", "from"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (jinja_at_name(p, files[i]))
            return jinja_parser_unsupported(p, "{%% %s %%} needs other files; a chat template stands alone", files[i]);
    if (p->at->length > 3 && memcmp(p->at->text, "end", 3) == 0)
        return jinja_parser_fail(p, "%s ends a block that is not open here", jinja_token_name(p, name));
    const char *known[N];
    for (size_t i = 0; i < N; i++)
        known[i] = statements[i].name;
    char word[40];
    snprintf(word, sizeof word, "%.*s", (int)(p->at->length > 39 ? 39 : p->at->length), p->at->text);
    const char *near = hone_suggest(word, known, N);
    return jinja_parser_unsupported(p, "unknown statement '%s'%s%s%s", word, near ? " (did you mean " : "",
                                    near ? near : "", near ? "?)" : "");
}

/* Adds to the OUTPUT node at the end of the body, opening one where there is none. */
static bool add_output(jinja_parser *p, jinja_nodes *body, jinja_node *expression)
{
    jinja_node *last = body->n ? body->items[body->n - 1] : NULL;
    if (!expression)
        return false;
    if (!last || last->kind != JINJA_OUTPUT) {
        last = jinja_parser_node(p, JINJA_OUTPUT);
        if (!jinja_parser_add(p, body, last))
            return false;
    }
    return jinja_parser_add(p, &last->items, expression);
}

static bool add_data(jinja_parser *p, jinja_nodes *body)
{
    jinja_node *node = jinja_parser_node(p, JINJA_CONSTANT);
    const jinja_string *s = jinja_parser_string(p, p->at->text, p->at->length);
    if (!node || !s)
        return false;
    node->value = jinja_text(s);
    p->at++;
    return add_output(p, body, node);
}

/* Statements up to (and not past) a tag whose name is in `ends`; NULL: up to the end of the template. */
static bool parse_body(jinja_parser *p, jinja_nodes *out, const char *const *ends)
{
    for (;;) {
        switch (p->at->kind) {
        case JINJA_T_DATA:
            if (!add_data(p, out))
                return false;
            break;
        case JINJA_T_PRINT_BEGIN:
            p->at++;
            if (!add_output(p, out, jinja_parse_tuple(p, true, NULL)) || !jinja_expect(p, JINJA_T_PRINT_END))
                return false;
            break;
        case JINJA_T_BLOCK_BEGIN:
            p->at++;
            for (size_t i = 0; ends && ends[i]; i++)
                if (jinja_at_name(p, ends[i]))
                    return true;
            if (!jinja_parser_add(p, out, parse_statement(p)))
                return false;
            break;
        default:
            if (!ends)
                return true;
            while (ends[1])
                ends++; /* the last of them closes the block */
            jinja_parser_fail(p, "the template ends before '%s'", *ends);
            return false;
        }
    }
}

hone_status jinja_parse(const jinja_tokens *tokens, hone_arena *arena, jinja_program *out, hone_error *err)
{
    jinja_parser p = {.at = tokens->items, .arena = arena, .err = err};
    if (!parse_body(&p, &out->body, NULL))
        return p.status;
    out->marks_generation = p.marks_generation;
    if (p.n_unknown)
        return hone_fail(err, HONE_UNSUPPORTED, "line %d of the template: no %s named '%.*s'", p.unknown[0].line,
                         p.unknown[0].what, (int)(p.unknown[0].name->length > 100 ? 100 : p.unknown[0].name->length),
                         p.unknown[0].name->data);
    return HONE_OK;
}
