/* line_editor.c - line editing and history by libedit, with the keys of ~/.editrc (man editrc).
 *
 * libedit reads through read_character below, because its own loop begins a read again after a signal, and Ctrl-C must
 * end the line. It keeps characters in the locale's encoding: LC_CTYPE, and no other part of the locale, is set to
 * UTF-8 where there is such a locale; numbers keep their points. */
#include "cli/line_editor.h"

#include "base/cancel.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REMEMBERED = 1000 };

static struct editor {
    bool tried;
    EditLine *line;
    History *history;
    const char *prompt;
} editor;

static char *prompt_text(EditLine *line)
{
    (void)line;
    return (char *)(uintptr_t)editor.prompt; /* libedit reads it only */
}

/* One character of UTF-8: 1, or 0 at the end, or -1 where a signal or an error ends the line. What is no UTF-8 comes as
 * U+FFFD. */
static int read_character(EditLine *line, wchar_t *out)
{
    (void)line;
    unsigned char byte;
    ssize_t got = read(STDIN_FILENO, &byte, 1);
    if (got != 1)
        return (int)got;
    int more = byte < 0x80 ? 0 : byte >= 0xF0 && byte < 0xF8 ? 3 : byte >= 0xE0 ? 2 : byte >= 0xC2 ? 1 : -1;
    static const unsigned char of_first[] = {0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = more < 0 || byte >= 0xF8 ? 0xFFFD : byte & of_first[more];
    for (; more > 0 && byte < 0xF8; more--) {
        unsigned char next;
        if (read(STDIN_FILENO, &next, 1) != 1)
            return -1;
        c = (next & 0xC0) == 0x80 ? c << 6 | (next & 0x3F) : 0xFFFD;
    }
    *out = (wchar_t)(c > 0x10FFFF ? 0xFFFD : c);
    return 1;
}

bool hone_line_editor_begin(void)
{
    if (editor.tried)
        return editor.line;
    editor.tried = true;
    const char *terminal = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !terminal || strcmp(terminal, "dumb") == 0)
        return false;
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
    HistEvent event;
    editor.line = el_init("hone", stdin, stdout, stderr);
    editor.history = history_init();
    if (!editor.line || !editor.history) {
        hone_line_editor_end();
        return false;
    }
    history(editor.history, &event, H_SETSIZE, REMEMBERED);
    history(editor.history, &event, H_SETUNIQUE, 1);
    el_set(editor.line, EL_PROMPT, prompt_text);
    el_set(editor.line, EL_EDITOR, "emacs");
    el_set(editor.line, EL_HIST, history, editor.history);
    el_set(editor.line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(editor.line, EL_GETCFN, read_character);
    el_source(editor.line, NULL);
    return true;
}

hone_line hone_line_editor_read(const char *prompt, hone_buffer *out)
{
    hone_buffer_reset(out);
    editor.prompt = prompt;
    int length = 0;
    const char *line = el_gets(editor.line, &length);
    if (!line || length < 1) {
        if (hone_cancel_requested())
            return HONE_LINE_END;
        return hone_interrupt_take() ? HONE_LINE_INTERRUPTED : HONE_LINE_END;
    }
    if (line[strspn(line, " \t\r\n")]) {
        HistEvent event;
        history(editor.history, &event, H_ENTER, line);
    }
    hone_buffer_append(out, line, strcspn(line, "\r\n"));
    return HONE_LINE_READ;
}

void hone_line_editor_end(void)
{
    if (editor.line)
        el_end(editor.line);
    if (editor.history)
        history_end(editor.history);
    editor = (struct editor){.tried = editor.tried};
}
