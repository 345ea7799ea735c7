/* tokenizer_folder.c - a WordPiece tokenizer from the files of a Hugging Face folder.
 *
 * tokenizer.json holds the vocabulary as {"model": {"type": "WordPiece", "vocab": {text: id}}}; vocab.txt holds one
 * text a line, the line number being the id. In both a text that continues a word begins with "##"; hone's vocabulary
 * marks those that begin one instead (wordpiece.h), as GGUF files do. Texts in square brackets are special tokens. */
#include "text/tokenizer.h"

#include "base/arena.h"
#include "base/file.h"
#include "text/vocabulary.h"
#include "text/wordpiece.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define WORD_START "\xE2\x96\x81" /* U+2581 */
#define CONTINUED "##"

enum { MAX_FILE_BYTES = 64 << 20, MAX_TOKENS = 1 << 20, MAX_WORD = 10000, USUAL_LONGEST_WORD = 100 };

typedef struct reader {
    const char *path; /* the file being read */
    hone_arena *arena;
    hone_gguf_string *texts;
    uint8_t *types;
    int32_t n;
    const char *unknown_text;
    size_t longest_word;
    hone_error *err;
} reader;

static hone_status no_memory(const reader *r)
{
    return hone_fail(r->err, HONE_NO_MEMORY, "%s: out of memory", r->path);
}

static hone_status make_room(reader *r, size_t n)
{
    if (n < 1 || n > MAX_TOKENS)
        return hone_fail(r->err, HONE_BAD_FORMAT, "%s: %zu tokens; expected 1 to %d", r->path, n, MAX_TOKENS);
    r->texts = hone_arena_array(r->arena, n, sizeof *r->texts);
    r->types = hone_arena_array(r->arena, n, sizeof *r->types);
    r->n = (int32_t)n;
    return r->texts && r->types ? HONE_OK : no_memory(r);
}

/* Token `id` has this text in the file. */
static hone_status set_token(reader *r, int32_t id, const char *text, size_t length)
{
    bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
    bool continues = length > strlen(CONTINUED) && memcmp(text, CONTINUED, strlen(CONTINUED)) == 0;
    const char *before = bracketed || continues ? "" : WORD_START;
    size_t skip = continues ? strlen(CONTINUED) : 0, n = strlen(before) + length - skip;
    char *copy = hone_arena_alloc(r->arena, n + 1);
    if (!copy)
        return no_memory(r);
    memcpy(copy, before, strlen(before));
    memcpy(copy + strlen(before), text + skip, length - skip);
    r->texts[id] = (hone_gguf_string){.data = copy, .length = n};
    bool known = length == strlen(r->unknown_text) && memcmp(text, r->unknown_text, length) == 0;
    r->types[id] = known ? HONE_TOKEN_UNKNOWN : HONE_TOKEN_NORMAL;
    static const char *const specials[] = {"[PAD]", "[CLS]", "[SEP]", "[MASK]"};
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (length == strlen(specials[i]) && memcmp(text, specials[i], length) == 0)
            r->types[id] = HONE_TOKEN_CONTROL;
    return HONE_OK;
}

static hone_status refuse(const reader *r, const char *what, const char *found)
{
    return hone_fail(r->err, HONE_UNSUPPORTED,
                     "%s: %s is %.60s; hone reads uncased WordPiece (BERT) from such a folder", r->path, what,
                     found ? found : "missing");
}

/* What the file says about lower-casing and splitting must be what wordpiece.c does. */
static hone_status check_rules(const reader *r, const json_t *root)
{
    const json_t *normalizer = json_object_get(root, "normalizer"), *split = json_object_get(root, "pre_tokenizer");
    const char *kind = json_string_value(json_object_get(normalizer, "type")),
               *split_kind = json_string_value(json_object_get(split, "type"));
    if (!kind || strcmp(kind, "BertNormalizer") != 0)
        return refuse(r, "normalizer.type", kind);
    if (!json_is_true(json_object_get(normalizer, "lowercase")))
        return refuse(r, "normalizer.lowercase", "not true");
    if (json_is_false(json_object_get(normalizer, "strip_accents")))
        return refuse(r, "normalizer.strip_accents", "false");
    if (!split_kind || strcmp(split_kind, "BertPreTokenizer") != 0)
        return refuse(r, "pre_tokenizer.type", split_kind);
    return HONE_OK;
}

static hone_status take_model(reader *r, const json_t *model)
{
    json_t *vocabulary = json_object_get(model, "vocab"), *id,
           *limit = json_object_get(model, "max_input_chars_per_word");
    const char *kind = json_string_value(json_object_get(model, "type")), *text,
               *unknown = json_string_value(json_object_get(model, "unk_token")),
               *prefix = json_string_value(json_object_get(model, "continuing_subword_prefix"));
    if (!kind || strcmp(kind, "WordPiece") != 0)
        return refuse(r, "model.type", kind);
    if (prefix && strcmp(prefix, CONTINUED) != 0)
        return refuse(r, "model.continuing_subword_prefix", prefix);
    if (limit && (!json_is_integer(limit) || json_integer_value(limit) < 1 || json_integer_value(limit) > MAX_WORD))
        return hone_fail(r->err, HONE_BAD_FORMAT, "%s: model.max_input_chars_per_word must be 1 to %d", r->path,
                         MAX_WORD);
    r->longest_word = limit ? (size_t)json_integer_value(limit) : USUAL_LONGEST_WORD;
    r->unknown_text = unknown ? unknown : r->unknown_text;
    if (!json_is_object(vocabulary))
        return hone_fail(r->err, HONE_BAD_FORMAT, "%s: model.vocab, an object of texts and ids, is missing", r->path);
    hone_status status = make_room(r, json_object_size(vocabulary));
    if (status != HONE_OK)
        return status;
    json_object_foreach(vocabulary, text, id)
    {
        json_int_t i = json_integer_value(id);
        if (!json_is_integer(id) || i < 0 || i >= r->n || r->texts[i].data)
            return hone_fail(r->err, HONE_BAD_FORMAT,
                             "%s: model.vocab: the id of \"%.40s\" is not one of 0 to %d, or is there twice", r->path,
                             text, r->n - 1);
        status = set_token(r, (int32_t)i, text, strlen(text));
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

static hone_status make_tokenizer(const reader *r, hone_tokenizer **out)
{
    hone_wordpiece_vocabulary v = {.texts = r->texts,
                                   .types = r->types,
                                   .n = r->n,
                                   .first = -1,
                                   .last = -1,
                                   .unknown = -1,
                                   .longest_word = r->longest_word};
    for (int32_t id = 0; id < r->n; id++) {
        const hone_gguf_string *t = &r->texts[id];
        if (t->length == 5 && memcmp(t->data, "[CLS]", 5) == 0)
            v.first = id;
        if (t->length == 5 && memcmp(t->data, "[SEP]", 5) == 0)
            v.last = id;
        if (r->types[id] == HONE_TOKEN_UNKNOWN)
            v.unknown = id;
    }
    if (v.first < 0 || v.last < 0 || v.unknown < 0)
        return hone_fail(r->err, HONE_BAD_FORMAT, "%s: the vocabulary lacks %s", r->path,
                         v.first < 0  ? "[CLS]"
                         : v.last < 0 ? "[SEP]"
                                      : r->unknown_text);
    return hone_tokenizer_from_wordpiece(&v, r->path, out, r->err);
}

static hone_status read_json(reader *r, const hone_buffer *text, hone_tokenizer **out)
{
    json_error_t where;
    json_t *root = json_loadb(text->data, text->length, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return hone_fail(r->err, HONE_BAD_FORMAT, "%s:%d: bad JSON: %s", r->path, where.line, where.text);
    hone_status status = take_model(r, json_object_get(root, "model"));
    if (status == HONE_OK)
        status = check_rules(r, root);
    if (status == HONE_OK)
        status = make_tokenizer(r, out);
    json_decref(root);
    return status;
}

static hone_status read_lines(reader *r, const hone_buffer *text, hone_tokenizer **out)
{
    size_t n = 0;
    for (size_t i = 0; i < text->length; i++)
        n += text->data[i] == '\n';
    n += text->length > 0 && text->data[text->length - 1] != '\n';
    hone_status status = make_room(r, n);
    const char *at = text->data, *end = text->data + text->length;
    for (int32_t id = 0; id < r->n && status == HONE_OK; id++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        size_t length = (size_t)(stop - at);
        length -= length > 0 && at[length - 1] == '\r';
        if (length == 0)
            return hone_fail(r->err, HONE_BAD_FORMAT, "%s:%d: an empty token; the file is damaged", r->path, id + 1);
        status = set_token(r, id, at, length);
        at = newline ? newline + 1 : end;
    }
    return status == HONE_OK ? make_tokenizer(r, out) : status;
}

hone_status hone_tokenizer_from_folder(const char *folder, hone_tokenizer **out, hone_error *err)
{
    *out = NULL;
    hone_buffer text = {0};
    char *json = hone_path_join(folder, "tokenizer.json"), *lines = hone_path_join(folder, "vocab.txt");
    reader r = {.arena = hone_arena_create(), .unknown_text = "[UNK]", .longest_word = USUAL_LONGEST_WORD, .err = err};
    hone_status status = HONE_OK;
    if (!json || !lines || !r.arena) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        goto done;
    }
    bool is_json = hone_file_exists(json);
    r.path = is_json ? json : lines;
    if (!is_json && !hone_file_exists(lines)) {
        status = hone_fail(err, HONE_NOT_FOUND, "%s: neither tokenizer.json nor vocab.txt is there", folder);
        goto done;
    }
    status = hone_file_read(r.path, MAX_FILE_BYTES, &text, err);
    if (status == HONE_OK)
        status = is_json ? read_json(&r, &text, out) : read_lines(&r, &text, out);
done:
    hone_buffer_clear(&text);
    hone_arena_free(r.arena);
    free(json);
    free(lines);
    return status;
}
