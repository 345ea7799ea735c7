/* numbers.c - numbers as people read them. The rules: scores three decimals, differences in points with one decimal
 * below ten and none above, money two significant digits below $100 and three above, requests two, p down to 0.0001. */
#include "base/numbers.h"

#include "base/text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MINUS "−" /* U+2212 */

static hone_number not_measured(void)
{
    hone_number n;
    snprintf(n.text, sizeof n.text, "%s", HONE_NOT_MEASURED);
    return n;
}

/* `value` rounded to `digits` significant digits. */
static double significant(double value, int digits)
{
    if (value == 0 || !isfinite(value))
        return value;
    double unit = pow(10, floor(log10(fabs(value))) - digits + 1);
    return round(value / unit) * unit;
}

static hone_number with_commas(double value)
{
    if (!isfinite(value))
        return not_measured();
    hone_number n;
    if (fabs(value) > 1e15) {
        snprintf(n.text, sizeof n.text, "%.1e", value);
        return n;
    }
    char text[32];
    hone_format_count((int64_t)llround(value), text);
    snprintf(n.text, sizeof n.text, "%s", text);
    return n;
}

hone_number hone_number_score(double score)
{
    if (!isfinite(score))
        return not_measured();
    hone_number n;
    snprintf(n.text, sizeof n.text, "%.3f", score);
    return n;
}

hone_number hone_number_interval(double low, double high)
{
    if (!isfinite(low) || !isfinite(high))
        return not_measured();
    hone_number n;
    snprintf(n.text, sizeof n.text, "%.3f–%.3f", low, high);
    return n;
}

static void put_points(char *out, size_t size, double points, int decimals)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.*f", decimals, fabs(points));
    bool zero = strspn(digits, "0.") == strlen(digits);
    snprintf(out, size, "%s%s", zero ? "" : points < 0 ? MINUS : "+", digits);
}

hone_number hone_number_points(double difference)
{
    if (!isfinite(difference))
        return not_measured();
    hone_number n;
    double points = 100 * difference;
    put_points(n.text, sizeof n.text, points, fabs(points) < 9.95 ? 1 : 0);
    return n;
}

hone_number hone_number_points_interval(double difference, double low, double high)
{
    if (!isfinite(low) || !isfinite(high))
        return not_measured();
    hone_number n;
    char from[24], to[24];
    int decimals =
        isfinite(difference) && fabs(100 * difference) >= 9.95 ? 0 : 1; /* as many as the difference itself has */
    put_points(from, sizeof from, 100 * low, decimals);
    put_points(to, sizeof to, 100 * high, decimals);
    snprintf(n.text, sizeof n.text, "%s to %s", from, to);
    return n;
}

hone_number hone_number_detectable(double difference)
{
    if (!isfinite(difference))
        return not_measured();
    hone_number n;
    double points = 100 * fabs(difference);
    snprintf(n.text, sizeof n.text, "%.*f", points < 1.95 ? 1 : 0, points);
    return n;
}

hone_number hone_number_p_bare(double p)
{
    if (!isfinite(p))
        return not_measured();
    hone_number n;
    if (p < 0.0001)
        snprintf(n.text, sizeof n.text, "< 0.0001");
    else
        snprintf(n.text, sizeof n.text, "%.*f",
                 p < 0.00095 || (p >= 0.0495 && p < 0.05) ? 4 /* 0.0496 is not 0.050 */
                 : p < 0.0995                             ? 3
                                                          : 2,
                 p);
    return n;
}

hone_number hone_number_p(double p)
{
    hone_number bare = hone_number_p_bare(p), n;
    snprintf(n.text, sizeof n.text, "p %s%.40s", bare.text[0] == '<' ? "" : "= ", bare.text);
    return n;
}

hone_number hone_number_usd(double usd)
{
    if (!isfinite(usd))
        return not_measured();
    hone_number n;
    const char *sign = usd < 0 ? MINUS : "";
    double v = fabs(usd);
    if (v == 0)
        snprintf(n.text, sizeof n.text, "$0");
    else if (v < 0.00001)
        snprintf(n.text, sizeof n.text, "< $0.00001");
    else if (v < 99.5) {
        v = significant(v, 2);
        int decimals = v >= 9.95 ? 0 : 1 - (int)floor(log10(v) + 1e-9);
        if (decimals == 1)
            decimals = 2; /* $1.20, as money is written */
        int length = snprintf(n.text, sizeof n.text, "%s$%.*f", sign, decimals, v);
        if (decimals > 2 && n.text[length - 1] == '0') /* $0.08, not $0.080 */
            n.text[length - 1] = 0;
    } else
        snprintf(n.text, sizeof n.text, "%s$%.40s", sign, with_commas(significant(v, 3)).text);
    return n;
}

hone_number hone_number_ms(double ms)
{
    if (!isfinite(ms))
        return not_measured();
    if (ms >= 999.5)
        return with_commas(significant(ms, 3));
    hone_number n;
    if (ms > 0 && ms < 0.005)
        snprintf(n.text, sizeof n.text, "< 0.01");
    else
        snprintf(n.text, sizeof n.text, "%.*f", ms >= 9.95 ? 0 : ms >= 0.95 ? 1 : 2, ms);
    return n;
}

hone_number hone_number_count(double count)
{
    return with_commas(count);
}

hone_number hone_number_about(double count)
{
    return with_commas(significant(count, 2));
}

hone_number hone_number_percent(double share)
{
    if (!isfinite(share))
        return not_measured();
    hone_number n;
    double percent = 100 * share;
    /* 99.6 % must not read as "all": the last half point keeps a decimal. */
    bool edge = (percent > 99 && percent < 100) || (percent > 0 && percent < 1);
    if (percent > 0 && percent < 0.05)
        snprintf(n.text, sizeof n.text, "< 0.1 %%");
    else if (percent < 100 && percent >= 99.95)
        snprintf(n.text, sizeof n.text, "> 99.9 %%");
    else
        snprintf(n.text, sizeof n.text, "%.*f %%", edge ? 1 : 0, percent);
    return n;
}

hone_number hone_number_seconds(double seconds)
{
    if (!isfinite(seconds))
        return not_measured();
    hone_number n;
    char text[32];
    if (seconds >= 0 && seconds < 0.05)
        snprintf(text, sizeof text, seconds == 0 ? "0 s" : "< 0.1 s");
    else
        hone_format_seconds(seconds, text);
    snprintf(n.text, sizeof n.text, "%s", text);
    return n;
}

hone_number hone_number_hours(double hours)
{
    if (!isfinite(hours))
        return not_measured();
    hone_number n;
    snprintf(n.text, sizeof n.text, "%.3g h", hours);
    return n;
}

hone_number hone_number_months(double months)
{
    if (!isfinite(months) || months < 0)
        return not_measured();
    static const struct {
        double months_up_to, months_each;
        const char *one, *many;
    } units[] = {{0.46, 12.0 / 365.25, "day", "days"},
                 {2.5, 12.0 / 52.18, "week", "weeks"},
                 {24, 1, "month", "months"},
                 {INFINITY, 12, "year", "years"}};
    size_t u = 0;
    while (months > units[u].months_up_to)
        u++;
    double count = fmax(1, round(months / units[u].months_each));
    hone_number n;
    if (u == 0 && months < 12.0 / 365.25)
        snprintf(n.text, sizeof n.text, "less than a day");
    else if (count > 100)
        snprintf(n.text, sizeof n.text, "more than 100 years");
    else
        snprintf(n.text, sizeof n.text, "%.0f %s", count, count == 1 ? units[u].one : units[u].many);
    return n;
}
