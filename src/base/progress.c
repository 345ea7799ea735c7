/* progress.c - the NULL-safe front of a progress sink. */
#include "base/progress.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

void hone_progress_begin(hone_progress *p, const char *name, const char *unit, int64_t total)
{
    if (p && p->begin)
        p->begin(p, name, unit, total);
}

void hone_progress_resize(hone_progress *p, int64_t total)
{
    if (p && p->resize)
        p->resize(p, total);
}

void hone_progress_update(hone_progress *p, int64_t done, const char *detail)
{
    if (p && p->update)
        p->update(p, done, detail);
}

void hone_progress_end(hone_progress *p)
{
    if (p && p->end)
        p->end(p);
}

void hone_progress_note(hone_progress *p, const char *format, ...)
{
    if (!p || !p->note)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->note(p, text);
}
