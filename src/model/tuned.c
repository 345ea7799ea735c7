/* tuned.c - weights become parameters. */
#include "model/tuned.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE_BYTES = 2 << 20 };

static size_t take(size_t *n, size_t floats)
{
    size_t at = *n;
    *n += (floats + HONE_PANEL - 1) / HONE_PANEL * HONE_PANEL;
    return at;
}

static void take_norms(const hone_model_config *c, int first, int end, hone_tuned_layer *layer, size_t *n)
{
    for (int i = first; i < end; i++) {
        int64_t width = hone_model_norm_width(c, (hone_norm)i);
        layer->norm_at[i] = width > 0 ? take(n, (size_t)width) : 0;
    }
}

static size_t lay_out(const hone_model *model, const bool *layers, hone_tuned *t)
{
    const hone_model_config *c = &model->config;
    size_t n = 0;
    t->whole = true;
    t->lowest = c->n_layers;
    for (int64_t l = c->n_layers - 1; l >= 0; l--) {
        t->whole &= layers[l];
        t->lowest = layers[l] ? l : t->lowest;
    }
    if (t->whole)
        t->output_at = t->token_embd_at = take(&n, hone_lora_panel_floats(c->n_vocab, c->n_embd));
    for (int64_t l = 0; l < c->n_layers; l++) {
        hone_tuned_layer scratch, *layer = t->layers ? &t->layers[l] : &scratch;
        layer->trained = layers[l];
        if (!layers[l])
            continue;
        take_norms(c, HONE_ATTN_NORM, HONE_FFN_NORM, layer, &n);
        for (int i = 0; i < HONE_N_LINEARS; i++) {
            int64_t n_out, n_in;
            hone_model_linear_shape(c, (hone_linear)i, &n_out, &n_in);
            if (i == HONE_FFN_GATE)
                take_norms(c, HONE_FFN_NORM, HONE_N_NORMS, layer, &n);
            layer->linear_at[i] = take(&n, hone_lora_panel_floats(n_out, n_in));
        }
    }
    if (t->whole) {
        t->output_norm_at = take(&n, (size_t)c->n_embd);
        if (model->output != model->token_embd)
            t->output_at = take(&n, hone_lora_panel_floats(c->n_vocab, c->n_embd));
    }
    return n;
}

size_t hone_model_count_tuned(const hone_model *model, const bool *layers)
{
    hone_tuned t = {0};
    return lay_out(model, layers, &t);
}

/* The matrix moves to its place among the parameters. */
static hone_status unfreeze_matrix(hone_model *model, size_t at, hone_weight **w, hone_error *err)
{
    hone_real *panels = model->tuned->parameters + at;
    hone_weight *trained;
    hone_status status = hone_weight_create_over(panels, hone_weight_n_out(*w), hone_weight_n_in(*w), &trained, err);
    if (status != HONE_OK)
        return status;
    hone_op_weight_unpack(model->ops, *w, panels);
    model->weight_bytes += hone_weight_bytes(trained) - hone_weight_bytes(*w);
    hone_weight_free(*w);
    *w = trained;
    return HONE_OK;
}

static void unfreeze_norm(hone_model *model, size_t at, int64_t width, hone_real **norm)
{
    hone_real *to = model->tuned->parameters + at;
    memcpy(to, *norm, (size_t)width * sizeof *to);
    *norm = to;
}

static hone_status unfreeze_layer(hone_model *model, int64_t l, hone_error *err)
{
    const hone_tuned_layer *t = &model->tuned->layers[l];
    hone_layer *layer = &model->layers[l];
    hone_status status = HONE_OK;
    if (!t->trained)
        return status;
    for (int i = 0; i < HONE_N_NORMS; i++)
        if (layer->norm[i])
            unfreeze_norm(model, t->norm_at[i], hone_model_norm_width(&model->config, (hone_norm)i), &layer->norm[i]);
    for (int i = 0; i < HONE_N_LINEARS && status == HONE_OK; i++)
        status = unfreeze_matrix(model, t->linear_at[i], &layer->linear[i], err);
    return status;
}

static hone_status unfreeze_ends(hone_model *model, hone_error *err)
{
    const hone_tuned *t = model->tuned;
    bool tied = model->output == model->token_embd;
    unfreeze_norm(model, t->output_norm_at, model->config.n_embd, &model->output_norm);
    hone_status status = unfreeze_matrix(model, t->token_embd_at, &model->token_embd, err);
    if (tied)
        model->output = model->token_embd;
    else if (status == HONE_OK)
        status = unfreeze_matrix(model, t->output_at, &model->output, err);
    return status;
}

hone_status hone_model_unfreeze(hone_model *model, const bool *layers, hone_error *err)
{
    hone_tuned *t = calloc(1, sizeof *t);
    if (!t || !(t->layers = calloc((size_t)model->config.n_layers, sizeof *t->layers))) {
        hone_tuned_free(t);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    t->n_parameters = lay_out(model, layers, t);
    size_t bytes = (t->n_parameters * sizeof(hone_real) + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    t->parameters = aligned_alloc(HUGE_PAGE_BYTES, bytes);
    if (!t->parameters) {
        hone_tuned_free(t);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for weights in float32 (%zu bytes)", bytes);
    }
    madvise(t->parameters, bytes, MADV_HUGEPAGE);
    memset(t->parameters, 0, bytes);
    model->tuned = t;
    hone_status status = t->whole ? unfreeze_ends(model, err) : HONE_OK;
    for (int64_t l = 0; l < model->config.n_layers && status == HONE_OK; l++)
        status = unfreeze_layer(model, l, err);
    return status;
}

void hone_tuned_free(hone_tuned *t)
{
    if (!t)
        return;
    free(t->layers);
    free(t->parameters);
    free(t);
}
