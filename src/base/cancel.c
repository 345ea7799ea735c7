/* cancel.c - a request to stop. */
#include "base/cancel.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int requests;

static void on_signal(int signal_number)
{
    (void)signal_number;
    if (atomic_fetch_add(&requests, 1) > 0)
        _exit(130);
}

void hone_cancel_on_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void hone_cancel_request(void)
{
    atomic_fetch_add(&requests, 1);
}

bool hone_cancel_requested(void)
{
    return atomic_load_explicit(&requests, memory_order_relaxed) > 0;
}
