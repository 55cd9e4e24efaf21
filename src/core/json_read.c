/* src/core/json_read.c -- jansson's allocations, and whether one of them failed. */
#include "core/json_read.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static json_malloc_t allocate;
static _Thread_local bool starved;

static void *noting_malloc(size_t size)
{
    void *memory = allocate(size);

    starved = starved || memory == NULL;
    return memory;
}

static void take_notes(void)
{
    json_free_t release;

    json_get_alloc_funcs(&allocate, &release);
    json_set_alloc_funcs(noting_malloc, release);
}

json_t *json_read(const char *text, size_t len, json_error_t *where, bool *ret_starved)
{
    static const char mark[] = {'\xef', '\xbb', '\xbf'};
    json_t *root;

    if (len >= sizeof(mark) && memcmp(text, mark, sizeof(mark)) == 0) {
        text += sizeof(mark);
        len -= sizeof(mark);
    }
    pthread_once(&once, take_notes);
    starved = false;
    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, where);
    *ret_starved = starved;
    if (root == NULL && where != NULL && json_error_code(where) == json_error_null_character)
        snprintf(where->text, sizeof(where->text), "the character U+0000 is not allowed in a text");
    if (!starved)
        return root;
    json_decref(root); /* jansson's lexer drops characters for which it gets no memory */
    return NULL;
}
