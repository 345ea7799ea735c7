/* tiny_model_file.c - writes the tiny model of tiny_model.h to a file, for tests that drive the program.
 * Usage: tiny_model_file FILE */
#include "tiny_model.h"

int main(int argc, char **argv)
{
    hone_error err;
    if (argc != 2)
        return 2;
    if (tiny_model_write(argv[1], &err) == HONE_OK)
        return 0;
    fprintf(stderr, "%s\n", err.message);
    return 3;
}
