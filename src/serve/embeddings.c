/* embeddings.c - /v1/embeddings. */
#include "serve/api.h"

void hone_endpoint_embeddings(hone_server *server, const json_t *body, const hone_http_request *request,
                              hone_http_reply *reply)
{
    (void)server, (void)body, (void)request;
    hone_api_fail_as(reply, 400, NULL, "unsupported", "embeddings are not served yet");
}
