/* clock.h - time: a monotonic clock for durations, the wall clock for records. */
#ifndef HONE_BASE_CLOCK_H
#define HONE_BASE_CLOCK_H

#include <stddef.h>

double hone_clock_seconds(void);                 /* monotonic, arbitrary start */
double hone_cpu_seconds(void);                   /* processor time of the whole process */
void hone_clock_iso8601(char *out, size_t size); /* now in UTC, "2026-01-31T12:00:00Z", needs 21 bytes */
size_t hone_peak_resident_bytes(void);           /* peak resident set of the process */

#endif
