/*
 * The calendar is counted in days from 1970-01-01 with years that begin in March, so that the
 * leap day is a year's last one: no table of leap years, no libc call that looks at a time zone.
 */
#include "common/timestamp.h"

#include <stdbool.h>
#include <string.h>

#define SECONDS_PER_DAY 86400
#define SECONDS_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define DAYS_PER_ERA 146097               /* 400 years of the Gregorian calendar */
#define DAYS_TO_EPOCH 719468              /* from 0000-03-01 to 1970-01-01 */

struct date {
    int64_t year;
    int64_t month; /* 1..12 */
    int64_t day;   /* 1.. */
};

/* For years from 1970. */
static int64_t days_from_date(struct date date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t month_from_march = (date.month + 9) % 12;
    int64_t era = year / 400;
    int64_t year_of_era = year % 400;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
}

/* For days >= 0. */
static struct date date_from_days(int64_t days)
{
    int64_t from_march_0000 = days + DAYS_TO_EPOCH;
    int64_t era = from_march_0000 / DAYS_PER_ERA;
    int64_t day_of_era = from_march_0000 % DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    return (struct date){
        .year = era * 400 + year_of_era + (month <= 2 ? 1 : 0),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static char *put_digits(char *at, int64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

/* "YYYY-MM-DDThh:mm:ss"; returns where it ends. */
static char *put_second(char *at, int64_t unix_s)
{
    struct date date = date_from_days(unix_s / SECONDS_PER_DAY);
    int64_t second_of_day = unix_s % SECONDS_PER_DAY;

    at = put_digits(at, date.year, 4);
    *at++ = '-';
    at = put_digits(at, date.month, 2);
    *at++ = '-';
    at = put_digits(at, date.day, 2);
    *at++ = 'T';
    at = put_digits(at, second_of_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second_of_day / 60 % 60, 2);
    *at++ = ':';
    return put_digits(at, second_of_day % 60, 2);
}

static int64_t clamp(int64_t value, int64_t max)
{
    return value < 0 ? 0 : value > max ? max : value;
}

void timestamp_format_ms(int64_t unix_ms, char out[TIMESTAMP_SIZE])
{
    int64_t ms = clamp(unix_ms, SECONDS_MAX * 1000 + 999);
    char *at = put_second(out, ms / 1000);

    *at++ = '.';
    at = put_digits(at, ms % 1000, 3);
    memcpy(at, "Z", 2);
}

void timestamp_format_s(int64_t unix_s, char out[TIMESTAMP_SIZE])
{
    char *at = put_second(out, clamp(unix_s, SECONDS_MAX));

    memcpy(at, "Z", 2);
}

/* What is left of the text that is read. */
struct input {
    const char *at;
    const char *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One of two characters: the same one twice, or a letter's two cases. */
static bool take_either(struct input *in, char one, char other)
{
    if (in->at == in->end || (*in->at != one && *in->at != other)) {
        return false;
    }
    in->at++;
    return true;
}

static bool take_number(struct input *in, int digits, int64_t min, int64_t max, int64_t *number)
{
    int64_t value = 0;

    if (in->end - in->at < digits) {
        return false;
    }
    for (int i = 0; i < digits; i++) {
        if (!is_digit(in->at[i])) {
            return false;
        }
        value = value * 10 + (in->at[i] - '0');
    }
    in->at += digits;
    *number = value;
    return value >= min && value <= max;
}

static bool take_date(struct input *in, int64_t *days)
{
    struct date date;

    if (!take_number(in, 4, 1970, 9999, &date.year) || !take_either(in, '-', '-') ||
        !take_number(in, 2, 1, 12, &date.month) || !take_either(in, '-', '-') ||
        !take_number(in, 2, 1, days_in_month(date.year, date.month), &date.day)) {
        return false;
    }
    *days = days_from_date(date);
    return true;
}

static bool take_time(struct input *in, int64_t *second_of_day, bool *leap_second)
{
    int64_t hour;
    int64_t minute;
    int64_t second;

    if (!take_number(in, 2, 0, 23, &hour) || !take_either(in, ':', ':') ||
        !take_number(in, 2, 0, 59, &minute) || !take_either(in, ':', ':') ||
        !take_number(in, 2, 0, 60, &second)) {
        return false;
    }
    *leap_second = second == 60;
    *second_of_day = hour * 3600 + minute * 60 + second - (*leap_second ? 1 : 0);
    return true;
}

static bool take_fraction(struct input *in, int64_t *microseconds)
{
    int64_t weight = 100000;
    int digits = 0;

    *microseconds = 0;
    if (!take_either(in, '.', '.')) {
        return true;
    }
    while (in->at < in->end && is_digit(*in->at)) {
        *microseconds += (*in->at++ - '0') * weight;
        weight /= 10;
        digits++;
    }
    return digits >= 1 && digits <= 9;
}

static bool take_offset(struct input *in, int64_t *seconds)
{
    int64_t hours;
    int64_t minutes;

    if (take_either(in, 'Z', 'z')) {
        *seconds = 0;
        return true;
    }

    bool west = in->at < in->end && *in->at == '-';

    if (!take_either(in, '+', '-') || !take_number(in, 2, 0, 23, &hours) ||
        !take_either(in, ':', ':') || !take_number(in, 2, 0, 59, &minutes)) {
        return false;
    }
    *seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

static bool parse(struct input in, int64_t *unix_us)
{
    int64_t days;
    int64_t second_of_day;
    int64_t microseconds;
    int64_t offset_s;
    bool leap_second;

    if (!take_date(&in, &days) || !take_either(&in, 'T', 't') ||
        !take_time(&in, &second_of_day, &leap_second) || !take_fraction(&in, &microseconds) ||
        !take_offset(&in, &offset_s) || in.at != in.end) {
        return false;
    }

    int64_t unix_s = days * SECONDS_PER_DAY + second_of_day - offset_s;

    if (unix_s < 0 || unix_s > SECONDS_MAX) {
        return false;
    }
    /* Leap seconds are put in at the end of a day of UTC, nowhere else. */
    if (leap_second && unix_s % SECONDS_PER_DAY != SECONDS_PER_DAY - 1) {
        return false;
    }
    *unix_us = unix_s * 1000000 + microseconds;
    return true;
}

int timestamp_parse_us(const char *text, size_t len, int64_t *unix_us, struct err *err)
{
    if (!parse((struct input){text, text + len}, unix_us)) {
        return err_set(err, ERR_INVALID,
                       "not a time like 2026-11-21T08:00:05.001Z (RFC 3339, years 1970 to 9999)");
    }
    return 0;
}
