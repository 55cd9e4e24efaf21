/* src/base/zone.c -- time zones, read from the files of the tz database (RFC 9636). */
#include "base/zone.h"

#include "base/file.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_MAX_BYTES = 64,
    FILE_MAX = 256 << 10, /* the largest one has 4 KiB */
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    TYPES_MAX = 256,
    DAY_S = 86400,
    HOUR_S = 3600,
    AROUND_S = 36 * HOUR_S, /* no zone is further from UTC than 26 hours */
    AROUND_STEP_S = 3 * HOUR_S,
};

/* A day of the year and the time of day at which the clocks change. */
struct change {
    char kind; /* M: weekday `day` (0: Sunday) of week `week` (5: the last) of `month`; J: day 1 …
                * 365, 29 February never counted; N: day 0 … 365 */
    int month, week, day;
    int time; /* seconds; may be negative, or more than a day */
};

struct zone {
    int64_t *at;     /* when the offset changes, in order */
    int32_t *offset; /* from that time on */
    size_t count;    /* length of both */
    int32_t before;  /* the offset before the first change */
    bool goes_on;    /* after the last change the rule below applies */
    int standard, daylight;
    bool has_daylight;
    struct change start, end;
};

/* ---- the calendar ---- */

static int64_t first_day(int year, int month)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};

    return (int64_t)timegm(&tm) / DAY_S;
}

static int year_of(int64_t s)
{
    time_t seconds = (time_t)s;
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    return tm.tm_year + 1900;
}

/* The local second of that year at which the clocks change, as if it were UTC. */
static int64_t change_in(const struct change *change, int year)
{
    int64_t first = first_day(year, change->kind == 'M' ? change->month : 1), day;

    if (change->kind == 'M') {
        int64_t next = first_day(year + change->month / 12, change->month % 12 + 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970 began on a Thursday */

        day = first + (change->day - weekday + 7) % 7 + (int64_t)(change->week - 1) * 7;
        while (day >= next)
            day -= 7;
    } else if (change->kind == 'J') {
        bool leap = first_day(year, 3) - first == 60;

        day = first + change->day - 1 + (leap && change->day >= 60);
    } else {
        day = first + change->day;
    }
    return day * DAY_S + change->time;
}

static int64_t offset_by_rule(const struct zone *zone, int64_t s)
{
    int64_t start, end;
    bool in_daylight;
    int year;

    if (!zone->has_daylight)
        return zone->standard;
    year = year_of(s + zone->standard);
    start = change_in(&zone->start, year) - zone->standard;
    end = change_in(&zone->end, year) - zone->daylight;
    in_daylight = start < end ? s >= start && s < end : s >= start || s < end;
    return in_daylight ? zone->daylight : zone->standard;
}

/* ---- the rule at the end of a file: a POSIX TZ string ---- */

static bool take_int(const char **at, int most, int *ret)
{
    int value = 0, digits = 0;

    for (; **at >= '0' && **at <= '9' && digits < 4; digits++)
        value = value * 10 + *(*at)++ - '0';
    *ret = value;
    return digits > 0 && value <= most;
}

/* [+-]H[:M[:S]], in seconds. */
static bool take_time(const char **at, int *ret)
{
    int part, sign = str_take(at, '-') ? -1 : 1;

    if (sign > 0)
        str_take(at, '+');
    if (!take_int(at, 167, ret))
        return false;
    *ret *= HOUR_S;
    for (int unit = 60; unit > 0 && str_take(at, ':'); unit /= 60) {
        if (!take_int(at, 59, &part))
            return false;
        *ret += part * unit;
    }
    *ret *= sign;
    return true;
}

/* "AEST" or "<+1030>". */
static bool take_zone_name(const char **at)
{
    bool quoted = str_take(at, '<');
    const char *start = *at;

    while (**at != '\0' && (quoted ? **at != '>' : strchr("+-,0123456789", **at) == NULL))
        ++*at;
    return *at > start && (!quoted || str_take(at, '>'));
}

/* m.w.d */
static bool take_weekday(const char **at, struct change *ret)
{
    return take_int(at, 12, &ret->month) && ret->month >= 1 && str_take(at, '.') &&
           take_int(at, 5, &ret->week) && ret->week >= 1 && str_take(at, '.') &&
           take_int(at, 6, &ret->day);
}

static bool take_change(const char **at, struct change *ret)
{
    bool good;

    ret->time = 2 * HOUR_S;
    if (!str_take(at, ','))
        return false;
    ret->kind = str_take(at, 'M') ? 'M' : str_take(at, 'J') ? 'J' : 'N';
    if (ret->kind == 'M')
        good = take_weekday(at, ret);
    else
        good = take_int(at, 365, &ret->day) && (ret->kind == 'N' || ret->day >= 1);
    return good && (!str_take(at, '/') || take_time(at, &ret->time));
}

static bool read_rule(const char *at, struct zone *zone)
{
    if (!take_zone_name(&at) || !take_time(&at, &zone->standard))
        return false;
    zone->standard = -zone->standard; /* POSIX counts westward */
    zone->goes_on = true;
    if (*at == '\0')
        return true;
    zone->has_daylight = true;
    zone->daylight = zone->standard + HOUR_S;
    if (!take_zone_name(&at))
        return false;
    if (*at != ',') {
        if (!take_time(&at, &zone->daylight))
            return false;
        zone->daylight = -zone->daylight;
    }
    return take_change(&at, &zone->start) && take_change(&at, &zone->end) && *at == '\0';
}

/* ---- the file ---- */

struct reader {
    const unsigned char *at, *end;
};

static int64_t read_big_endian(const unsigned char *bytes, int count)
{
    uint64_t value = (bytes[0] & 0x80) != 0 ? UINT64_MAX : 0;

    for (int i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

/* The counts of a header, in the order of the RFC. */
struct counts {
    int64_t isut, isstd, leap, time, type, chars;
};

static bool read_header(struct reader *r, struct counts *ret)
{
    int64_t *const into[] = {&ret->isut, &ret->isstd, &ret->leap,
                             &ret->time, &ret->type,  &ret->chars};

    if (r->end - r->at < HEADER_BYTES || memcmp(r->at, "TZif", 4) != 0)
        return false;
    for (int i = 0; i < 6; i++) {
        *into[i] = read_big_endian(r->at + 20 + (size_t)i * 4, 4);
        if (*into[i] < 0 || *into[i] > FILE_MAX)
            return false;
    }
    r->at += HEADER_BYTES;
    return true;
}

/* Bytes of the body after a header, if its times have `width` bytes. */
static int64_t body_bytes(const struct counts *n, int width)
{
    return n->time * (width + 1) + n->type * TYPE_BYTES + n->chars + n->leap * (width + 4) +
           n->isstd + n->isut;
}

/* The first type that is standard time, as libc chooses it. */
static int32_t first_offset(const unsigned char *types, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (types[i * TYPE_BYTES + 4] == 0)
            return (int32_t)read_big_endian(types + i * TYPE_BYTES, 4);
    }
    return (int32_t)read_big_endian(types, 4);
}

static int read_transitions(struct reader *r, const struct counts *n, struct zone *zone)
{
    const unsigned char *indices = r->at + n->time * 8, *types = indices + n->time;

    zone->count = (size_t)n->time;
    zone->at = calloc(zone->count + 1, sizeof(zone->at[0]));
    zone->offset = calloc(zone->count + 1, sizeof(zone->offset[0]));
    if (zone->at == NULL || zone->offset == NULL)
        return -E_NOMEM;
    zone->before = first_offset(types, n->type);
    for (size_t i = 0; i < zone->count; i++) {
        if (indices[i] >= n->type)
            return -E_INVALID;
        zone->at[i] = read_big_endian(r->at + i * 8, 8);
        zone->offset[i] = (int32_t)read_big_endian(types + (size_t)indices[i] * TYPE_BYTES, 4);
        if (i > 0 && zone->at[i] <= zone->at[i - 1])
            return -E_INVALID;
    }
    r->at += body_bytes(n, 8);
    return 0;
}

/* "
 * RULE
 * "; if it is empty, the last offset holds forever. */
static bool read_zone_rule(struct reader *r, struct zone *zone)
{
    char rule[128];
    size_t len = (size_t)(r->end - r->at);

    if (len < 2 || r->at[0] != '\n' || r->at[len - 1] != '\n' || len - 2 >= sizeof(rule))
        return false;
    memcpy(rule, r->at + 1, len - 2);
    rule[len - 2] = '\0';
    return *rule == '\0' || read_rule(rule, zone);
}

/* Version 2 or later: the first body, with times of 32 bits, is for old readers. */
static int read_zone(struct reader r, struct zone *zone)
{
    struct counts n;
    int rc;

    if (!read_header(&r, &n) || r.at[4 - HEADER_BYTES] < '2' || r.end - r.at < body_bytes(&n, 4))
        return -E_INVALID;
    r.at += body_bytes(&n, 4);
    if (!read_header(&r, &n) || n.leap != 0 || n.type < 1 || n.type > TYPES_MAX ||
        r.end - r.at < body_bytes(&n, 8))
        return -E_INVALID;
    rc = read_transitions(&r, &n, zone);
    if (rc == 0 && !read_zone_rule(&r, zone))
        rc = -E_INVALID;
    return rc;
}

static int read_zone_file(int fd, struct zone *zone)
{
    unsigned char *bytes = malloc(FILE_MAX);
    int rc = -E_INVALID;
    ssize_t len;

    if (bytes == NULL)
        return -E_NOMEM;
    len = file_read_all(fd, bytes, FILE_MAX, 0);
    if (len >= 0 && len < FILE_MAX)
        rc = read_zone((struct reader){bytes, bytes + len}, zone);
    free(bytes);
    return rc;
}

/* Words of letters, digits, _, + and -, separated by slashes: no path leads out of the folder. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_BYTES && *name != '/' && name[len - 1] != '/' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") ==
               len;
}

int zone_open(const char *name, struct zone **ret, struct err *err)
{
    char path[NAME_MAX_BYTES + 32];
    struct zone *zone = calloc(1, sizeof(*zone));
    struct stat st;
    int fd = -1, rc = -E_INVALID;

    if (zone == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", is_name(name) ? name : "");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        rc = read_zone_file(fd, zone);
    if (fd >= 0)
        close(fd);
    if (rc == 0) {
        *ret = zone;
        return 0;
    }
    zone_free(zone);
    return err_set(err, rc,
                   rc == -E_NOMEM ? "out of memory"
                                  : "'%.60s' is not a time zone of this machine's tz database (the "
                                    "package tzdata); write a name such as Australia/Sydney",
                   name);
}

void zone_free(struct zone *zone)
{
    if (zone == NULL)
        return;
    free(zone->at);
    free(zone->offset);
    free(zone);
}

int64_t zone_offset(const struct zone *zone, int64_t s)
{
    size_t low = 0, high;

    if (zone == NULL)
        return 0;
    high = zone->count;
    if (zone->goes_on && (high == 0 || s >= zone->at[high - 1]))
        return offset_by_rule(zone, s);
    while (low < high) { /* find the first change after `s` */
        size_t middle = low + (high - low) / 2;

        if (zone->at[middle] <= s)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? zone->offset[low - 1] : zone->before;
}

int zone_moments(const struct zone *zone, int64_t local, int64_t *ret)
{
    int64_t found[2];
    int count = 0;

    /* Try each offset that the zone has around that time. */
    for (int64_t s = local - AROUND_S; s <= local + AROUND_S && count < 2; s += AROUND_STEP_S) {
        int64_t moment = local - zone_offset(zone, s);

        if (moment + zone_offset(zone, moment) == local && !(count > 0 && found[0] == moment))
            found[count++] = moment;
    }
    if (count > 0)
        *ret = count == 2 && found[1] < found[0] ? found[1] : found[0];
    return count;
}
