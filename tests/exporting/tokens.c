/* Reads texts, each four bytes of length and so many bytes, and writes for each how many tokens it has, or minus a code,
 * then id, start and end of each. For tests/exporting and tools/tokens: `tokens FILE [REPEAT]`, the time goes to stderr. */
#define _POSIX_C_SOURCE 200809L
#include "ew_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int count, char **words)
{
    ew_tokenizer *t;
    ew_encoding e = {0};
    int code = count > 1 ? ew_tokenizer_open(&t, words[1]) : EW_ARGUMENT;
    if (code)
        return fprintf(stderr, "%s\n", ew_words(code)), 1;
    size_t room = 1 << 16, n = 0, got;
    char *all = malloc(room);
    while ((got = fread(all + n, 1, room - n, stdin)) > 0)
        if ((n += got) == room && !(all = realloc(all, room *= 2)))
            return 1;
    struct timespec a, b;
    long rounds = count > 2 ? atol(words[2]) : 1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (long round = 0; round < rounds; round++)
        for (size_t at = 0; at + 4 <= n;) {
            uint32_t bytes = *(unsigned char *)(all + at) | *(unsigned char *)(all + at + 1) << 8 | *(unsigned char *)(all + at + 2) << 16
                             | (uint32_t) * (unsigned char *)(all + at + 3) << 24;
            code = ew_encode(t, &e, all + at + 4, bytes, NULL, 0, NULL);
            at += 4 + bytes;
            int32_t said = code ? -code : (int32_t)e.count;
            if (round)
                continue;
            fwrite(&said, 4, 1, stdout);
            for (size_t i = 0; !code && i < e.count; i++) {
                uint32_t row[3] = {(uint32_t)e.tokens[i].id, e.tokens[i].start, e.tokens[i].end};
                fwrite(row, 12, 1, stdout);
            }
        }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    fprintf(stderr, "%.6f\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    ew_encoding_free(&e);
    ew_tokenizer_close(t);
    free(all);
    return 0;
}
