/* folder_tokenizer_write.c - a byte-level BPE vocabulary as tokenizer.json and tokenizer_config.json.
 *
 * The counterpart of folder_tokenizer.c. All tokens stand in model.vocab, so that ids are those of the model whatever
 * the reader does with added tokens; control and user-defined ones are added tokens too, as they are found in a text
 * before it is split. A split rule is written as the little program that means the same in Hugging Face's tokenizers;
 * where there is none, the folder is refused, because another split would give other tokens without anyone noticing. */
#include "model/folder_write.h"

#include "model/model_file.h"
#include "text/pretokenizer.h"
#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#define TO_GGUF "; write a GGUF file instead"

typedef struct maker {
    const hone_gguf *model;
    hone_gguf_string *texts;
    size_t n;
    hone_error *err;
} maker;

static hone_status refuse(const maker *m, const char *what, hone_gguf_string found)
{
    return hone_fail(m->err, HONE_UNSUPPORTED,
                     "%s: %s is \"%.*s\"; hone writes a tokenizer.json for byte-level BPE with the split of GPT-2, "
                     "SmolLM, Llama 3 or Qwen 2" TO_GGUF,
                     m->model->map.path, what, (int)(found.length < 60 ? found.length : 60), found.data);
}

static bool is_text(hone_gguf_string s, const char *text)
{
    return s.length == strlen(text) && memcmp(s.data, text, s.length) == 0;
}

/* ---- how words are split ---- */

static json_t *byte_level(bool own_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                     own_regex);
}

static json_t *split_json(const char *rule)
{
    if (strcmp(rule, "gpt-2") == 0)
        return byte_level(true);
    json_t *first = NULL;
    if (strcmp(rule, "smollm") == 0)
        first = json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1);
    for (size_t i = 0; i < hone_n_folder_splits; i++)
        if (strcmp(rule, hone_folder_splits[i].rule) == 0)
            first = json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                              hone_folder_splits[i].pattern, "behavior", "Isolated", "invert", 0);
    return json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers", first,
                     byte_level(strcmp(rule, "smollm") == 0));
}

/* The name under which hone writes the model's rule, or NULL. */
static const char *known_rule(hone_gguf_string name)
{
    static const char *const rules[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (hone_pretokenizer_is_same_rule(name.data, name.length, rules[i]))
            return rules[i];
    return NULL;
}

/* ---- tokens ---- */

static hone_status make_vocabulary(const maker *m, json_t **vocabulary, json_t **added)
{
    const hone_gguf_value *types = hone_gguf_find(m->model, "tokenizer.ggml.token_type");
    bool numbers = types && types->type == HONE_GGUF_ARRAY && types->element_type != HONE_GGUF_STRING;
    for (size_t i = 0; i < m->n; i++) {
        int64_t type = numbers && i < types->n ? hone_gguf_int_at(types, i) : HONE_TOKEN_NORMAL;
        json_t *text = json_stringn(m->texts[i].data, m->texts[i].length);
        if (!text || strlen(json_string_value(text)) != m->texts[i].length) {
            json_decref(text);
            return hone_fail(m->err, HONE_UNSUPPORTED, "%s: the text of token %zu is not one that JSON holds" TO_GGUF,
                             m->model->map.path, i);
        }
        json_object_set_new(*vocabulary, json_string_value(text), json_integer((json_int_t)i));
        if (type == HONE_TOKEN_CONTROL || type == HONE_TOKEN_USER_DEFINED || type == HONE_TOKEN_UNKNOWN)
            json_array_append_new(*added, json_pack("{s:I, s:O, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i,
                                                    "content", text, "single_word", 0, "lstrip", 0, "rstrip", 0,
                                                    "normalized", 0, "special", type != HONE_TOKEN_USER_DEFINED));
        json_decref(text);
    }
    return json_object_size(*vocabulary) == m->n
               ? HONE_OK
               : hone_fail(m->err, HONE_UNSUPPORTED, "%s: %zu of %zu tokens have a text of their own" TO_GGUF,
                           m->model->map.path, json_object_size(*vocabulary), m->n);
}

static hone_status make_merges(const maker *m, json_t *merges)
{
    const hone_gguf_value *value = hone_gguf_find(m->model, "tokenizer.ggml.merges");
    size_t n = value ? (size_t)value->n : 0;
    hone_gguf_string *texts = calloc(n + 1, sizeof *texts);
    hone_status status = HONE_OK;
    if (!texts)
        return hone_fail(m->err, HONE_NO_MEMORY, "%s: out of memory", m->model->map.path);
    if (value && !hone_gguf_read_strings(value, texts))
        status = hone_fail(m->err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.merges is not an array of strings",
                           m->model->map.path);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        json_array_append_new(merges, json_stringn(texts[i].data, texts[i].length));
    if (status == HONE_OK && json_array_size(merges) != n)
        status = hone_fail(m->err, HONE_UNSUPPORTED,
                           "%s: tokenizer.ggml.merges: not all are texts that JSON holds" TO_GGUF, m->model->map.path);
    free(texts);
    return status;
}

/* The text of the token that a key names; NULL where there is none. */
static const hone_gguf_string *special(const maker *m, const char *key)
{
    int64_t id;
    return hone_gguf_get_int(m->model, key, &id) && id >= 0 && (uint64_t)id < m->n ? &m->texts[id] : NULL;
}

/* What encoding puts before a text: {"id": .., "ids": [..], "tokens": [..]} by its text. */
static json_t *first_token_json(const maker *m, const hone_gguf_string *bos)
{
    int64_t id = 0;
    hone_gguf_get_int(m->model, "tokenizer.ggml.bos_token_id", &id);
    json_t *text = json_stringn(bos->data, bos->length), *specials = json_object();
    json_object_set_new(specials, json_string_value(text),
                        json_pack("{s:O, s:[I], s:[O]}", "id", text, "ids", (json_int_t)id, "tokens", text));
    json_t *json = json_pack(
        "{s:s, s:[{s:{s:O, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:O, s:i}}, {s:{s:s, s:i}}, {s:{s:O, s:i}}, {s:{s:s, s:i}}], "
        "s:o}",
        "type", "TemplateProcessing", "single", "SpecialToken", "id", text, "type_id", 0, "Sequence", "id", "A",
        "type_id", 0, "pair", "SpecialToken", "id", text, "type_id", 0, "Sequence", "id", "A", "type_id", 0,
        "SpecialToken", "id", text, "type_id", 1, "Sequence", "id", "B", "type_id", 1, "special_tokens", specials);
    json_decref(text);
    return json;
}

static bool puts_token_first(const maker *m, const char *rule)
{
    bool adds = strcmp(rule, "llama-bpe") == 0; /* as text/tokenizer.c has it where the file does not say */
    hone_gguf_get_bool(m->model, "tokenizer.ggml.add_bos_token", &adds);
    return adds;
}

/* ---- the two files ---- */

static hone_status make_tokenizer(const maker *m, const char *rule, json_t **out)
{
    json_t *vocabulary = json_object(), *added = json_array(), *merges = json_array();
    hone_status status = make_vocabulary(m, &vocabulary, &added);
    if (status == HONE_OK)
        status = make_merges(m, merges);
    if (status != HONE_OK) {
        json_decref(vocabulary);
        json_decref(added);
        json_decref(merges);
        return status;
    }
    const hone_gguf_string *bos = special(m, "tokenizer.ggml.bos_token_id");
    json_t *model =
        json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                  "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges",
                  strcmp(rule, "llama-bpe") == 0, "vocab", vocabulary, "merges", merges);
    *out =
        json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:o, s:{s:s, s:b, s:b, s:b}, s:o}", "version", "1.0", "truncation",
                  "padding", "added_tokens", added, "normalizer", "pre_tokenizer", split_json(rule), "post_processor",
                  bos && puts_token_first(m, rule) ? first_token_json(m, bos) : json_null(), "decoder", "type",
                  "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", model);
    return *out ? HONE_OK : hone_fail(m->err, HONE_NO_MEMORY, "%s: out of memory", m->model->map.path);
}

static hone_status make_settings(const maker *m, const char *rule, json_t **out)
{
    static const struct {
        const char *name, *key;
    } specials[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                    {"eos_token", "tokenizer.ggml.eos_token_id"},
                    {"unk_token", "tokenizer.ggml.unknown_token_id"},
                    {"pad_token", "tokenizer.ggml.padding_token_id"}};
    int64_t context;
    hone_gguf_string template;
    json_t *settings = json_pack("{s:s, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                                 "clean_up_tokenization_spaces", 0, "add_bos_token", puts_token_first(m, rule));
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        const hone_gguf_string *text = special(m, specials[i].key);
        if (text)
            json_object_set_new(settings, specials[i].name, json_stringn(text->data, text->length));
    }
    if (hone_gguf_get_int(m->model, "llama.context_length", &context))
        json_object_set_new(settings, "model_max_length", json_integer((json_int_t)context));
    if (hone_gguf_get_string(m->model, "tokenizer.chat_template", &template))
        json_object_set_new(settings, "chat_template", json_stringn(template.data, template.length));
    *out = settings;
    return settings ? HONE_OK : hone_fail(m->err, HONE_NO_MEMORY, "%s: out of memory", m->model->map.path);
}

hone_status hone_folder_make_tokenizer(const hone_gguf *model, json_t **tokenizer, json_t **settings, hone_error *err)
{
    const hone_gguf_value *tokens = hone_gguf_find(model, "tokenizer.ggml.tokens");
    hone_gguf_string family = {"missing", 7}, name = {"default", 7};
    maker m = {.model = model, .n = tokens ? (size_t)tokens->n : 0, .err = err};
    hone_gguf_get_string(model, "tokenizer.ggml.model", &family);
    hone_gguf_get_string(model, "tokenizer.ggml.pre", &name);
    const char *rule = known_rule(name);
    if (!is_text(family, "gpt2") || m.n == 0)
        return refuse(&m, "tokenizer.ggml.model", family);
    if (!rule)
        return refuse(&m, "tokenizer.ggml.pre", name);
    m.texts = calloc(m.n, sizeof *m.texts);
    hone_status status = HONE_OK;
    if (!m.texts)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", model->map.path);
    else if (!hone_gguf_read_strings(tokens, m.texts))
        status =
            hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.tokens is not an array of strings", model->map.path);
    if (status == HONE_OK)
        status = make_tokenizer(&m, rule, tokenizer);
    if (status == HONE_OK)
        status = make_settings(&m, rule, settings);
    free(m.texts);
    return status;
}
