/* machine.h - what the operating system says about the machine: processor, memory, limits of a container. */
#ifndef HONE_BASE_MACHINE_H
#define HONE_BASE_MACHINE_H

#include "base/status.h"

typedef struct hone_machine {
    char processor[128];      /* "AMD EPYC 7763 64-Core Processor"; "" unknown */
    char features[256];       /* those that matter here, blanks between them: "avx2 fma f16c avx512f" */
    int n_processors;         /* that this process may use */
    double processor_quota;   /* processors' worth of time that a container allows; 0: no limit */
    uint64_t memory_bytes;    /* 0: unknown */
    uint64_t available_bytes; /* that programs can still get; 0: unknown */
    uint64_t limit_bytes;     /* that a container allows; 0: no limit */
} hone_machine;

/* root: "" for this machine; a folder with proc/ and sys/ for tests. What cannot be read stays unknown. Linux: /proc
 * and the control groups of either version as a container sees them. */
void hone_machine_read(const char *root, hone_machine *out);

/* Bytes that this user may still write in the folder's file system. HONE_IO or HONE_NOT_FOUND. */
hone_status hone_folder_free_bytes(const char *path, uint64_t *out, hone_error *err);

#endif
