/* adapters.c - /v1/load_lora_adapter and /v1/unload_lora_adapter, as vLLM names them: adapters that come and go while
 * the server runs. Who may ask is decided by http.h for all endpoints: programs on this machine.
 *
 *   load    {"lora_name", "lora_path"?, "load_inplace"?}   path: a folder, or a name (adapter_find.h); absent:
 * lora_name unload  {"lora_name"}
 *
 * An adapter is read and dropped on the worker's thread, between two steps: it uses the engine's processor threads. */
#include "serve/api.h"
#include "serve/fields.h"

typedef struct loading {
    hone_engine *engine;
    const char *path;
    hone_adapter *adapter;
} loading;

static hone_status load(void *context, hone_error *err)
{
    loading *l = context;
    return hone_engine_find_adapter(l->engine, l->path, &l->adapter, err);
}

static hone_status drop(void *context, hone_error *err)
{
    (void)err;
    loading *l = context;
    hone_engine_drop_adapter(l->engine, l->adapter);
    return HONE_OK;
}

static hone_status read_name(const json_t *body, const char **name, hone_error *err)
{
    const hone_field field = {"lora_name", HONE_FIELD_TEXT, name, 0, 0};
    hone_status status = hone_fields_read(body, &field, 1, NULL, err);
    if (status == HONE_OK && !*name)
        status = hone_fail(err, HONE_BAD_INPUT, "\"lora_name\" is absent; it is the model name by which clients ask");
    return status;
}

void hone_endpoint_load_adapter(hone_server *server, const json_t *body, const hone_http_request *request,
                                hone_http_reply *reply)
{
    (void)request;
    hone_error err;
    const char *name = NULL, *param = "lora_name";
    loading l = {.engine = server->engine};
    bool in_place = false;
    const hone_field fields[] = {{"lora_path", HONE_FIELD_TEXT, &l.path, 0, 0},
                                 {"load_inplace", HONE_FIELD_BOOL, &in_place, 0, 0}};
    hone_status status = read_name(body, &name, &err);
    if (status == HONE_OK)
        status = hone_fields_read(body, fields, sizeof fields / sizeof *fields, &param, &err);
    if (status == HONE_OK)
        status = hone_served_check(server->served, name, in_place, &err);
    if (status == HONE_OK) {
        param = "lora_path";
        l.path = l.path ? l.path : name;
        status = hone_worker_run(server->worker, load, &l, &err);
    }
    if (status == HONE_OK) {
        param = "lora_name"; /* another client may have taken it meanwhile */
        status = hone_served_add(server->served, name, &(hone_served_model){.adapter = l.adapter}, in_place, &err);
        if (status != HONE_OK)
            hone_worker_run(server->worker, drop, &l, NULL);
    }
    if (status == HONE_OK)
        hone_api_answer(reply,
                        json_pack("{s:s, s:s, s:s}", "object", "lora_adapter", "lora_name", name, "status", "loaded"));
    else
        hone_api_fail(reply, status == HONE_IO ? HONE_BAD_INPUT : status, param, &err); /* a path that cannot be read */
}

void hone_endpoint_unload_adapter(hone_server *server, const json_t *body, const hone_http_request *request,
                                  hone_http_reply *reply)
{
    (void)request;
    hone_error err;
    const char *name = NULL;
    hone_status status = read_name(body, &name, &err);
    if (status == HONE_OK)
        status = hone_served_remove(server->served, name, &err);
    if (status == HONE_OK)
        hone_api_answer(
            reply, json_pack("{s:s, s:s, s:s}", "object", "lora_adapter", "lora_name", name, "status", "unloaded"));
    else
        hone_api_fail(reply, status, "lora_name", &err);
}
