/* exact_model.h - the llama and Gemma 3 models in double precision, written for clarity: what hone's forward pass is
 * measured against.
 *
 * One sequence at a time, no cache, no batching; weights are decoded from the file a row at a time by file_rows.h.
 * Touvron et al. 2023, arXiv 2302.13971; Gemma Team 2025, arXiv 2503.19786; LoRA: Hu et al. 2021, arXiv 2106.09685,
 * y = W x + scale * B (A x). */
#ifndef HONE_TESTS_EXACT_MODEL_H
#define HONE_TESTS_EXACT_MODEL_H

#include "file_rows.h"
#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct exact_model {
    const hone_gguf *file;
    const hone_model_config *config;
    const hone_adapter *adapter; /* shapes and scale, or NULL */
    const double *parameters;    /* the adapter's values */
} exact_model;

static inline const format *exact_format(hone_dtype dtype)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (formats[i].dtype == dtype)
            return &formats[i];
    abort();
}

static inline double *exact_array(int64_t n)
{
    double *x = n > 0 && n < INT32_MAX ? calloc((size_t)n, sizeof *x) : NULL;
    if (!x)
        abort();
    return x;
}

/* y[t][o] = W[o] . x[t] for the named matrix. Columns of x are gathered so that the inner loop runs over tokens. */
static inline void exact_product(const exact_model *m, const char *name, int64_t n_out, int64_t n_in, int64_t n,
                                 const double *x, double *y)
{
    const hone_gguf_tensor *t = hone_gguf_find_tensor(m->file, name);
    if (!t || t->ne[0] != n_in || t->ne[1] != n_out)
        abort();
    const format *f = exact_format(t->dtype);
    size_t row_bytes = (size_t)(n_in / f->block_weights * f->block_bytes);
    double *turned = exact_array(n_in * n), *sum = exact_array(n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n_in; k++)
            turned[k * n + i] = x[i * n_in + k];
    for (int64_t o = 0; o < n_out; o++) {
        memset(sum, 0, (size_t)n * sizeof *sum);
        for (int64_t k = 0; k < n_in; k++) {
            double w = decoded_exactly(f, t->data + (size_t)o * row_bytes, k);
            for (int64_t i = 0; i < n; i++)
                sum[i] += w * turned[k * n + i];
        }
        for (int64_t i = 0; i < n; i++)
            y[i * n_out + o] = sum[i];
    }
    free(turned);
    free(sum);
}

static inline void exact_linear(const exact_model *m, int64_t layer, hone_linear which, const char *gguf_name,
                                int64_t n, const double *x, double *y)
{
    int64_t n_out, n_in;
    char name[64];
    hone_model_linear_shape(m->config, which, &n_out, &n_in);
    snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)layer, gguf_name);
    exact_product(m, name, n_out, n_in, n, x, y);
    if (!m->adapter)
        return;
    const hone_lora *l = hone_adapter_at(m->adapter, layer, which);
    for (int64_t t = 0; t < n; t++)
        for (int r = 0; r < m->adapter->rank; r++) {
            double low = 0;
            for (int64_t k = 0; k < n_in; k++)
                low += m->parameters[l->a_at + (size_t)(r * n_in + k)] * x[t * n_in + k];
            low *= m->adapter->alpha / m->adapter->rank;
            for (int64_t o = 0; o < n_out; o++)
                y[t * n_out + o] += low * m->parameters[l->b_at + (size_t)(r * n_out + o)];
        }
}

/* Rows as wide as the norm; y may be x. */
static inline void exact_norm(const exact_model *m, const char *name, int64_t n, const double *x, double *y)
{
    const hone_gguf_tensor *t = hone_gguf_find_tensor(m->file, name);
    int64_t dim = t->ne[0];
    for (int64_t i = 0; i < n; i++) {
        double squares = 0;
        for (int64_t k = 0; k < dim; k++)
            squares += x[i * dim + k] * x[i * dim + k];
        double r = 1 / sqrt(squares / (double)dim + (double)m->config->norm_epsilon);
        for (int64_t k = 0; k < dim; k++)
            y[i * dim + k] = x[i * dim + k] * r * (double)decoded(&formats[0], t->data, k);
    }
}

/* Adjacent pairs (2i, 2i+1), as in llama-architecture files, or halves (i, i + dim/2). */
static inline void exact_rope(const exact_model *m, double base, int64_t n, int64_t n_heads, double *x)
{
    int64_t dim = m->config->head_dim, apart = m->config->rope_half_split ? dim / 2 : 1;
    for (int64_t t = 0; t < n; t++)
        for (int64_t h = 0; h < n_heads; h++)
            for (int64_t i = 0; i < dim; i += 2) {
                double angle = (double)t * pow(base, -(double)i / (double)dim),
                       *p = x + (t * n_heads + h) * dim + (apart == 1 ? i : i / 2);
                double a = p[0], b = p[apart];
                p[0] = a * cos(angle) - b * sin(angle);
                p[apart] = a * sin(angle) + b * cos(angle);
            }
}

/* window: positions that a row sees; 0: all up to its own. */
static inline void exact_attention(const exact_model *m, int64_t window, int64_t n, const double *q, const double *k,
                                   const double *v, double *o)
{
    const hone_model_config *c = m->config;
    double *score = exact_array(n);
    for (int64_t t = 0; t < n; t++)
        for (int64_t h = 0; h < c->n_heads; h++) {
            int64_t kv = h / (c->n_heads / c->n_kv_heads);
            double sum = 0, *out = o + (t * c->n_heads + h) * c->head_dim, top = -INFINITY;
            int64_t first = window > 0 && t >= window ? t - window + 1 : 0;
            for (int64_t p = first; p <= t; p++) {
                score[p] = 0;
                for (int64_t d = 0; d < c->head_dim; d++)
                    score[p] +=
                        q[(t * c->n_heads + h) * c->head_dim + d] * k[(p * c->n_kv_heads + kv) * c->head_dim + d];
                score[p] /= sqrt((double)c->head_dim);
                top = fmax(top, score[p]);
            }
            for (int64_t p = first; p <= t; p++)
                sum += score[p] = exp(score[p] - top);
            memset(out, 0, (size_t)c->head_dim * sizeof *out);
            for (int64_t p = first; p <= t; p++)
                for (int64_t d = 0; d < c->head_dim; d++)
                    out[d] += score[p] / sum * v[(p * c->n_kv_heads + kv) * c->head_dim + d];
        }
    free(score);
}

/* blk.<layer>.<part>.weight over n rows of x, in place, where the file has such a norm. */
static inline void exact_further_norm(const exact_model *m, int64_t layer, const char *part, int64_t n, double *x)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)layer, part);
    if (hone_gguf_find_tensor(m->file, name))
        exact_norm(m, name, n, x, x);
}

/* silu(g), or for Gemma the GELU by its tanh. */
static inline double exact_gate(const exact_model *m, double g)
{
    double u = sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g);
    return m->config->gelu_gate ? 0.5 * g * (1 + tanh(u)) : g / (1 + exp(-g));
}

/* Hidden states before the output norm: x [n, n_embd]. */
static inline void exact_forward(const exact_model *m, const int32_t *ids, int64_t n, double *x)
{
    const hone_model_config *c = m->config;
    int64_t q_width = c->n_heads * c->head_dim, kv_width = c->n_kv_heads * c->head_dim;
    const hone_gguf_tensor *embeddings = hone_gguf_find_tensor(m->file, "token_embd.weight");
    const format *f = exact_format(embeddings->dtype);
    double *normed = exact_array(n * c->n_embd), *q = exact_array(n * q_width), *k = exact_array(n * kv_width),
           *v = exact_array(n * kv_width);
    double *o = exact_array(n * q_width), *gate = exact_array(n * c->n_ff), *up = exact_array(n * c->n_ff),
           *y = exact_array(n * c->n_embd);
    char name[64];
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < c->n_embd; i++)
            x[t * c->n_embd + i] =
                (strcmp(c->architecture, "gemma3") == 0 ? sqrt((double)c->n_embd) : 1) *
                decoded_exactly(
                    f, embeddings->data + (size_t)ids[t] * (size_t)(c->n_embd / f->block_weights * f->block_bytes), i);
    for (int64_t l = 0; l < c->n_layers; l++) {
        snprintf(name, sizeof name, "blk.%lld.attn_norm.weight", (long long)l);
        exact_norm(m, name, n, x, normed);
        exact_linear(m, l, HONE_ATTN_Q, "attn_q", n, normed, q);
        exact_linear(m, l, HONE_ATTN_K, "attn_k", n, normed, k);
        exact_linear(m, l, HONE_ATTN_V, "attn_v", n, normed, v);
        bool local = c->window > 0 && l % c->full_every != c->full_every - 1;
        double base = local ? c->local_rope_base : c->rope_base;
        exact_further_norm(m, l, "attn_q_norm", n * c->n_heads, q);
        exact_further_norm(m, l, "attn_k_norm", n * c->n_kv_heads, k);
        exact_rope(m, base, n, c->n_heads, q);
        exact_rope(m, base, n, c->n_kv_heads, k);
        exact_attention(m, local ? c->window : 0, n, q, k, v, o);
        exact_linear(m, l, HONE_ATTN_OUTPUT, "attn_output", n, o, y);
        exact_further_norm(m, l, "post_attention_norm", n, y);
        for (int64_t i = 0; i < n * c->n_embd; i++)
            x[i] += y[i];
        snprintf(name, sizeof name, "blk.%lld.ffn_norm.weight", (long long)l);
        exact_norm(m, name, n, x, normed);
        exact_linear(m, l, HONE_FFN_GATE, "ffn_gate", n, normed, gate);
        exact_linear(m, l, HONE_FFN_UP, "ffn_up", n, normed, up);
        for (int64_t i = 0; i < n * c->n_ff; i++)
            gate[i] = exact_gate(m, gate[i]) * up[i];
        exact_linear(m, l, HONE_FFN_DOWN, "ffn_down", n, gate, y);
        exact_further_norm(m, l, "post_ffw_norm", n, y);
        for (int64_t i = 0; i < n * c->n_embd; i++)
            x[i] += y[i];
    }
    free(normed), free(q), free(k), free(v), free(o), free(gate), free(up), free(y);
}

/* Natural log-probabilities of targets[i] after row i of x, for n rows. */
static inline void exact_logprobs(const exact_model *m, const double *x, int64_t n, const int32_t *targets, double *out)
{
    const hone_model_config *c = m->config;
    double *normed = exact_array(n * c->n_embd), *logits = exact_array(n * c->n_vocab);
    exact_norm(m, "output_norm.weight", n, x, normed);
    exact_product(m, hone_gguf_find_tensor(m->file, "output.weight") ? "output.weight" : "token_embd.weight",
                  c->n_vocab, c->n_embd, n, normed, logits);
    for (int64_t t = 0; t < n; t++) {
        double top = -INFINITY, sum = 0;
        for (int64_t i = 0; i < c->n_vocab; i++)
            top = fmax(top, logits[t * c->n_vocab + i]);
        for (int64_t i = 0; i < c->n_vocab; i++)
            sum += exp(logits[t * c->n_vocab + i] - top);
        out[t] = logits[t * c->n_vocab + targets[t]] - top - log(sum);
    }
    free(normed);
    free(logits);
}

#endif
