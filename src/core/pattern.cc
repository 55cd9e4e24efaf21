/* src/core/pattern.cc -- what a text has to match: RE2 behind a header for C. */
#include <re2/re2.h>

#include <cctype>
#include <cstring>
#include <string>

extern "C" {
#include "core/pattern.h"
}

static RE2::Options options()
{
    RE2::Options options;

    options.set_max_mem(PATTERN_MEMORY);
    options.set_dot_nl(true); /* a line feed is a character as any other */
    options.set_never_capture(true);
    options.set_log_errors(false);
    return options;
}

struct pattern {
    pattern(const char *posix, const std::string &translated)
        : text(posix), re2(translated, options())
    {
    }

    std::string text;
    RE2 re2;
};

/* Letters are those of every script; by themselves RE2's are those of ASCII. */
static const struct {
    const char *posix, *re2;
} CLASSES[] = {
    {"[:alpha:]", "\\pL\\pM"},
    {"[:alnum:]", "\\pL\\pM\\pN"},
    {"[:lower:]", "\\p{Ll}"},
    {"[:upper:]", "\\p{Lu}"},
};

/* Append the class that begins at `at`; its length, or 0: it is none. */
static size_t add_class(std::string &out, const char *at)
{
    const char *end = at[1] == ':' ? strstr(at, ":]") : nullptr;

    if (end == nullptr)
        return 0;
    for (const auto &each : CLASSES) {
        if (strncmp(at, each.posix, strlen(each.posix)) == 0) {
            out += each.re2;
            return strlen(each.posix);
        }
    }
    out.append(at, end + 2);
    return end + 2 - at;
}

/* The length of {2}, {2,} or {2,5}; 0: it is none, and RE2 would take it for characters. */
static size_t count_length(const char *at)
{
    static const RE2 COUNT("\\{(0|[1-9][0-9]{0,3})(,(0|[1-9][0-9]{0,3})?)?\\}");
    re2::StringPiece rest(at);

    return RE2::Consume(&rest, COUNT) ? rest.data() - at : 0;
}

/* Append the bracket expression that begins at `at`; its length, or 0 with what is wrong. */
static size_t add_brackets(std::string &out, const char *at, const char **why)
{
    size_t first = at[1] == '^' ? 2 : 1, end = first, len;

    out.append(at, first);
    for (; at[end] != '\0' && (at[end] != ']' || end == first); end += len) {
        const char *item = at + end;

        len = 1;
        if (item[0] == '[' && item[1] != '\0' && strchr(".=:", item[1]) != nullptr) {
            len = add_class(out, item);
            *why = "in brackets [: begins a class such as [:alpha:]; [.x.] and [=x=] are not "
                   "supported";
        } else if (item[0] == '\\') {
            len = item[1] == '\\' ? 2 : 0;
            out.append(item, len);
            *why = "in brackets a backslash stands for itself; write it twice";
        } else {
            out += *item;
        }
        if (len == 0)
            return 0;
    }
    *why = "a [ has no ] behind it";
    out += ']';
    return at[end] == ']' ? end + 1 : 0;
}

/* Append a sign with its backslash, a repetition or any other character, as RE2 reads it in the
 * same sense: it knows more than POSIX. `repeatable`: a repetition may stand here. As
 * add_brackets(). */
static size_t add_token(std::string &out, const char *at, bool repeatable, const char **why)
{
    size_t len = *at == '{' ? count_length(at) : 1;

    *why = "a count is written {2}, {2,} or {2,5}; write \\{ for the character";
    if (*at == '\\') {
        len = ispunct((unsigned char)at[1]) ? 2 : 0;
        *why = "a backslash stands only before a sign such as . or *; there are no references such "
               "as \\1, and a digit is [0-9], a letter [[:alpha:]]";
    } else if (strchr("*+?{", *at) != nullptr && !repeatable) {
        len = 0;
        *why = "a repetition stands behind a character or a group; write \\* for the character *, "
               "and ( ) around what is repeated already";
    }
    out.append(at, len);
    return len;
}

/* nullptr, or what is wrong. */
static const char *translate(std::string &out, const char *at)
{
    const char *why = nullptr;
    bool repeatable = false;
    size_t len;

    for (; *at != '\0'; at += len) {
        len = *at == '[' ? add_brackets(out, at, &why) : add_token(out, at, repeatable, &why);
        if (len == 0)
            return why;
        repeatable = strchr("*+?{(|^$", *at) == nullptr;
    }
    return nullptr;
}

extern "C" int pattern_new(const char *text, struct pattern **ret, struct err *err)
try {
    std::string re2;
    const char *why = translate(re2, text);

    if (strlen(text) > PATTERN_BYTES_MAX)
        return err_set(err, -E_INVALID, "it has more than %d bytes", PATTERN_BYTES_MAX);
    if (why != nullptr)
        return err_set(err, -E_INVALID, "%s", why);
    auto *pattern = new struct pattern(text, re2);
    if (pattern->re2.ok()) {
        *ret = pattern;
        return 0;
    }
    err_set(err, -E_INVALID, "%s",
            pattern->re2.error_code() == RE2::ErrorPatternTooLarge
                ? "it is too large; lower its counts, first those of classes such as [[:alpha:]]"
                : pattern->re2.error().c_str());
    delete pattern;
    return -E_INVALID;
} catch (...) {
    return err_set(err, -E_NOMEM, "out of memory");
}

extern "C" void pattern_free(struct pattern *pattern)
{
    delete pattern;
}

extern "C" const char *pattern_text(const struct pattern *pattern)
{
    return pattern->text.c_str();
}

extern "C" bool pattern_matches(const struct pattern *pattern, const char *text)
try {
    return RE2::FullMatch(text, pattern->re2);
} catch (...) {
    return false;
}
