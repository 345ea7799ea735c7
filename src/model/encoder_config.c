/* encoder_config.c - config.json of a BERT encoder and the two small files that sentence-transformers adds. */
#include "model/encoder.h"

#include "base/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20, MAX_LAYERS = 256, MAX_WIDTH = 1 << 16, MAX_VOCAB = 1 << 20, MAX_POSITIONS = 1 << 16 };

/* A JSON object from folder/name; *out NULL when `optional` and absent. *path is malloc'd for messages. */
static hone_status load(const char *folder, const char *name, bool optional, char **path, json_t **out, hone_error *err)
{
    hone_buffer text = {0};
    json_error_t where;
    *out = NULL;
    *path = hone_path_join(folder, name);
    if (!*path)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    if (optional && !hone_file_exists(*path))
        return HONE_OK;
    hone_status status = hone_file_read(*path, MAX_FILE_BYTES, &text, err);
    if (status != HONE_OK)
        goto done;
    *out = json_loadb(text.data ? text.data : "", text.length, JSON_REJECT_DUPLICATES, &where);
    if (!*out)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s:%d: bad JSON: %s", *path, where.line, where.text);
    else if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: expected an object", *path);
    }
done:
    hone_buffer_clear(&text);
    return status;
}

static hone_status take_size(const json_t *root, const char *path, const char *key, int64_t most, int64_t *out,
                             hone_error *err)
{
    const json_t *value = json_object_get(root, key);
    if (!value)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: the key \"%s\" is missing", path, key);
    *out = (int64_t)json_integer_value(value);
    if (!json_is_integer(value) || *out < 1 || *out > most)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: \"%s\" must be a whole number from 1 to %lld", path, key,
                         (long long)most);
    return HONE_OK;
}

/* The text under key must be `wanted`; absent is fine when `optional`. */
static hone_status expect(const json_t *root, const char *path, const char *key, const char *wanted, bool optional,
                          hone_error *err)
{
    const json_t *value = json_object_get(root, key);
    const char *found = json_string_value(value);
    if ((!value && optional) || (found && strcmp(found, wanted) == 0))
        return HONE_OK;
    return hone_fail(err, HONE_UNSUPPORTED, "%s: \"%s\" is %.60s; hone's encoder has %s", path, key,
                     found ? found : "missing", wanted);
}

static hone_status read_model(const char *folder, hone_encoder_config *c, hone_error *err)
{
    json_t *root;
    char *path;
    hone_status status = load(folder, "config.json", false, &path, &root, err);
    if (status == HONE_OK)
        status = expect(root, path, "model_type", "bert", false, err);
    if (status == HONE_OK)
        status = expect(root, path, "hidden_act", "gelu", false, err);
    if (status == HONE_OK)
        status = expect(root, path, "position_embedding_type", "absolute", true, err);
    const struct {
        const char *key;
        int64_t most, *to;
    } sizes[] = {
        {"num_hidden_layers", MAX_LAYERS, &c->n_layers}, {"hidden_size", MAX_WIDTH, &c->n_embd},
        {"num_attention_heads", MAX_WIDTH, &c->n_heads}, {"intermediate_size", MAX_WIDTH, &c->n_ff},
        {"vocab_size", MAX_VOCAB, &c->n_vocab},          {"max_position_embeddings", MAX_POSITIONS, &c->n_positions}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == HONE_OK; i++)
        status = take_size(root, path, sizes[i].key, sizes[i].most, sizes[i].to, err);
    if (status != HONE_OK)
        goto done;
    c->head_dim = c->n_embd / c->n_heads;
    c->most_tokens = c->n_positions;
    const json_t *epsilon = json_object_get(root, "layer_norm_eps");
    c->norm_epsilon = epsilon ? (float)json_number_value(epsilon) : 1e-12f;
    if (epsilon && !(json_is_number(epsilon) && json_number_value(epsilon) > 0 && json_number_value(epsilon) < 1))
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: \"layer_norm_eps\" must be a number between 0 and 1", path);
    else if (c->n_embd % c->n_heads != 0 || c->head_dim % HONE_PANEL != 0)
        status =
            hone_fail(err, HONE_UNSUPPORTED, "%s: %lld values do not divide into %lld heads of a multiple of %d values",
                      path, (long long)c->n_embd, (long long)c->n_heads, HONE_PANEL);
done:
    json_decref(root);
    free(path);
    return status;
}

static hone_status read_limit(const char *folder, hone_encoder_config *c, hone_error *err)
{
    json_t *root;
    char *path;
    hone_status status = load(folder, "sentence_bert_config.json", true, &path, &root, err);
    if (status == HONE_OK && root && !json_is_null(json_object_get(root, "max_seq_length")) &&
        json_object_get(root, "max_seq_length"))
        status = take_size(root, path, "max_seq_length", c->n_positions, &c->most_tokens, err);
    if (status == HONE_OK && c->most_tokens < 3)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: a text of %lld tokens has no room between [CLS] and [SEP]", path,
                           (long long)c->most_tokens);
    json_decref(root);
    free(path);
    return status;
}

static hone_status read_pooling(const char *folder, hone_encoder_config *c, hone_error *err)
{
    static const struct {
        const char *key;
        int pooling; /* -1: hone does not do this */
    } modes[] = {{"pooling_mode_mean_tokens", HONE_POOL_MEAN}, {"pooling_mode_cls_token", HONE_POOL_FIRST},
                 {"pooling_mode_lasttoken", HONE_POOL_LAST},   {"pooling_mode_max_tokens", -1},
                 {"pooling_mode_mean_sqrt_len_tokens", -1},    {"pooling_mode_weightedmean_tokens", -1}};
    json_t *root;
    char *path;
    hone_status status = load(folder, "1_Pooling/config.json", true, &path, &root, err);
    int chosen = 0;
    c->pooling = HONE_POOL_MEAN;
    for (size_t i = 0; i < sizeof modes / sizeof *modes && status == HONE_OK && root; i++) {
        if (!json_is_true(json_object_get(root, modes[i].key)))
            continue;
        if (modes[i].pooling < 0 || chosen++ > 0)
            status = hone_fail(err, HONE_UNSUPPORTED, "%s: \"%s\"%s; hone pools by mean, first or last token", path,
                               modes[i].key, chosen > 1 ? " beside another" : "");
        else
            c->pooling = (hone_pooling)modes[i].pooling;
    }
    json_decref(root);
    free(path);
    return status;
}

hone_status hone_encoder_config_read(const char *folder, hone_encoder_config *out, hone_error *err)
{
    memset(out, 0, sizeof *out);
    hone_status status = read_model(folder, out, err);
    if (status == HONE_OK)
        status = read_limit(folder, out, err);
    return status == HONE_OK ? read_pooling(folder, out, err) : status;
}
