/* label.c - reading a label out of an answer. */
#include "metric/label.h"

#include "base/text.h"
#include "metric/fold.h"

#include <stdlib.h>
#include <string.h>

typedef char *(*folder)(const char *);

static char *without_spaces(const char *text)
{
    char *words = hone_fold_words(text), *to = words;
    if (!words)
        return NULL;
    for (const char *from = words; *from; from++)
        if (*from != ' ')
            *to++ = *from;
    *to = 0;
    return words;
}

static bool ends_word(const char *rest)
{
    uint32_t c = 0;
    size_t bytes = hone_utf8_next(rest, strlen(rest), &c);
    return bytes == 0 || !(hone_is_word_code_point(c) || c == '_');
}

/* One of the five attempts. *index is set to the label, to -1 for none and to -2 for several. */
static hone_status attempt(const char *answer, const char *const *labels, size_t n, folder fold, bool prefix,
                           int64_t *index, hone_error *err)
{
    size_t longest = 0;
    char *folded = fold(answer), *label = NULL;
    *index = -1;
    if (!folded)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory while reading an answer");
    for (size_t i = 0; i < n && *folded; i++) {
        free(label);
        label = fold(labels[i]);
        if (!label) {
            free(folded);
            return hone_fail(err, HONE_NO_MEMORY, "out of memory while reading an answer");
        }
        size_t length = strlen(label);
        if (length == 0)
            continue;
        if (prefix ? strncmp(folded, label, length) != 0 || !ends_word(folded + length) : strcmp(folded, label) != 0)
            continue;
        if (length > longest) {
            longest = length;
            *index = (int64_t)i;
        } else if (length == longest && strcmp(labels[i], labels[*index >= 0 ? *index : 0]) != 0) {
            *index = -2;
        }
    }
    free(label);
    free(folded);
    return HONE_OK;
}

hone_status hone_label_parse(const char *answer, const char *const *labels, size_t n, bool lenient, int64_t *index,
                             hone_error *err)
{
    size_t length;
    const char *trimmed = hone_trim(answer, &length);
    *index = -1;
    for (size_t i = 0; i < n; i++)
        if (strlen(labels[i]) == length && memcmp(labels[i], trimmed, length) == 0) {
            *index = (int64_t)i;
            return HONE_OK;
        }
    static const struct {
        folder fold;
        bool prefix;
    } attempts[] = {{hone_fold_case, false},
                    {hone_fold_words, false},
                    {without_spaces, false},
                    {hone_fold_case, true},
                    {hone_fold_words, true}};
    for (size_t a = 0; lenient && a < sizeof attempts / sizeof attempts[0]; a++) {
        hone_status status = attempt(answer, labels, n, attempts[a].fold, attempts[a].prefix, index, err);
        if (status != HONE_OK || *index >= 0)
            return status;
    }
    *index = -1;
    return HONE_OK;
}
