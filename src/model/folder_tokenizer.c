/* folder_tokenizer.c - the byte-level BPE tokenizer of a Hugging Face folder as tokenizer.ggml.* keys.
 *
 * tokenizer.json: {"model": {"type": "BPE", "vocab": {text: id}, "merges": ["a b" or ["a", "b"], ..]}, "added_tokens":
 * [{"id", "content", "special"}], "pre_tokenizer", "post_processor"}; tokenizer_config.json names the special tokens.
 * How words are split is said there as a little program; hone knows a few such programs by name (text/pretokenizer.c)
 * and refuses others, because another split gives other tokens without anyone noticing. */
#include "model/model_file.h"

#include "format/gguf_write.h"
#include "text/vocabulary.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 64 << 20, MAX_TOKENS = 1 << 20 };

typedef struct reader {
    const char *path;
    hone_gguf *to;
    hone_gguf_string *texts;
    int32_t *types;
    size_t n;
    hone_error *err;
} reader;

static hone_status refuse(const reader *r, const char *what, const char *found)
{
    return hone_fail(r->err, HONE_UNSUPPORTED,
                     "%s: %s is %.60s; from such a folder hone reads byte-level BPE with the split of GPT-2, SmolLM, "
                     "Llama 3 or Qwen 2. Convert the folder with llama.cpp's convert_hf_to_gguf.py and open the GGUF "
                     "file",
                     r->path, what, found ? found : "missing");
}

static const char *type_of(const json_t *object)
{
    return json_string_value(json_object_get(object, "type"));
}

static bool is_type(const json_t *object, const char *type)
{
    const char *found = type_of(object);
    return found && strcmp(found, type) == 0;
}

/* The split expressions of models whose rule has a name of its own, as their tokenizer.json has them. */
const hone_folder_split hone_folder_splits[] = {
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
     "\\s+(?!\\S)|\\s+",
     "llama-bpe"},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
     "\\s+(?!\\S)|\\s+",
     "qwen2"}};
const size_t hone_n_folder_splits = sizeof hone_folder_splits / sizeof *hone_folder_splits;

static hone_status find_rule(const reader *r, const json_t *split, const char **out)
{
    const json_t *steps = json_object_get(split, "pretokenizers"), *first = json_array_get(steps, 0),
                 *last = is_type(split, "Sequence") ? json_array_get(steps, json_array_size(steps) - 1) : split;
    size_t n = is_type(split, "Sequence") ? json_array_size(steps) : 1;
    if (!is_type(last, "ByteLevel") || n > 2)
        return refuse(r, "pre_tokenizer", type_of(split));
    if (json_is_true(json_object_get(last, "add_prefix_space")))
        return refuse(r, "pre_tokenizer.add_prefix_space", "true");
    bool own_regex = !json_is_false(json_object_get(last, "use_regex"));
    if (n == 1 && own_regex) {
        *out = "gpt-2";
        return HONE_OK;
    }
    if (n == 2 && own_regex && is_type(first, "Digits") && json_is_true(json_object_get(first, "individual_digits"))) {
        *out = "smollm";
        return HONE_OK;
    }
    const char *pattern = json_string_value(json_object_get(json_object_get(first, "pattern"), "Regex"));
    for (size_t i = 0; n == 2 && !own_regex && is_type(first, "Split") && i < hone_n_folder_splits; i++)
        if (pattern && strcmp(pattern, hone_folder_splits[i].pattern) == 0) {
            *out = hone_folder_splits[i].rule;
            return HONE_OK;
        }
    return refuse(r, "pre_tokenizer", pattern ? pattern : type_of(first));
}

static hone_status set_token(reader *r, const char *text, size_t length, json_int_t id, int32_t type)
{
    if (id < 0 || id >= MAX_TOKENS)
        return hone_fail(r->err, HONE_BAD_FORMAT, "%s: the id of \"%.40s\" is %lld; expected 0 to %d", r->path, text,
                         (long long)id, MAX_TOKENS - 1);
    r->texts[id] = (hone_gguf_string){text, length};
    r->types[id] = type;
    r->n = (size_t)id + 1 > r->n ? (size_t)id + 1 : r->n;
    return HONE_OK;
}

static hone_status read_tokens(reader *r, const json_t *root)
{
    json_t *vocabulary = json_object_get(json_object_get(root, "model"), "vocab"), *id, *added;
    const char *text;
    size_t i;
    hone_status status = HONE_OK;
    if (!json_is_object(vocabulary))
        return hone_fail(r->err, HONE_BAD_FORMAT, "%s: model.vocab, an object of texts and ids, is missing", r->path);
    json_object_foreach(vocabulary, text, id)
    {
        json_int_t n = json_integer_value(id);
        if (!json_is_integer(id) || (n >= 0 && n < MAX_TOKENS && r->texts[n].data))
            return hone_fail(r->err, HONE_BAD_FORMAT, "%s: model.vocab: the id of \"%.40s\" is none, or is there twice",
                             r->path, text);
        if ((status = set_token(r, text, strlen(text), n, HONE_TOKEN_NORMAL)) != HONE_OK)
            return status;
    }
    json_array_foreach(json_object_get(root, "added_tokens"), i, added)
    {
        const json_t *content = json_object_get(added, "content");
        if (!json_is_string(content) || !json_is_integer(json_object_get(added, "id")))
            return hone_fail(r->err, HONE_BAD_FORMAT, "%s: added_tokens[%zu] lacks its id or content", r->path, i);
        status =
            set_token(r, json_string_value(content), json_string_length(content),
                      json_integer_value(json_object_get(added, "id")),
                      json_is_true(json_object_get(added, "special")) ? HONE_TOKEN_CONTROL : HONE_TOKEN_USER_DEFINED);
        if (status != HONE_OK)
            return status;
    }
    for (size_t k = 0; k < r->n; k++)
        if (!r->texts[k].data) { /* an id that no text has */
            char name[32];
            int length = snprintf(name, sizeof name, "[PAD%zu]", k);
            r->texts[k] = (hone_gguf_string){hone_arena_strdup(r->to->arena, name), (size_t)length};
            r->types[k] = HONE_TOKEN_UNUSED;
            if (!r->texts[k].data)
                return hone_fail(r->err, HONE_NO_MEMORY, "%s: out of memory", r->path);
        }
    status = hone_gguf_set_strings(r->to, "tokenizer.ggml.tokens", r->texts, r->n, r->err);
    return status == HONE_OK ? hone_gguf_set_i32s(r->to, "tokenizer.ggml.token_type", r->types, r->n, r->err) : status;
}

static hone_status read_merges(reader *r, const json_t *merges)
{
    size_t n = json_array_size(merges), i;
    hone_gguf_string *texts = calloc(n + 1, sizeof *texts);
    hone_status status = texts ? HONE_OK : hone_fail(r->err, HONE_NO_MEMORY, "%s: out of memory", r->path);
    json_t *merge;
    json_array_foreach(merges, i, merge)
    {
        const char *left = json_string_value(json_array_get(merge, 0)),
                   *right = json_string_value(json_array_get(merge, 1));
        hone_buffer joined = {0};
        if (json_is_string(merge))
            texts[i] = (hone_gguf_string){json_string_value(merge), json_string_length(merge)};
        else if (left && right) {
            hone_buffer_printf(&joined, "%s %s", left, right);
            texts[i] = (hone_gguf_string){hone_arena_strndup(r->to->arena, joined.data, joined.length), joined.length};
        }
        hone_buffer_clear(&joined);
        if (!texts[i].data) {
            status = hone_fail(r->err, HONE_BAD_FORMAT, "%s: model.merges[%zu] is no pair of texts", r->path, i);
            break;
        }
    }
    if (status == HONE_OK)
        status = hone_gguf_set_strings(r->to, "tokenizer.ggml.merges", texts, n, r->err);
    free(texts);
    return status;
}

/* Whether encoding puts a special token before the text: {"single": [{"SpecialToken": ..}, {"Sequence": ..}]}. */
static bool puts_token_first(const json_t *processor)
{
    const json_t *steps = json_object_get(processor, "processors");
    bool found = json_object_get(json_array_get(json_object_get(processor, "single"), 0), "SpecialToken") != NULL;
    for (size_t i = 0; i < json_array_size(steps); i++)
        found |= puts_token_first(json_array_get(steps, i));
    return found;
}

static hone_status read_tokenizer_json(reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *normalizer = json_object_get(root, "normalizer");
    const char *rule = NULL;
    if (!is_type(model, "BPE"))
        return refuse(r, "model.type", type_of(model));
    if (json_is_true(json_object_get(model, "byte_fallback")))
        return refuse(r, "model.byte_fallback", "true");
    if (normalizer && !json_is_null(normalizer))
        return refuse(r, "normalizer", type_of(normalizer));
    hone_status status = find_rule(r, json_object_get(root, "pre_tokenizer"), &rule);
    if (status == HONE_OK && json_is_true(json_object_get(model, "ignore_merges")) && strcmp(rule, "llama-bpe") != 0)
        status = refuse(r, "model.ignore_merges", "true");
    if (status == HONE_OK)
        status = hone_gguf_set_string(r->to, "tokenizer.ggml.model", "gpt2", r->err);
    if (status == HONE_OK)
        status = hone_gguf_set_string(r->to, "tokenizer.ggml.pre", rule, r->err);
    if (status == HONE_OK)
        status = read_tokens(r, root);
    if (status == HONE_OK)
        status = read_merges(r, json_object_get(model, "merges"));
    if (status == HONE_OK)
        status = hone_gguf_set_integer(r->to, "tokenizer.ggml.add_bos_token", HONE_GGUF_BOOL,
                                       puts_token_first(json_object_get(root, "post_processor")), r->err);
    return status;
}

/* ---- tokenizer_config.json ---- */

/* {"eos_token": "text" or {"content": "text"}} to the id of the text. */
static hone_status set_special(reader *r, const json_t *config, const char *name, const char *key)
{
    const json_t *token = json_object_get(config, name);
    const char *text = json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
    for (size_t id = 0; text && id < r->n; id++)
        if (r->texts[id].length == strlen(text) && memcmp(r->texts[id].data, text, strlen(text)) == 0)
            return hone_gguf_set_integer(r->to, key, HONE_GGUF_U32, (int64_t)id, r->err);
    return text ? hone_fail(r->err, HONE_BAD_FORMAT, "%s: \"%s\" is \"%.40s\", which is no token", r->path, name, text)
                : HONE_OK;
}

static const char *template_of(const json_t *config)
{
    const json_t *given = json_object_get(config, "chat_template");
    const char *name;
    for (size_t i = 0; i < json_array_size(given); i++) {
        name = json_string_value(json_object_get(json_array_get(given, i), "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(json_array_get(given, i), "template"));
    }
    return json_string_value(given);
}

static hone_status read_tokenizer_config(reader *r, const json_t *config)
{
    static const struct {
        const char *name, *key;
    } specials[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                    {"eos_token", "tokenizer.ggml.eos_token_id"},
                    {"unk_token", "tokenizer.ggml.unknown_token_id"},
                    {"pad_token", "tokenizer.ggml.padding_token_id"}};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < sizeof specials / sizeof *specials && status == HONE_OK; i++)
        status = set_special(r, config, specials[i].name, specials[i].key);
    const json_t *adds = json_object_get(config, "add_bos_token");
    if (status == HONE_OK && json_is_boolean(adds))
        status =
            hone_gguf_set_integer(r->to, "tokenizer.ggml.add_bos_token", HONE_GGUF_BOOL, json_is_true(adds), r->err);
    const char *text = template_of(config);
    return status == HONE_OK && text ? hone_gguf_set_string(r->to, "tokenizer.chat_template", text, r->err) : status;
}

/* A file of the folder as JSON; *out is NULL where an optional one is absent. flags: of jansson. */
static hone_status read_json(reader *r, const char *path, bool optional, size_t flags, json_t **out)
{
    hone_buffer text = {0};
    json_error_t where;
    *out = NULL;
    r->path = path;
    if (optional && !hone_file_exists(path))
        return HONE_OK;
    hone_status status = hone_file_read(path, MAX_FILE_BYTES, &text, r->err);
    if (status == HONE_OK && !(*out = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES | flags, &where)))
        status = hone_fail(r->err, HONE_BAD_FORMAT, "%s:%d: bad JSON: %s", path, where.line, where.text);
    hone_buffer_clear(&text);
    return status;
}

hone_status hone_folder_read_tokenizer(const char *folder, hone_gguf *to, hone_error *err)
{
    char *json = hone_path_join(folder, "tokenizer.json"), *settings = hone_path_join(folder, "tokenizer_config.json"),
         *jinja = hone_path_join(folder, "chat_template.jinja");
    reader r = {.to = to,
                .texts = calloc(MAX_TOKENS, sizeof *r.texts),
                .types = calloc(MAX_TOKENS, sizeof *r.types),
                .err = err};
    json_t *root = NULL, *config = NULL;
    hone_buffer text = {0};
    hone_status status = json && settings && jinja && r.texts && r.types
                             ? HONE_OK
                             : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    if (status == HONE_OK)
        status = read_json(&r, json, false, 0, &root);
    if (status == HONE_OK)
        status = read_tokenizer_json(&r, root);
    if (status == HONE_OK)
        /* "model_max_length" is often 10^30, which no integer holds; only texts and flags are read here. */
        status = read_json(&r, settings, true, JSON_DECODE_INT_AS_REAL, &config);
    if (status == HONE_OK && config)
        status = read_tokenizer_config(&r, config);
    if (status == HONE_OK && hone_file_exists(jinja)) {
        status = hone_file_read(jinja, MAX_FILE_BYTES, &text, err);
        if (status == HONE_OK)
            status = hone_gguf_set_string(to, "tokenizer.chat_template", text.data, err);
    }
    json_decref(root);
    json_decref(config);
    hone_buffer_clear(&text);
    free(r.texts);
    free(r.types);
    free(json);
    free(settings);
    free(jinja);
    return status;
}
