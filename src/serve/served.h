/* served.h - the models of a server by name: the base, a sentence encoder, and adapters that come and go.
 *
 * A name belongs to one entry at a time. An entry has users: the list itself, and each request that names it. Taking a
 * name off the list, or giving it to another adapter, leaves requests under way on the entry that they began with; the
 * adapter is dropped from the engine, on the worker's thread, when the last of them is over. The base and the encoder
 * stay. Any thread may call. */
#ifndef HONE_SERVE_SERVED_H
#define HONE_SERVE_SERVED_H

#include "model/embedder.h"
#include "serve/work.h"

typedef struct hone_served hone_served;

typedef struct hone_served_model {
    char *name;
    const hone_adapter *adapter; /* NULL: the base or an encoder */
    hone_embedder *embedder;     /* a sentence encoder; NULL: the base makes vectors by hone_server_own_embedder */
    bool embeds_only;            /* a sentence encoder: generates no text */
    hone_served *list;           /* from here on: served.c's own */
    int users;
    hone_work_task drop;
} hone_served_model;

hone_status hone_served_create(hone_engine *engine, hone_served **out, hone_error *err);
/* From then on adapters without users are dropped by the worker. */
void hone_served_set_worker(hone_served *served, hone_worker *worker);
void hone_served_free(hone_served *served); /* after the worker stopped and all entries were given back */

/* `like` says what the name stands for; the base comes first. HONE_BAD_INPUT for a name that is empty, no UTF-8, or
 * taken (with `in_place`, an adapter's name is given to the new one instead), and where HONE_SERVED_ADAPTERS are there.
 * After a failure the adapter is still the caller's. */
hone_status hone_served_add(hone_served *served, const char *name, const hone_served_model *like, bool in_place,
                            hone_error *err);
/* What hone_served_add would say of the name: asked before an adapter is read for it. */
hone_status hone_served_check(hone_served *served, const char *name, bool in_place, hone_error *err);
/* HONE_NOT_FOUND lists the adapters that are there, HONE_BAD_INPUT for a name that is not an adapter's. */
hone_status hone_served_remove(hone_served *served, const char *name, hone_error *err);

/* The entry of this name (NULL: the base), with one more user; HONE_NOT_FOUND lists the names. */
hone_status hone_served_take(hone_served *served, const char *name, hone_served_model **out, hone_error *err);
hone_served_model *hone_served_hold(hone_served_model *model); /* one more user of an entry that one has */
void hone_served_release(hone_served_model *model);
/* Calls visit(context, model) for each entry on the list, the base first; no other function of this header may be
 * called from it. */
void hone_served_visit(hone_served *served, void (*visit)(void *context, const hone_served_model *model),
                       void *context);
const char *hone_served_base_name(const hone_served *served);

#endif
