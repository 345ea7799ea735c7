/* served.c - the list of models, and who uses them. One lock guards the list and all counts of users. */
#include "serve/served.h"

#include "base/text.h"
#include "serve/server.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MODELS = HONE_SERVED_ADAPTERS + 2 }; /* and the base, and an encoder */

struct hone_served {
    hone_engine *engine;
    hone_worker *worker;
    pthread_mutex_t lock;
    hone_served_model *models[MAX_MODELS];
    size_t n, n_adapters;
};

hone_status hone_served_create(hone_engine *engine, hone_served **out, hone_error *err)
{
    hone_served *served = *out = calloc(1, sizeof *served);
    if (!served)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    served->engine = engine;
    pthread_mutex_init(&served->lock, NULL);
    return HONE_OK;
}

void hone_served_set_worker(hone_served *served, hone_worker *worker)
{
    served->worker = worker;
}

static void free_model(hone_served_model *model)
{
    free(model->name);
    free(model);
}

void hone_served_free(hone_served *served)
{
    if (!served)
        return;
    for (size_t i = 0; i < served->n; i++)
        free_model(served->models[i]); /* the adapters are the engine's */
    pthread_mutex_destroy(&served->lock);
    free(served);
}

const char *hone_served_base_name(const hone_served *served)
{
    return served->models[0]->name; /* never taken off the list */
}

/* ---- the end of an entry ---- */

static hone_status drop(void *context, hone_error *err)
{
    (void)err;
    hone_served_model *model = context;
    hone_engine_drop_adapter(model->list->engine, (hone_adapter *)(uintptr_t)model->adapter);
    free_model(model);
    return HONE_OK;
}

/* The last user has left: the engine is the worker's, so it drops the adapter. A server that is stopping leaves that to
 * the end of the engine. */
static void end(hone_served_model *model)
{
    if (!model->list->worker || !hone_worker_post(model->list->worker, &model->drop, drop, model))
        free_model(model);
}

hone_served_model *hone_served_hold(hone_served_model *model)
{
    pthread_mutex_lock(&model->list->lock);
    model->users++;
    pthread_mutex_unlock(&model->list->lock);
    return model;
}

void hone_served_release(hone_served_model *model)
{
    if (!model)
        return;
    pthread_mutex_lock(&model->list->lock);
    bool last = --model->users == 0;
    pthread_mutex_unlock(&model->list->lock);
    if (last)
        end(model);
}

/* ---- the list; under the lock ---- */

static size_t find(const hone_served *served, const char *name)
{
    size_t i = 0;
    while (i < served->n && strcmp(served->models[i]->name, name) != 0)
        i++;
    return i;
}

static hone_status check(const hone_served *served, const char *name, bool is_adapter, bool in_place, hone_error *err)
{
    if (!*name)
        return hone_fail(err, HONE_BAD_INPUT, "an adapter has an empty name; give one, as in --adapter NAME=FOLDER");
    if (!hone_utf8_valid(name, strlen(name), NULL))
        return hone_fail(err, HONE_BAD_INPUT, "the name of a model is not valid UTF-8; clients could not send it");
    size_t i = find(served, name);
    if (i < served->n && !(in_place && served->models[i]->adapter))
        return hone_fail(err, HONE_BAD_INPUT,
                         "two models are named \"%.200s\"; clients choose by name, so give each its own%s", name,
                         served->models[i]->adapter ? ", or replace the adapter with \"load_inplace\": true" : "");
    if (i == served->n && is_adapter && served->n_adapters == HONE_SERVED_ADAPTERS)
        return hone_fail(err, HONE_BAD_INPUT, "%d adapters are served already; unload one first", HONE_SERVED_ADAPTERS);
    return HONE_OK;
}

static hone_status fail_not_found(const hone_served *served, const char *name, bool adapters_only, hone_error *err)
{
    hone_buffer names = {0};
    for (size_t i = 0; i < served->n; i++)
        if (served->models[i]->adapter || !adapters_only)
            hone_buffer_printf(&names, "%s\"%s\"", names.length ? ", " : "", served->models[i]->name);
    hone_status status = hone_fail(err, HONE_NOT_FOUND, "there is no %s \"%.200s\" here; there is %s",
                                   adapters_only ? "adapter" : "model", name, names.data ? names.data : "none");
    hone_buffer_clear(&names);
    return status;
}

/* ---- for the others ---- */

hone_status hone_served_check(hone_served *served, const char *name, bool in_place, hone_error *err)
{
    pthread_mutex_lock(&served->lock);
    hone_status status = check(served, name, true, in_place, err);
    pthread_mutex_unlock(&served->lock);
    return status;
}

hone_status hone_served_add(hone_served *served, const char *name, const hone_served_model *like, bool in_place,
                            hone_error *err)
{
    hone_served_model *model = calloc(1, sizeof *model), *replaced = NULL;
    char *copy = strdup(name);
    if (!model || !copy) {
        free(model);
        free(copy);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    *model = *like;
    model->name = copy;
    model->list = served;
    model->users = 1;
    pthread_mutex_lock(&served->lock);
    hone_status status = check(served, name, like->adapter, in_place, err);
    if (status == HONE_OK) {
        size_t i = find(served, name);
        if (i < served->n)
            replaced = served->models[i];
        else {
            served->n++;
            served->n_adapters += like->adapter != NULL;
        }
        served->models[i] = model;
    }
    pthread_mutex_unlock(&served->lock);
    if (status != HONE_OK)
        free_model(model);
    hone_served_release(replaced);
    return status;
}

hone_status hone_served_remove(hone_served *served, const char *name, hone_error *err)
{
    hone_status status = HONE_OK;
    hone_served_model *removed = NULL;
    pthread_mutex_lock(&served->lock);
    size_t i = find(served, name);
    if (i == served->n)
        status = fail_not_found(served, name, true, err);
    else if (!served->models[i]->adapter)
        status = hone_fail(err, HONE_BAD_INPUT, "\"%.200s\" is no adapter; it stays as long as the server runs", name);
    else {
        removed = served->models[i];
        memmove(&served->models[i], &served->models[i + 1], (--served->n - i) * sizeof *served->models);
        served->n_adapters--;
    }
    pthread_mutex_unlock(&served->lock);
    hone_served_release(removed);
    return status;
}

hone_status hone_served_take(hone_served *served, const char *name, hone_served_model **out, hone_error *err)
{
    hone_status status = HONE_OK;
    *out = NULL;
    pthread_mutex_lock(&served->lock);
    size_t i = name ? find(served, name) : 0;
    if (i < served->n) {
        *out = served->models[i];
        (*out)->users++;
    } else
        status = fail_not_found(served, name, false, err);
    pthread_mutex_unlock(&served->lock);
    return status;
}

void hone_served_visit(hone_served *served, void (*visit)(void *context, const hone_served_model *model), void *context)
{
    pthread_mutex_lock(&served->lock);
    for (size_t i = 0; i < served->n; i++)
        visit(context, served->models[i]);
    pthread_mutex_unlock(&served->lock);
}
