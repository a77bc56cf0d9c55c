/* Asks a model what comes on standard input, for tests/exporting: `answers ASSETS ENGINE [THREADS]`.
 *
 * A request is how many texts it has (u32), five numbers (i32: top_k, aggregation, multi_label, max_answer_len, no_answer),
 * then texts, each its length (u32), its bytes and a NUL: the text, the pair ("" for none), then the choices. An answer is
 * a code (i32), how many items (u32), each score (f64), id, index, start, end (u32), label, text; then the vector. */
#define _POSIX_C_SOURCE 200809L
#include "edgewright.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ew_model *model;
static char *input;
static size_t bytes;

static void put_text(FILE *out, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);
    fwrite(&n, 4, 1, out);
    fwrite(text, 1, n, out);
}

static void ask(const ew_request *request, ew_answer *answer, FILE *out)
{
    int32_t code = ew_run(model, request, answer);
    uint32_t count = (uint32_t)answer->count, width = (uint32_t)answer->width;
    fwrite(&code, 4, 1, out);
    if (code)
        put_text(out, answer->why);
    fwrite(&count, 4, 1, out);
    for (size_t i = 0; i < answer->count; i++) {
        const ew_item *item = &answer->items[i];
        uint32_t numbers[4] = {(uint32_t)item->id, item->index, item->start, item->end};
        fwrite(&item->score, 8, 1, out);
        fwrite(numbers, 4, 4, out);
        put_text(out, item->label);
        put_text(out, item->text);
    }
    fwrite(&width, 4, 1, out);
    if (width)
        fwrite(answer->vector, 4, width, out);
}

static void *all(void *out)
{
    ew_answer answer = {0};
    for (size_t at = 0; at + 24 <= bytes;) {
        uint32_t count;
        int32_t ways[5];
        const char *texts[64];
        memcpy(&count, input + at, 4);
        memcpy(ways, input + at + 4, 20);
        at += 24;
        for (uint32_t i = 0; i < count && i < 64; i++) {
            uint32_t n;
            memcpy(&n, input + at, 4);
            texts[i] = input + at + 4;
            at += 5 + n;
        }
        ew_request request = {0};
        request.text = texts[0];
        request.pair = *texts[1] ? texts[1] : NULL;
        request.choices = texts + 2;
        request.choice_count = count - 2;
        request.top_k = ways[0];
        request.aggregation = (ew_aggregation)ways[1];
        request.multi_label = ways[2];
        request.max_answer_len = ways[3];
        request.no_answer = ways[4];
        ask(&request, &answer, out);
    }
    ew_answer_free(&answer);
    return NULL;
}

int main(int count, char **words)
{
    char why[EW_WHY];
    ew_options options = {count > 2 ? words[2] : NULL, 1, 0};
    int threads = count > 3 ? atoi(words[3]) : 0;
    if (count < 2 || ew_open(&model, words[1], &options, why))
        return fprintf(stderr, "%s\n", count < 2 ? "answers ASSETS ENGINE" : why), 1;
    size_t room = 1 << 16, got;
    input = malloc(room);
    while (input && (got = fread(input + bytes, 1, room - bytes, stdin)) > 0)
        if ((bytes += got) == room)
            input = realloc(input, room *= 2);
    pthread_t others[8];
    FILE *nowhere = threads ? fopen("/dev/null", "wb") : NULL;
    for (int i = 0; i < threads && i < 8; i++)
        pthread_create(&others[i], NULL, all, nowhere);
    all(stdout);
    for (int i = 0; i < threads && i < 8; i++)
        pthread_join(others[i], NULL);
    if (nowhere)
        fclose(nowhere);
    ew_close(model);
    free(input);
    return 0;
}
