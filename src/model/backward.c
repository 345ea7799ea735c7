/* backward.c - gradients through the blocks of forward.c: of an adapter's parameters, or of the model's own weights.
 *
 * For y = W x + s B A x with W frozen, low = s A x kept on the tape:
 *     dB^T += low^T dy      dlow = s dy B      dA += dlow^T x      dx = dy W + dlow A
 * With DoRA y = gain * (W x + s B A x), gain = m / length: dm += sum of dy * y / m, and gain * dy takes the place of
 * dy. Activations that are cheap to make again (norm outputs, the gated activation) are not kept; with a tape that says
 * so, a block's others are made again too, just before its gradient. Below the lowest adapted layer no gradient is
 * computed. */
#include "model/tuned.h"
#include "model/workspace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct backward {
    const hone_model *model;
    const hone_adapter *adapter; /* NULL: the model's own weights learn */
    const hone_tuned *tuned;     /* then; else NULL */
    hone_workspace *ws;
    hone_tape *tape;
    int64_t n;      /* rows */
    int64_t lowest; /* layer that learns; below it no gradient is wanted, but for an embedding that is trained */
    hone_real *gradient;
} backward;

/* W is trained: dW += dy^T x. */
static void weight_backward(const backward *b, int64_t l, hone_linear which, const hone_real *x, const hone_real *dy,
                            hone_real *dx, bool add)
{
    hone_ops *ops = b->model->ops;
    int64_t n_out, n_in;
    hone_model_linear_shape(&b->model->config, which, &n_out, &n_in);
    if (b->tuned->layers[l].trained)
        hone_op_linear_weight_gradient(ops, b->n, n_out, n_in, x, dy,
                                       b->gradient + b->tuned->layers[l].linear_at[which]);
    if (dx)
        hone_op_linear_backward(ops, b->model->layers[l].linear[which], b->n, dy, n_out, dx, n_in, add);
}

/* A norm's weights where they are trained: dw += sum over the n rows of dy * x / rms(x). */
static void norm_weight_backward(const backward *b, int64_t l, hone_norm which, int64_t n, const hone_real *x,
                                 const hone_real *rrms, const hone_real *dy)
{
    const hone_tuned *t = b->tuned;
    if (t && t->layers[l].trained)
        hone_op_add_column_products(b->model->ops, n, hone_model_norm_width(&b->model->config, which), x, dy, rrms,
                                    NULL, b->gradient + t->layers[l].norm_at[which]);
}

/* One linear layer: adds its adapter's gradients; dx (may be NULL) is set, or added to when `add`. */
static void linear_backward(const backward *b, int64_t l, hone_linear which, const hone_real *x, const hone_real *dy,
                            hone_real *dx, bool add)
{
    if (!b->adapter) {
        weight_backward(b, l, which, x, dy, dx, add);
        return;
    }
    hone_ops *ops = b->model->ops;
    const hone_lora *lora = hone_adapter_at(b->adapter, l, which);
    const hone_real *low = b->tape->layers[l].low[which];
    hone_real *d_low = b->tape->d_low;
    int64_t rank = lora->rank, n = b->n;
    if (rank == 0) {
        if (dx)
            hone_op_linear_backward(ops, b->model->layers[l].linear[which], n, dy, lora->n_out, dx, lora->n_in, add);
        return;
    }
    if (lora->gain) {
        hone_op_add_column_products(ops, n, lora->n_out, dy, b->tape->layers[l].y[which], NULL, lora->inverse_magnitude,
                                    b->gradient + lora->magnitude_at);
        hone_op_scale_columns(ops, n, lora->n_out, lora->gain, dy, b->tape->d_gained);
        dy = b->tape->d_gained;
    }
    hone_op_matmul(ops, rank, lora->n_out, n, low, 1, rank, dy, lora->n_out, b->gradient + lora->b_at, lora->n_out,
                   true);
    hone_op_matmul(ops, n, rank, lora->n_out, dy, lora->n_out, 1, lora->b, rank, d_low, rank, false);
    hone_op_scale(ops, n * rank, lora->scale, d_low);
    hone_op_matmul(ops, rank, lora->n_in, n, d_low, 1, rank, x, lora->n_in, b->gradient + lora->a_at, lora->n_in, true);
    if (!dx)
        return;
    hone_op_linear_backward(ops, b->model->layers[l].linear[which], n, dy, lora->n_out, dx, lora->n_in, add);
    hone_op_matmul(ops, n, lora->n_in, rank, d_low, rank, 1, lora->a, lora->n_in, dx, lora->n_in, true);
}

/* Loss and its gradient with respect to the hidden state, in chunks of rows so that logits never exist for all rows. */
static double output_backward(const backward *b, hone_label *labels, int64_t n_labels)
{
    const hone_model_config *c = &b->model->config;
    hone_ops *ops = b->model->ops;
    double loss = 0, lse[HONE_MOST_LOGIT_ROWS], logprob[HONE_MOST_LOGIT_ROWS];
    hone_real weight[HONE_MOST_LOGIT_ROWS], rrms[HONE_MOST_LOGIT_ROWS];
    int32_t rows[HONE_MOST_LOGIT_ROWS], targets[HONE_MOST_LOGIT_ROWS];
    memset(b->tape->dx, 0, (size_t)(b->n * c->n_embd) * sizeof(hone_real));
    int64_t at_once = b->ws->max_rows < b->ws->logit_rows ? b->ws->max_rows : b->ws->logit_rows;
    for (int64_t start = 0; start < n_labels; start += at_once) {
        int64_t m = n_labels - start < at_once ? n_labels - start : at_once;
        for (int64_t i = 0; i < m; i++) {
            rows[i] = labels[start + i].row;
            targets[i] = labels[start + i].target;
            weight[i] = labels[start + i].weight;
        }
        hone_real *logits = hone_model_logits(b->model, b->ws, rows, m);
        hone_op_log_softmax_stats(ops, m, c->n_vocab, logits, targets, lse, logprob);
        for (int64_t i = 0; i < m; i++) {
            labels[start + i].logprob = logprob[i];
            loss -= (double)weight[i] * logprob[i];
        }
        hone_op_cross_entropy_backward(ops, m, c->n_vocab, logits, targets, lse, weight);
        hone_real *d_normed = b->ws->projected; /* free at this point */
        bool whole = b->tuned && b->tuned->whole;
        /* ws->hidden still holds the rows that met the output matrix. In lots of a fixed size: the order of a sum over
         * rows must not hang on how many logits are there at once. */
        for (int64_t i = 0; whole && i < m; i += HONE_LOGIT_ROWS)
            hone_op_linear_weight_gradient(ops, m - i < HONE_LOGIT_ROWS ? m - i : HONE_LOGIT_ROWS, c->n_vocab,
                                           c->n_embd, b->ws->hidden + i * c->n_embd, logits + i * c->n_vocab,
                                           b->gradient + b->tuned->output_at);
        hone_op_linear_backward(ops, b->model->output, m, logits, c->n_vocab, d_normed, c->n_embd, false);
        for (int64_t i = 0; i < m; i++) {
            const hone_real *x = b->ws->x + rows[i] * c->n_embd;
            hone_op_rms_norm(ops, 1, c->n_embd, c->norm_epsilon, x, b->model->output_norm, b->ws->hidden, rrms + i);
            if (whole)
                hone_op_add_column_products(ops, 1, c->n_embd, x, d_normed + i * c->n_embd, rrms + i, NULL,
                                            b->gradient + b->tuned->output_norm_at);
            hone_op_rms_norm_backward(ops, 1, c->n_embd, x, b->model->output_norm, rrms + i, d_normed + i * c->n_embd,
                                      b->tape->dx + rows[i] * c->n_embd);
        }
    }
    return loss;
}

/* Gradient dx of what was added to the hidden state -> that of the rows x which the post norm read; in `room` where
 * there is such a norm. */
static const hone_real *post_norm_backward(const backward *b, int64_t l, hone_norm which, const hone_real *x,
                                           const hone_real *rrms, hone_real *room)
{
    int64_t dim = b->model->config.n_embd;
    const hone_real *w = b->model->layers[l].norm[which];
    if (!w)
        return b->tape->dx;
    norm_weight_backward(b, l, which, b->n, x, rrms, b->tape->dx);
    memset(room, 0, (size_t)(b->n * dim) * sizeof *room);
    hone_op_rms_norm_backward(b->model->ops, b->n, dim, x, w, rrms, b->tape->dx, room);
    return room;
}

static void mlp_backward(const backward *b, int64_t l)
{
    const hone_model_config *c = &b->model->config;
    const hone_layer *layer = &b->model->layers[l];
    const hone_layer_tape *t = &b->tape->layers[l];
    hone_ops *ops = b->model->ops;
    hone_real *activated = b->ws->activated, *normed = b->ws->normed, *d_activated = b->tape->d_wide_a,
              *d_up = b->tape->d_wide_b;
    const hone_real *d_out =
        post_norm_backward(b, l, HONE_FFN_POST_NORM, t->ffn_out, t->ffn_out_rrms, b->tape->d_narrow);
    (c->gelu_gate ? hone_op_geglu : hone_op_swiglu)(ops, b->n * c->n_ff, t->gate, t->up, activated);
    linear_backward(b, l, HONE_FFN_DOWN, activated, d_out, d_activated, false);
    (c->gelu_gate ? hone_op_geglu_backward : hone_op_swiglu_backward)(ops, b->n * c->n_ff, t->gate, t->up, d_activated,
                                                                      d_activated, d_up);
    hone_op_rms_norm(ops, b->n, c->n_embd, c->norm_epsilon, t->x_mid, layer->norm[HONE_FFN_NORM], normed, NULL);
    linear_backward(b, l, HONE_FFN_GATE, normed, d_activated, b->tape->d_narrow, false);
    linear_backward(b, l, HONE_FFN_UP, normed, d_up, b->tape->d_narrow, true);
    norm_weight_backward(b, l, HONE_FFN_NORM, b->n, t->x_mid, t->ffn_rrms, b->tape->d_narrow);
    hone_op_rms_norm_backward(ops, b->n, c->n_embd, t->x_mid, layer->norm[HONE_FFN_NORM], t->ffn_rrms,
                              b->tape->d_narrow, b->tape->dx);
}

/* Keys' gradients come before the rotation is undone, so that what steps send each other is of one kind. */
static void exchange_kv_gradients(const backward *b, int64_t l, const hone_batch *batch)
{
    hone_ops *ops = b->model->ops;
    int64_t width = b->model->config.n_kv_heads * b->model->config.head_dim;
    hone_real *d[2] = {b->tape->d_k, b->tape->d_v};
    for (int64_t i = 0; i < 2; i++) {
        if (batch->in)
            hone_op_add(ops, b->n * width, batch->in->values + (2 * l + i) * batch->in->n_rows * width, d[i]);
        if (batch->n_outer > 0)
            hone_op_add(ops, batch->n_outer * width, d[i] + b->n * width,
                        batch->out->values + (2 * l + i) * batch->out->n_rows * width);
    }
}

/* Gradient d of a norm of heads -> that of x, the heads as they were; in `room` where there is such a norm. */
static const hone_real *head_norm_backward(const backward *b, int64_t l, hone_norm which, int64_t n_heads,
                                           const hone_real *x, const hone_real *rrms, const hone_real *d,
                                           hone_real *room)
{
    int64_t dim = b->model->config.head_dim, n = b->n * n_heads;
    const hone_real *w = b->model->layers[l].norm[which];
    if (!w)
        return d;
    norm_weight_backward(b, l, which, n, x, rrms, d);
    memset(room, 0, (size_t)(n * dim) * sizeof *room);
    hone_op_rms_norm_backward(b->model->ops, n, dim, x, w, rrms, d, room);
    return room;
}

static void attention_backward(const backward *b, int64_t l, const hone_kv_pool *pool, const hone_batch *batch)
{
    const hone_model_config *c = &b->model->config;
    const hone_layer *layer = &b->model->layers[l];
    const hone_layer_tape *t = &b->tape->layers[l];
    const hone_rope_table *rope = hone_model_rope(b->model, l);
    hone_ops *ops = b->model->ops;
    hone_real *normed = b->ws->normed, *d_x = l > b->lowest || b->tuned ? b->tape->d_narrow : NULL;
    const hone_real *d_out =
        post_norm_backward(b, l, HONE_ATTN_POST_NORM, t->attn_out, t->attn_out_rrms, b->tape->d_wide_a);
    linear_backward(b, l, HONE_ATTN_OUTPUT, t->attended, d_out, b->tape->d_narrow, false);
    hone_op_attention_backward(ops, pool, l, batch->spans, batch->n_spans, b->n + batch->n_outer, c->n_heads,
                               hone_model_window(c, l), 1.0f / real_sqrt((hone_real)c->head_dim), t->q, t->attended,
                               t->softmax, b->tape->d_narrow, b->tape->d_q, b->tape->d_k, b->tape->d_v,
                               b->tape->attention_work);
    exchange_kv_gradients(b, l, batch);
    hone_op_rope(ops, rope, b->n, c->n_heads, batch->positions, b->tape->d_q, true);
    hone_op_rope(ops, rope, b->n, c->n_kv_heads, batch->positions, b->tape->d_k, true);
    const hone_real *d_q = head_norm_backward(b, l, HONE_Q_NORM, c->n_heads, t->q_raw, t->q_rrms, b->tape->d_q,
                                              b->tape->d_wide_a),
                    *d_k = head_norm_backward(b, l, HONE_K_NORM, c->n_kv_heads, t->k_raw, t->k_rrms, b->tape->d_k,
                                              b->tape->d_wide_b);
    hone_op_rms_norm(ops, b->n, c->n_embd, c->norm_epsilon, t->x_in, layer->norm[HONE_ATTN_NORM], normed, NULL);
    linear_backward(b, l, HONE_ATTN_Q, normed, d_q, d_x, false);
    linear_backward(b, l, HONE_ATTN_K, normed, d_k, d_x, true);
    linear_backward(b, l, HONE_ATTN_V, normed, b->tape->d_v, d_x, true);
    norm_weight_backward(b, l, HONE_ATTN_NORM, b->n, t->x_in, t->attn_rrms, d_x);
    if (d_x)
        hone_op_rms_norm_backward(ops, b->n, c->n_embd, t->x_in, layer->norm[HONE_ATTN_NORM], t->attn_rrms, d_x,
                                  b->tape->dx);
}

double hone_model_backward(const hone_model *model, const hone_kv_pool *pool, const hone_batch *batch,
                           hone_workspace *ws, hone_tape *tape, hone_label *labels, int64_t n_labels,
                           hone_real *gradient)
{
    const hone_adapter *adapter = batch->n_adapters > 0 ? batch->adapters[0].adapter : NULL;
    const hone_tuned *tuned = adapter ? NULL : model->tuned;
    int64_t lowest = adapter ? hone_adapter_lowest_layer(adapter) : tuned->lowest;
    backward b = {model, adapter, tuned, ws, tape, batch->n_rows, lowest, gradient};
    double loss = output_backward(&b, labels, n_labels);
    for (int64_t l = model->config.n_layers - 1; l >= b.lowest; l--) {
        if (tape->size.recompute && l + 1 < model->config.n_layers) { /* the last layer's tape is still there */
            memcpy(ws->x, tape->layers[l].x_in, (size_t)(b.n * model->config.n_embd) * sizeof(hone_real));
            hone_model_forward_layer(model, l, pool, NULL, batch, ws, &tape->layers[l]);
        }
        mlp_backward(&b, l);
        attention_backward(&b, l, pool, batch);
    }
    if (tuned && tuned->whole) {
        if (model->config.embedding_scale != 0)
            hone_op_scale(model->ops, b.n * model->config.n_embd, model->config.embedding_scale, tape->dx);
        hone_op_embed_gradient(model->ops, b.n, model->config.n_embd, batch->tokens, tape->dx,
                               gradient + tuned->token_embd_at);
    }
    return loss;
}
