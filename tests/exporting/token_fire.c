/* Made-up bytes through a tokenizer for some seconds: `token_fire FILE SECONDS SEED`, built with sanitizers. What it holds:
 * offsets lie in the text and in order, no limit is exceeded, and the way back writes no further than it was allowed to. */
#define _POSIX_C_SOURCE 200809L
#include "ew_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t state;

static uint32_t any(uint32_t below)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

/* Some bytes: text, marks, single bytes of characters, a token of the vocabulary. */
static size_t piece(const ew_tokenizer *t, char *out)
{
    static const char *const marks[] = {"\xCC\x81", "\xE2\x80\x8D", "\xEF\xB8\x8F", "\xE1\x84\x80", "\xE1\x85\xA1", "\xE2\x96\x81", " ", "\n", "  ", "a", "'s"};
    size_t n = 0;
    const char *token;
    switch (any(5)) {
    case 0:
        token = ew_token_text(t, (int32_t)any((uint32_t)ew_vocabulary(t)), &n);
        n = n < 60 ? n : 60;
        memcpy(out, token, n);
        return n;
    case 1:
        out[0] = (char)any(256);
        return 1;
    case 2:
        token = marks[any(sizeof marks / sizeof *marks)];
        memcpy(out, token, strlen(token));
        return strlen(token);
    case 3: { /* a character of three bytes, or a surrogate, which is none */
        uint32_t c = 0x800 + any(0xF800);
        out[0] = (char)(0xE0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    default:
        out[0] = (char)(32 + any(95));
        return 1;
    }
}

static size_t text(const ew_tokenizer *t, char *out, size_t room)
{
    size_t n = 0, most = any(100) ? any(200) : any((uint32_t)room - 64);
    if (any(20) == 0) { /* one piece over and over */
        size_t one = piece(t, out);
        for (n = one; one && n + one < most; n += one)
            memcpy(out + n, out, one);
        return n;
    }
    while (n < most && n + 64 < room)
        n += piece(t, out + n);
    return n;
}

static uint32_t characters(const char *bytes, size_t n)
{
    uint32_t count = 0;
    for (size_t at = 0; at < n; count++)
        ew_next_char(bytes, n, &at);
    return count;
}

static void wrong(const char *what, const char *bytes, size_t n)
{
    fprintf(stderr, "%s:", what);
    for (size_t i = 0; i < n && i < 400; i++)
        fprintf(stderr, " %02x", (unsigned char)bytes[i]);
    abort();
}

int main(int count, char **words)
{
    enum { ROOM = 30000 };
    ew_tokenizer *t;
    ew_encoding e = {0};
    if (count < 4 || ew_tokenizer_open(&t, words[1]))
        return 2;
    state = strtoull(words[3], NULL, 10) * 0x9E3779B97F4A7C15u + 1;
    time_t end = time(NULL) + atol(words[2]);
    unsigned long done = 0;
    for (; time(NULL) < end; done++) {
        char *first = malloc(ROOM), *second = malloc(ROOM); /* of their own each time, so that a byte too far is seen */
        size_t a = text(t, first, ROOM), b = text(t, second, ROOM);
        first = realloc(first, a ? a : 1), second = realloc(second, b ? b : 1);
        ew_ways ways = {any(3) ? 0 : 4 + any(60), (uint8_t)any(2), (uint8_t)any(2), (uint8_t)any(2), (uint8_t)any(2)};
        int pair = any(2) == 0, code = ew_encode(t, &e, first, a, pair ? second : NULL, pair ? b : 0, &ways);
        uint32_t most[2] = {characters(first, a), characters(second, b)};
        if (code && code != EW_NO_ROOM)
            wrong(ew_words(code), first, a);
        if (!code && ways.limit && e.count > ways.limit)
            wrong("too many tokens", first, a);
        for (size_t i = 0; !code && i < e.count; i++) {
            const ew_token *one = &e.tokens[i];
            if (one->start > one->end || (one->side >= 0 && one->end > most[one->side]) || one->id < 0 || (size_t)one->id >= ew_vocabulary(t))
                wrong("a token that cannot be", first, a);
        }
        int32_t *ids = malloc((e.count + 1) * sizeof *ids);
        for (size_t i = 0; i < e.count; i++)
            ids[i] = e.tokens[i].id;
        size_t n = code ? 0 : ew_decode(t, ids, e.count, (int)any(2), NULL, 0);
        char *out = malloc(n + 1);
        if (!code && n && ew_decode(t, ids, e.count, 1, out, n / 2) > 8 * (n + 1))
            wrong("a way back that grows", first, a);
        uint32_t stride;
        if (!ew_windows_begin(t, &e, first, a, second, b, 16 + any(100)))
            for (size_t i = 0, all = ew_windows_count(t, &e, 200, &stride); i < all; i++)
                if (ew_window(t, &e, i, 200, stride))
                    wrong("a window that is none", first, a);
        free(out), free(ids), free(first), free(second);
    }
    printf("%lu\n", done);
    ew_encoding_free(&e);
    ew_tokenizer_close(t);
    return 0;
}
