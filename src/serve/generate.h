/* generate.h - from what was asked to an answer: the call is made and submitted, and its result becomes one document or
 * a stream of server-sent events. */
#ifndef HONE_SERVE_GENERATE_H
#define HONE_SERVE_GENERATE_H

#include "serve/asked.h"

/* Takes `asked`. Waits for the answer unless it is streamed; a client that closes its connection cancels it. */
void hone_generate(hone_server *server, hone_asked *asked, const hone_http_request *request, hone_http_reply *reply);

/* Submits the call and makes the reply a stream of its answers. Takes the call, also when it fails; its `owned` is
 * `asked`. */
hone_status hone_stream_create(hone_server *server, hone_asked *asked, hone_call *call, int client,
                               hone_http_reply *reply, hone_error *err);

#endif
