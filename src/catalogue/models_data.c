/* models_data.c - catalogue/models.json inside the program, so that an installed hone needs no path to it.
 *
 * The assembler copies the file's bytes between two symbols; a NUL follows them. */
#include "catalogue/models.h"

__asm__(".pushsection .rodata\n"
        ".globl hone_models_json\n"
        "hone_models_json:\n"
        ".incbin \"" HONE_MODELS_JSON "\"\n"
        ".globl hone_models_json_end\n"
        "hone_models_json_end:\n"
        ".byte 0\n"
        ".popsection\n");
