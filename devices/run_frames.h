/* Requests and answers of the runner, see run.c: read with distrust, written whole. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 26, PIECE = 1 << 20, MOST_FIELDS = 1 << 14, ENGINE = -1 };

struct slice { const uint8_t *data; size_t size; };
struct bytes { uint8_t *data; size_t size, room; };

static struct bytes request, answer;
static struct slice fields[MOST_FIELDS];
static size_t field_count;
static int out;

static void fatal(const char *words)
{
    fprintf(stderr, "edgewright-run: %s\n", words);
    exit(1);
}

static void reserve(struct bytes *bytes, size_t more)
{
    if (more > MOST_BYTES || bytes->size + more > MOST_BYTES)
        fatal("a message is too large");
    if (bytes->size + more <= bytes->room)
        return;
    bytes->room = 2 * (bytes->size + more);
    bytes->data = realloc(bytes->data, bytes->room);
    if (!bytes->data)
        fatal("no memory is left");
}

static void add(struct bytes *bytes, const void *data, size_t size)
{
    reserve(bytes, size);
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void add_number(struct bytes *bytes, uint64_t number, size_t width)
{
    uint8_t each[8];
    for (size_t i = 0; i < width; i++)
        each[i] = (uint8_t)(number >> (8 * i));
    add(bytes, each, width);
}

static void say(const void *data, size_t size)
{
    add_number(&answer, size, 4);
    add(&answer, data, size);
}

static void say_text(const char *text) { say(text ? text : "", text ? strlen(text) : 0); }

static void say_number(uint64_t number)
{
    add_number(&answer, 8, 4);
    add_number(&answer, number, 8);
}

static uint64_t number_of(const uint8_t *data, size_t width)
{
    uint64_t number = 0;
    for (size_t i = 0; i < width; i++)
        number |= (uint64_t)data[i] << (8 * i);
    return number;
}

static void write_all(int to, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t done = write(to, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            exit(1); /* nobody listens any more */
        data += done;
        size -= (size_t)done;
    }
}

/* Fill `size` bytes; false at the end of the input. */
static bool read_all(uint8_t *data, size_t size)
{
    while (size) {
        ssize_t done = read(0, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

static void begin(int status)
{
    answer.size = 0;
    add_number(&answer, (uint32_t)status, 4);
}

/* Begin an answer that is an error, in words. */
static int failed(const char *format, ...)
{
    char words[512];
    va_list given;
    va_start(given, format);
    vsnprintf(words, sizeof words, format, given);
    va_end(given);
    begin(ENGINE);
    say_text(words);
    return ENGINE;
}

static void send_answer(void)
{
    uint8_t head[4];
    for (size_t i = 0; i < 4; i++)
        head[i] = (uint8_t)(answer.size >> (8 * i));
    write_all(out, head, sizeof head);
    write_all(out, answer.data, answer.size);
}

/* Split the request into its fields. */
static bool split(void)
{
    size_t at = 1;
    field_count = 0;
    while (at < request.size) {
        if (request.size - at < 4 || field_count == MOST_FIELDS)
            return false;
        size_t size = (size_t)number_of(request.data + at, 4);
        at += 4;
        if (size > request.size - at)
            return false;
        fields[field_count++] = (struct slice){request.data + at, size};
        at += size;
    }
    return true;
}

static bool next_request(void)
{
    uint8_t head[4];
    if (!read_all(head, sizeof head))
        return false;
    size_t size = (size_t)number_of(head, 4);
    if (size < 1 || size > MOST_BYTES)
        fatal("a request has an impossible length");
    request.size = 0;
    reserve(&request, size);
    if (!read_all(request.data, size))
        fatal("a request is cut short");
    request.size = size;
    return true;
}

/* A field as text, in memory of its own; NULL where it holds a NUL or is not there. */
static char *text_of(size_t at)
{
    if (at >= field_count || memchr(fields[at].data, 0, fields[at].size))
        return NULL;
    char *text = malloc(fields[at].size + 1);
    if (!text)
        fatal("no memory is left");
    memcpy(text, fields[at].data, fields[at].size);
    text[fields[at].size] = 0;
    return text;
}

static bool number_at(size_t at, uint64_t *number)
{
    if (at >= field_count || fields[at].size != 8)
        return false;
    *number = number_of(fields[at].data, 8);
    return true;
}

/* Standard output is for answers alone: what a library prints there goes to standard error. */
static void hello(void)
{
    out = dup(1);
    if (out < 0 || dup2(2, 1) < 0)
        fatal("there is no standard output");
    const char *words = "\nedgewright-run 1\n";
    write_all(out, (const uint8_t *)words, strlen(words));
}
