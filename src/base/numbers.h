/* numbers.h - numbers as people read them: never more digits than the measurement carries. The words of a verdict, the
 * tables of a report and the lists of the command line all take them from here.
 *
 * Every function writes a NUL-terminated text into `out` and shows a value that was not measured (NAN) as an en dash.
 */
#ifndef HONE_BASE_NUMBERS_H
#define HONE_BASE_NUMBERS_H

#include <stddef.h>

typedef struct hone_number {
    char text[64];
} hone_number;

#define HONE_NOT_MEASURED "–"

hone_number hone_number_score(double score);               /* 0.824 */
hone_number hone_number_interval(double low, double high); /* 0.799–0.847 */
hone_number hone_number_points(double difference);         /* a difference of scores: +5.1, -19 (a real minus sign) */
hone_number hone_number_points_interval(double difference, double low, double high); /* +2.4 to +7.8 */
hone_number hone_number_detectable(double difference);                               /* 4 or 0.8, in points */
hone_number hone_number_p(double p);                                                 /* "p = 0.0002", "p < 0.0001" */
hone_number hone_number_p_bare(double p);                                            /* "0.0002", "< 0.0001" */
hone_number hone_number_usd(double usd);                                             /* $0.21, $131, $0.0014 */
hone_number hone_number_ms(double ms);                                               /* 52, 3.1, 0.04 */
hone_number hone_number_count(double count);                                         /* 1,600 */
hone_number hone_number_about(double count);     /* two significant digits: 180,000 */
hone_number hone_number_percent(double share);   /* 94 % */
hone_number hone_number_seconds(double seconds); /* 11m 05s */
hone_number hone_number_hours(double hours);     /* 4 h, 2.5 h: of people's work */
hone_number hone_number_months(double months);   /* 4 weeks, 3 days, 7 months */

#endif
