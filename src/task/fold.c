/* fold.c - Unicode NFKC_Casefold by utf8proc, then categories P*, Z* and C* are left out. */
#include "task/fold.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_separator(uint32_t code_point)
{
    switch (utf8proc_category((utf8proc_int32_t)code_point)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
        return true;
    default:
        return false;
    }
}

hone_status hone_fold_key(const char *text, char key[33], hone_error *err)
{
    hone_buffer kept = {0};
    char hex[65] = "";
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)text, 0, &folded,
                                           UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                               UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
    const char *source = length < 0 ? text : (const char *)folded;
    size_t n = strlen(source);
    bool gap = false;
    for (size_t i = 0; i < n;) {
        uint32_t code_point;
        size_t step = hone_utf8_next(source + i, n - i, &code_point);
        if (step == 0)
            break;
        if (is_separator(code_point))
            gap = true;
        else {
            bool digits =
                kept.length && isdigit((unsigned char)kept.data[kept.length - 1]) && isdigit((unsigned char)source[i]);
            if (gap && digits)
                hone_buffer_putc(&kept, ' ');
            hone_buffer_append(&kept, source + i, step);
            gap = false;
        }
        i += step;
    }
    bool failed = kept.failed;
    if (kept.length)
        hone_sha256_hex(kept.data, kept.length, hex);
    else
        hone_sha256_hex(text, strlen(text), hex);
    memcpy(key, hex, 32);
    key[32] = 0;
    free(folded);
    hone_buffer_clear(&kept);
    return failed || !hex[0] ? hone_fail(err, HONE_NO_MEMORY, "out of memory") : HONE_OK;
}
