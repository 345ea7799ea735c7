/* checkpoint.c - writing and reading checkpoint.bin. */
#include "train/checkpoint.h"

#include "base/file.h"
#include "base/hash.h"

#include <stdio.h>
#include <string.h>

static const char magic[8] = "HONECKP4";

typedef struct header {
    char magic[8];
    char fingerprint[64];
    char settings[sizeof((hone_train_state *)NULL)->settings];
    int64_t step, total_steps, tokens, best_step;
    uint64_t n_parameters;
    double seconds, score_seconds, best_score, best_loss;
} header;

/* A draft of the file, and the hash of what it holds so far. */
typedef struct hashed_draft {
    hone_draft draft;
    hone_sha256 *hash;
} hashed_draft;

static hone_status put(hashed_draft *d, const void *data, size_t bytes, hone_error *err)
{
    hone_sha256_update(d->hash, data, bytes);
    return hone_draft_write(&d->draft, data, bytes, err);
}

hone_status hone_checkpoint_write(const char *path, const hone_train_state *state, const hone_trainable *t,
                                  hone_error *err)
{
    header h = {.step = state->step,
                .total_steps = state->total_steps,
                .tokens = state->tokens,
                .best_step = state->best_step,
                .n_parameters = t->n_parameters,
                .seconds = state->seconds,
                .score_seconds = state->score_seconds,
                .best_score = state->best_score,
                .best_loss = state->best_loss};
    memcpy(h.magic, magic, sizeof h.magic);
    memcpy(h.fingerprint, state->fingerprint, sizeof h.fingerprint);
    memcpy(h.settings, state->settings, sizeof h.settings);
    hashed_draft d = {.hash = hone_sha256_create()};
    char digest[65] = "";
    if (!d.hash)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    hone_status status = hone_draft_begin(path, &d.draft, err);
    if (status != HONE_OK) {
        hone_sha256_finish(d.hash, digest);
        return status;
    }
    const struct {
        const void *data;
        size_t bytes;
    } parts[] = {{&h, sizeof h},
                 {t->parameters, t->n_parameters * sizeof(float)},
                 {state->first_moment, t->n_parameters * sizeof(float)},
                 {state->second_moment, t->n_parameters * sizeof(float)},
                 {state->losses, (size_t)state->step * sizeof(float)}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == HONE_OK; i++)
        status = put(&d, parts[i].data, parts[i].bytes, err);
    hone_sha256_finish(d.hash, digest);
    if (status == HONE_OK)
        status = hone_draft_write(&d.draft, digest, 64, err);
    if (status == HONE_OK)
        return hone_draft_keep(&d.draft, err);
    hone_draft_drop(&d.draft);
    return status;
}

/* The first of the comma-separated settings that is not the same in both, as "rank 4" and "rank 8"; false when none is.
 */
static bool find_difference(const char *theirs, const char *ours, char first[64], char second[64])
{
    while (*theirs && *ours) {
        int n = (int)strcspn(theirs, ","), m = (int)strcspn(ours, ",");
        if (n != m || memcmp(theirs, ours, (size_t)n) != 0) {
            snprintf(first, 64, "%.*s", n, theirs);
            snprintf(second, 64, "%.*s", m, ours);
            return true;
        }
        theirs += (size_t)n + strspn(theirs + n, ", ");
        ours += (size_t)m + strspn(ours + m, ", ");
    }
    return false;
}

static hone_status refuse_other_run(const char *path, header *h, const hone_train_state *state, hone_error *err)
{
    char there[64], here[64];
    h->settings[sizeof h->settings - 1] = 0;
    bool known = find_difference(h->settings, state->settings, there, here);
    return hone_fail(
        err, HONE_BAD_INPUT,
        "%s: the checkpoint of another run (step %lld of %lld%s%s%s%s); remove the folder or choose another with -o",
        path, (long long)h->step, (long long)h->total_steps, known ? "; there " : "", known ? there : "",
        known ? ", now " : "", known ? here : "");
}

hone_status hone_checkpoint_read(const char *path, hone_train_state *state, hone_trainable *t, hone_error *err)
{
    hone_map map;
    hone_status status = hone_map_open(path, &map, err);
    if (status != HONE_OK)
        return status;
    header h;
    size_t bytes = t->n_parameters * sizeof(float);
    char digest[65];
    if (map.size_bytes >= sizeof magic && memcmp(map.data, magic, sizeof magic - 1) == 0 &&
        map.data[sizeof magic - 1] != (unsigned char)magic[sizeof magic - 1]) {
        status = hone_fail(err, HONE_BAD_FORMAT,
                           "%s: a checkpoint of another version of hone (format %c, this one writes %c); continue with "
                           "that version, or remove it to start again",
                           path, map.data[sizeof magic - 1], magic[sizeof magic - 1]);
        goto done;
    }
    if (map.size_bytes < sizeof h + 64 || memcmp(map.data, magic, sizeof magic) != 0) {
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: not a checkpoint; remove it to start again", path);
        goto done;
    }
    memcpy(&h, map.data, sizeof h);
    hone_sha256_hex(map.data, map.size_bytes - 64, digest);
    if (memcmp(digest, map.data + map.size_bytes - 64, 64) != 0) {
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: the checkpoint is damaged; remove it to start again", path);
        goto done;
    }
    if (memcmp(h.fingerprint, state->fingerprint, sizeof h.fingerprint) != 0) {
        status = refuse_other_run(path, &h, state, err);
        goto done;
    }
    if (h.n_parameters != t->n_parameters || h.step < 0 || h.step > h.total_steps ||
        h.total_steps > state->total_steps ||
        map.size_bytes != sizeof h + 3 * bytes + (size_t)h.step * sizeof(float) + 64) {
        status = hone_fail(err, HONE_BAD_FORMAT,
                           "%s: the checkpoint does not hold what its settings say; remove it to start again", path);
        goto done;
    }
    const unsigned char *p = map.data + sizeof h;
    memcpy(t->parameters, p, bytes);
    memcpy(state->first_moment, p + bytes, bytes);
    memcpy(state->second_moment, p + 2 * bytes, bytes);
    memcpy(state->losses, p + 3 * bytes, (size_t)h.step * sizeof(float));
    state->step = h.step;
    state->total_steps = h.total_steps;
    state->tokens = h.tokens;
    state->seconds = h.seconds;
    state->score_seconds = h.score_seconds;
    state->best_score = h.best_score;
    state->best_loss = h.best_loss;
    state->best_step = h.best_step;
done:
    hone_map_close(&map);
    return status;
}
