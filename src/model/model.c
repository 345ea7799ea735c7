/* model.c - opening a model: metadata to configuration, tensors to packed weights. */
#include "model/tuned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 1024, MAX_WIDTH = 1 << 18, MAX_CONTEXT = 1 << 24 };

/* Architectures whose forward pass is the one in forward.c. Gemma 3: Gemma Team 2025, arXiv 2503.19786, section 2; its
 * files have norm weights with the 1 added already. */
static const struct architecture {
    const char *name;
    bool rope_half_split, head_norms, post_norms, gelu_gate, scaled_embeddings;
    int64_t full_every; /* unless the file says otherwise; 0: no windows */
} architectures[] = {{.name = "llama"},
                     {.name = "gemma3",
                      .rope_half_split = true,
                      .head_norms = true,
                      .post_norms = true,
                      .gelu_gate = true,
                      .scaled_embeddings = true,
                      .full_every = 6}};

static const struct {
    const char *gguf, *name, *path;
} linears[HONE_N_LINEARS] = {
    [HONE_ATTN_Q] = {"attn_q", "q_proj", "self_attn.q_proj"},
    [HONE_ATTN_K] = {"attn_k", "k_proj", "self_attn.k_proj"},
    [HONE_ATTN_V] = {"attn_v", "v_proj", "self_attn.v_proj"},
    [HONE_ATTN_OUTPUT] = {"attn_output", "o_proj", "self_attn.o_proj"},
    [HONE_FFN_GATE] = {"ffn_gate", "gate_proj", "mlp.gate_proj"},
    [HONE_FFN_UP] = {"ffn_up", "up_proj", "mlp.up_proj"},
    [HONE_FFN_DOWN] = {"ffn_down", "down_proj", "mlp.down_proj"},
};

static const char *const norm_names[HONE_N_NORMS] = {
    [HONE_ATTN_NORM] = "attn_norm", [HONE_Q_NORM] = "attn_q_norm",
    [HONE_K_NORM] = "attn_k_norm",  [HONE_ATTN_POST_NORM] = "post_attention_norm",
    [HONE_FFN_NORM] = "ffn_norm",   [HONE_FFN_POST_NORM] = "post_ffw_norm",
};

const char *hone_norm_gguf_name(hone_norm which)
{
    return norm_names[which];
}

const char *hone_linear_name(hone_linear which)
{
    return linears[which].name;
}

const char *hone_linear_path(hone_linear which)
{
    return linears[which].path;
}

const char *hone_linear_gguf_name(hone_linear which)
{
    return linears[which].gguf;
}

int64_t hone_model_window(const hone_model_config *c, int64_t layer)
{
    return c->window > 0 && (layer + 1) % c->full_every != 0 ? c->window : 0;
}

const hone_rope_table *hone_model_rope(const hone_model *model, int64_t layer)
{
    return hone_model_window(&model->config, layer) > 0 ? model->local_rope : model->rope;
}

int64_t hone_model_norm_width(const hone_model_config *c, hone_norm which)
{
    const int64_t widths[HONE_N_NORMS] = {
        [HONE_ATTN_NORM] = c->n_embd,
        [HONE_Q_NORM] = c->head_norms ? c->head_dim : 0,
        [HONE_K_NORM] = c->head_norms ? c->head_dim : 0,
        [HONE_ATTN_POST_NORM] = c->post_norms ? c->n_embd : 0,
        [HONE_FFN_NORM] = c->n_embd,
        [HONE_FFN_POST_NORM] = c->post_norms ? c->n_embd : 0,
    };
    return widths[which];
}

void hone_model_linear_shape(const hone_model_config *c, hone_linear which, int64_t *n_out, int64_t *n_in)
{
    int64_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const int64_t shapes[HONE_N_LINEARS][2] = {
        [HONE_ATTN_Q] = {q, c->n_embd},         [HONE_ATTN_K] = {kv, c->n_embd},
        [HONE_ATTN_V] = {kv, c->n_embd},        [HONE_ATTN_OUTPUT] = {c->n_embd, q},
        [HONE_FFN_GATE] = {c->n_ff, c->n_embd}, [HONE_FFN_UP] = {c->n_ff, c->n_embd},
        [HONE_FFN_DOWN] = {c->n_embd, c->n_ff}};
    *n_out = shapes[which][0];
    *n_in = shapes[which][1];
}

/* "<architecture>.<name>" as an integer in [1, most]; fallback 0 makes it required. */
static hone_status read_size(const hone_gguf *file, const char *architecture, const char *name, int64_t fallback,
                             int64_t most, int64_t *out, hone_error *err)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    if (!hone_gguf_get_int(file, key, out)) {
        if (fallback == 0)
            return hone_fail(err, HONE_BAD_FORMAT, "%s: the key \"%s\" is missing", file->map.path, key);
        *out = fallback;
    }
    if (*out < 1 || *out > most)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: \"%s\" is %lld; expected 1 to %lld", file->map.path, key,
                         (long long)*out, (long long)most);
    return HONE_OK;
}

/* What an architecture has beyond llama's. */
static hone_status read_more(const hone_gguf *file, const struct architecture *a, hone_model_config *c, hone_error *err)
{
    char key[64];
    double cap = 0;
    c->rope_half_split = a->rope_half_split;
    c->head_norms = a->head_norms;
    c->post_norms = a->post_norms;
    c->gelu_gate = a->gelu_gate;
    c->embedding_scale = a->scaled_embeddings ? real_sqrt((hone_real)c->n_embd) : 0;
    if (a->full_every == 0)
        return HONE_OK;
    hone_status status = read_size(file, a->name, "attention.sliding_window", 0, MAX_CONTEXT, &c->window, err);
    if (status == HONE_OK)
        status = read_size(file, a->name, "attention.sliding_window_pattern", a->full_every, MAX_LAYERS, &c->full_every,
                           err);
    c->local_rope_base = 10000;
    snprintf(key, sizeof key, "%s.rope.freq_base_swa", a->name);
    hone_gguf_get_float(file, key, &c->local_rope_base);
    if (status == HONE_OK && !(c->local_rope_base > 1))
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: \"%s\" is %g, which makes no sense", file->map.path, key,
                           c->local_rope_base);
    snprintf(key, sizeof key, "%s.final_logit_softcapping", a->name);
    if (status == HONE_OK && hone_gguf_get_float(file, key, &cap) && cap != 0)
        status = hone_fail(err, HONE_UNSUPPORTED, "%s: \"%s\" is %g; hone runs Gemma 3 models, which have no cap",
                           file->map.path, key, cap);
    return status;
}

static hone_status read_config(const hone_gguf *file, hone_model_config *c, hone_error *err)
{
    hone_gguf_string name;
    const struct architecture *known = NULL;
    if (!hone_gguf_get_string(file, "general.architecture", &name))
        return hone_fail(err, HONE_BAD_FORMAT, "%s: the key \"general.architecture\" is missing; is this a model file?",
                         file->map.path);
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strlen(architectures[i].name) == name.length && memcmp(architectures[i].name, name.data, name.length) == 0)
            known = &architectures[i];
    if (!known)
        return hone_fail(
            err, HONE_UNSUPPORTED,
            "%s: architecture \"%.*s\"; hone runs llama (Llama, SmolLM2, Mistral and others of that form) and gemma3. "
            "`hone model list` shows models that run",
            file->map.path, (int)(name.length > 60 ? 60 : name.length), name.data);
    snprintf(c->architecture, sizeof c->architecture, "%s", known->name);
    const char *a = known->name;
    hone_status status;
    if ((status = read_size(file, a, "block_count", 0, MAX_LAYERS, &c->n_layers, err)) != HONE_OK ||
        (status = read_size(file, a, "embedding_length", 0, MAX_WIDTH, &c->n_embd, err)) != HONE_OK ||
        (status = read_size(file, a, "feed_forward_length", 0, MAX_WIDTH, &c->n_ff, err)) != HONE_OK ||
        (status = read_size(file, a, "attention.head_count", 0, MAX_WIDTH, &c->n_heads, err)) != HONE_OK ||
        (status = read_size(file, a, "attention.head_count_kv", c->n_heads, MAX_WIDTH, &c->n_kv_heads, err)) !=
            HONE_OK ||
        (status = read_size(file, a, "attention.key_length", c->n_embd / c->n_heads > 0 ? c->n_embd / c->n_heads : 1,
                            MAX_WIDTH, &c->head_dim, err)) != HONE_OK ||
        (status = read_size(file, a, "context_length", 0, MAX_CONTEXT, &c->n_context, err)) != HONE_OK)
        return status;
    int64_t value_length = c->head_dim, rope_dim;
    if ((status = read_size(file, a, "attention.value_length", c->head_dim, MAX_WIDTH, &value_length, err)) !=
            HONE_OK ||
        (status = read_size(file, a, "rope.dimension_count", c->head_dim, MAX_WIDTH, &rope_dim, err)) != HONE_OK)
        return status;
    if (c->n_heads % c->n_kv_heads != 0)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: %lld attention heads do not divide into %lld key-value heads",
                         file->map.path, (long long)c->n_heads, (long long)c->n_kv_heads);
    if (value_length != c->head_dim || rope_dim != c->head_dim || c->head_dim % 16 != 0)
        return hone_fail(
            err, HONE_UNSUPPORTED,
            "%s: head sizes (key %lld, value %lld, rotary %lld); hone needs them equal and a multiple of 16",
            file->map.path, (long long)c->head_dim, (long long)value_length, (long long)rope_dim);
    char key[64];
    snprintf(key, sizeof key, "%s.rope.scaling.type", a);
    hone_gguf_string scaling;
    if (hone_gguf_get_string(file, key, &scaling) && !(scaling.length == 4 && memcmp(scaling.data, "none", 4) == 0))
        return hone_fail(
            err, HONE_UNSUPPORTED,
            "%s: rotary scaling \"%.*s\"; hone runs models without it: take the original of the model, before "
            "its context was extended",
            file->map.path, (int)(scaling.length > 40 ? 40 : scaling.length), scaling.data);
    double epsilon = 1e-5;
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", a);
    hone_gguf_get_float(file, key, &epsilon);
    c->norm_epsilon = (hone_real)epsilon;
    c->rope_base = 10000;
    snprintf(key, sizeof key, "%s.rope.freq_base", a);
    hone_gguf_get_float(file, key, &c->rope_base);
    if (!(c->rope_base > 1) || !(epsilon > 0 && epsilon < 1))
        return hone_fail(err, HONE_BAD_FORMAT, "%s: rotary base %g or norm epsilon %g makes no sense", file->map.path,
                         c->rope_base, epsilon);
    return read_more(file, known, c, err);
}

static hone_status find_tensor(const hone_gguf *file, const char *name, int64_t ne0, int64_t ne1,
                               const hone_gguf_tensor **out, hone_error *err)
{
    *out = hone_gguf_find_tensor(file, name);
    if (!*out)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: the tensor \"%s\" is missing", file->map.path, name);
    const int64_t *ne = (*out)->ne;
    if (ne[0] != ne0 || (ne1 > 0 && ne[1] != ne1) || ne[2] != 1 || ne[3] != 1)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tensor \"%s\" is %lld x %lld; the configuration says %lld x %lld",
                         file->map.path, name, (long long)ne[0], (long long)ne[1], (long long)ne0, (long long)ne1);
    return HONE_OK;
}

static hone_status read_vector(hone_model *model, const hone_gguf *file, const char *name, int64_t n, hone_real **out,
                               hone_error *err)
{
    const hone_gguf_tensor *t;
    hone_status status = find_tensor(file, name, n, 1, &t, err);
    if (status != HONE_OK)
        return status;
    if (t->dtype != HONE_F32)
        return hone_fail(err, HONE_UNSUPPORTED,
                         "%s: tensor \"%s\" is %s; norms are expected as F32, as llama.cpp's converter writes them",
                         file->map.path, name, hone_dtype_get_info(t->dtype)->name);
    *out = hone_arena_array(model->arena, (size_t)n, sizeof **out);
    if (!*out)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        float v;
        memcpy(&v, t->data + (size_t)i * sizeof v, sizeof v);
        (*out)[i] = v;
    }
    return HONE_OK;
}

/* Factors by which a converter has stretched each rotary frequency (Llama 3.1). Without them every number would be
 * wrong, so a file that has them is refused; factors of 1 change nothing. */
static hone_status check_rope_factors(const hone_gguf *file, hone_error *err)
{
    const hone_gguf_tensor *t = hone_gguf_find_tensor(file, "rope_freqs.weight");
    if (!t)
        return HONE_OK;
    bool plain = t->dtype == HONE_F32;
    for (size_t i = 0; plain && i < t->size_bytes / sizeof(float); i++) {
        float factor;
        memcpy(&factor, t->data + i * sizeof factor, sizeof factor);
        plain = factor == 1.0f;
    }
    return plain
               ? HONE_OK
               : hone_fail(err, HONE_UNSUPPORTED,
                           "%s: tensor \"rope_freqs.weight\" scales the rotary frequencies, as in Llama 3.1; hone runs "
                           "models without it: take one with a plain rotary base",
                           file->map.path);
}

static hone_status read_matrix(hone_model *model, const hone_gguf *file, const char *name, int64_t n_out, int64_t n_in,
                               hone_weight **out, hone_error *err)
{
    const hone_gguf_tensor *t;
    hone_status status = find_tensor(file, name, n_in, n_out, &t, err);
    if (status != HONE_OK)
        return status;
    status = hone_weight_pack(model->ops, t->dtype, n_out, n_in, t->data, t->size_bytes, out, err);
    if (status != HONE_OK)
        return hone_fail_within(err, status, "%s: tensor \"%s\"", file->map.path, name);
    model->weight_bytes += hone_weight_bytes(*out);
    return HONE_OK;
}

static hone_status read_layer(hone_model *model, const hone_gguf *file, int64_t l, hone_error *err)
{
    const hone_model_config *c = &model->config;
    hone_layer *layer = &model->layers[l];
    char name[96];
    hone_status status = HONE_OK;
    for (int i = 0; i < HONE_N_NORMS && status == HONE_OK; i++) {
        int64_t width = hone_model_norm_width(c, (hone_norm)i);
        snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)l, norm_names[i]);
        if (width > 0)
            status = read_vector(model, file, name, width, &layer->norm[i], err);
    }
    for (int i = 0; i < HONE_N_LINEARS && status == HONE_OK; i++) {
        int64_t n_out, n_in;
        hone_model_linear_shape(&model->config, (hone_linear)i, &n_out, &n_in);
        snprintf(name, sizeof name, "blk.%lld.%s.bias", (long long)l, linears[i].gguf);
        if (hone_gguf_find_tensor(file, name))
            return hone_fail(err, HONE_UNSUPPORTED, "%s: tensor \"%s\": hone's %s architecture has no biases",
                             file->map.path, name, c->architecture);
        snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)l, linears[i].gguf);
        status = read_matrix(model, file, name, n_out, n_in, &layer->linear[i], err);
    }
    return status;
}

hone_status hone_model_open(hone_ops *ops, const hone_gguf *file, hone_model **out, hone_error *err)
{
    *out = NULL;
    hone_model *model = calloc(1, sizeof *model);
    if (!model)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    model->ops = ops;
    hone_model_config *c = &model->config;
    hone_status status = HONE_OK;
    model->arena = hone_arena_create();
    if (!model->arena) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    if ((status = read_config(file, c, err)) != HONE_OK || (status = check_rope_factors(file, err)) != HONE_OK)
        goto done;
    const hone_gguf_tensor *embeddings;
    if ((status = find_tensor(file, "token_embd.weight", c->n_embd, 0, &embeddings, err)) != HONE_OK)
        goto done;
    c->n_vocab = embeddings->ne[1];
    model->layers = hone_arena_array(model->arena, (size_t)c->n_layers, sizeof *model->layers);
    if (!model->layers) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    if ((status = read_matrix(model, file, "token_embd.weight", c->n_vocab, c->n_embd, &model->token_embd, err)) !=
        HONE_OK)
        goto done;
    model->output = model->token_embd;
    if (hone_gguf_find_tensor(file, "output.weight") &&
        (status = read_matrix(model, file, "output.weight", c->n_vocab, c->n_embd, &model->output, err)) != HONE_OK)
        goto done;
    if ((status = read_vector(model, file, "output_norm.weight", c->n_embd, &model->output_norm, err)) != HONE_OK)
        goto done;
    for (int64_t l = 0; l < c->n_layers && status == HONE_OK; l++)
        status = read_layer(model, file, l, err);
    if (status == HONE_OK)
        status = hone_rope_table_create(c->n_context, c->head_dim, c->rope_base, c->rope_half_split, &model->rope, err);
    if (status == HONE_OK && c->window > 0)
        status = hone_rope_table_create(c->n_context, c->head_dim, c->local_rope_base, c->rope_half_split,
                                        &model->local_rope, err);
    if (status == HONE_OK)
        status = hone_ops_reserve_attention(ops, c->n_heads, c->n_kv_heads, c->head_dim, err);
done:
    if (status != HONE_OK)
        hone_model_close(model);
    else
        *out = model;
    return status;
}

void hone_model_close(hone_model *model)
{
    if (!model)
        return;
    for (int64_t l = 0; model->layers && l < model->config.n_layers; l++)
        for (int i = 0; i < HONE_N_LINEARS; i++)
            hone_weight_free(model->layers[l].linear[i]);
    if (model->output != model->token_embd)
        hone_weight_free(model->output);
    hone_weight_free(model->token_embd);
    hone_tuned_free(model->tuned);
    hone_rope_table_free(model->rope);
    hone_rope_table_free(model->local_rope);
    hone_arena_free(model->arena);
    free(model);
}
