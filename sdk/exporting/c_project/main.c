/* A program that asks the model:
 *
 *     sample assets "a charming and often affecting journey"
 *     sample assets QUESTION CONTEXT                 question-answering; a pair of texts to classify
 *     sample assets TEXT LABEL LABEL...              zero-shot-classification; QUERY TEXT TEXT... of text-ranking
 *     sample [--stats] [--settings JSON] assets TEXT...
 *                                                    a model that translates: each text, or lines of standard input
 *     sample [--stats] [--settings JSON] [--huge-pages] assets PROMPT...
 *                                                    a model that writes: each prompt is the next turn of a conversation,
 *                                                    lines of standard input where there is none
 *
 * EW_ENGINE names the library of ONNX Runtime, where the loader does not find one.
 */
#include "edgewright.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *messages, *answer_text; /* the conversation so far as JSON, without its end; the answer as it comes */

static void append(char **text, const char *more, size_t n)
{
    size_t had = *text ? strlen(*text) : 0;
    char *longer = realloc(*text, had + n + 1);
    if (!longer)
        exit(1);
    memcpy(longer + had, more, n);
    longer[had + n] = 0;
    *text = longer;
}

/* The next line of standard input, as long as it is, without its end; NULL where there is none. */
static char *next_line(void)
{
    char piece[1 << 12], *line = NULL;
    size_t n = 0;
    do {
        if (!fgets(piece, sizeof piece, stdin))
            break;
        append(&line, piece, n = strlen(piece));
    } while (n == sizeof piece - 1 && piece[n - 1] != '\n');
    if (!line)
        return NULL;
    n = strlen(line);
    n -= n && line[n - 1] == '\n';
    n -= n && line[n - 1] == '\r'; /* of a file from Windows */
    line[n] = 0;
    return line;
}

static void add_message(const char *role, const char *words)
{
    append(&messages, messages ? ",{\"role\":\"" : "[{\"role\":\"", 10);
    append(&messages, role, strlen(role));
    append(&messages, "\",\"content\":\"", 13);
    for (; *words; words++) {
        char escaped[8];
        if ((unsigned char)*words < 32 || *words == '"' || *words == '\\')
            append(&messages, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned char)*words));
        else
            append(&messages, words, 1);
    }
    append(&messages, "\"}", 2);
}

static int shown(void *chat, const char *piece, size_t bytes)
{
    fwrite(piece, 1, bytes, stdout);
    fflush(stdout);
    if (*(int *)chat)
        append(&answer_text, piece, bytes);
    return ferror(stdout); /* nobody reads any more: the answer ends */
}

static int turn(ew_model *model, const char *said, const char *settings, int with_stats)
{
    static const char *const reasons[] = {"nothing", "end", "stop", "length", "context", "cancelled"};
    int chat = ew_chats(model), code;
    ew_stats stats;
    if (chat) {
        add_message("user", said);
        char *whole = NULL;
        append(&whole, messages, strlen(messages));
        append(&whole, "]", 1);
        code = ew_stream(model, NULL, whole, settings, shown, &chat, &stats);
        free(whole);
        if (!code)
            add_message("assistant", answer_text ? answer_text : "");
        free(answer_text);
        answer_text = NULL;
    } else {
        code = ew_stream(model, said, NULL, settings, shown, &chat, &stats);
    }
    printf("\n");
    if (code)
        fprintf(stderr, "%s\n", stats.why);
    else if (with_stats)
        fprintf(stderr, "[%zu of %zu prompt tokens read in %.3f s, first after %.3f s; %zu tokens at %.1f/s; ended by: %s]\n",
                stats.prompt_tokens - stats.reused, stats.prompt_tokens, stats.prefill_s, stats.first_s, stats.tokens,
                stats.tokens > 1 && stats.decode_s > 0 ? (double)(stats.tokens - 1) / stats.decode_s : 0, reasons[stats.reason]);
    return code;
}

static int converse(ew_model *model, int count, char **words, const char *settings, int with_stats)
{
    int code = 0;
    for (int i = 0; i < count && !code; i++)
        code = turn(model, words[i], settings, with_stats);
    for (char *line; !count && !code && (line = next_line()); free(line))
        code = *line ? turn(model, line, settings, with_stats) : 0;
    free(messages);
    return code;
}

static int translation_of(ew_model *model, const char *text, const char *settings, int with_stats)
{
    int keeps = 0, code;
    ew_stats stats;
    code = ew_translate(model, text, settings, shown, &keeps, &stats);
    printf("\n");
    if (code)
        fprintf(stderr, "%s\n", stats.why);
    else if (with_stats)
        fprintf(stderr, "[%zu tokens read in %.3f s, %zu written in %.3f s]\n", stats.prompt_tokens, stats.prefill_s, stats.tokens, stats.decode_s);
    return code;
}

static int translate(ew_model *model, int count, char **words, const char *settings, int with_stats)
{
    int code = 0;
    for (int i = 0; i < count && !code; i++)
        code = translation_of(model, words[i], settings, with_stats);
    for (char *line; !count && !code && (line = next_line()); free(line))
        code = translation_of(model, line, settings, with_stats);
    return code;
}

static int ask(ew_model *model, int count, char **words)
{
    ew_answer answer = {0};
    ew_request request = {0};
    if (!count)
        return fprintf(stderr, "a text is missing\n"), 2;
    request.text = words[0];
    if (!strcmp(ew_task(model), "zero-shot-classification") || !strcmp(ew_task(model), "text-ranking")) {
        request.choices = (const char *const *)words + 1;
        request.choice_count = (size_t)count - 1;
    } else if (count > 1) {
        request.pair = words[1];
    }
    int code = ew_run(model, &request, &answer);
    if (code)
        fprintf(stderr, "%s\n", answer.why);
    for (size_t i = 0; i < answer.count; i++) {
        const ew_item *item = &answer.items[i];
        printf("%.6f\t%s\t%u\t%u\t%s\n", item->score, item->label, item->start, item->end, item->text);
    }
    for (size_t i = 0; i < answer.width; i++)
        printf("%.7g%c", (double)answer.vector[i], i + 1 < answer.width ? ' ' : '\n');
    ew_answer_free(&answer);
    return code;
}

int main(int count, char **words)
{
    ew_model *model;
    ew_options options = {getenv("EW_ENGINE"), 1, 0};
    const char *settings = NULL;
    char why[EW_WHY];
    int at = 1, with_stats = 0;
    for (; at < count && !strncmp(words[at], "--", 2); at++)
        if (!strcmp(words[at], "--stats"))
            with_stats = 1;
        else if (!strcmp(words[at], "--huge-pages"))
            options.huge_pages = 1;
        else if (!strcmp(words[at], "--settings") && at + 1 < count)
            settings = words[++at];
        else
            return fprintf(stderr, "%s is no option; there are --stats, --settings JSON and --huge-pages\n", words[at]), 2;
    if (at == count)
        return fprintf(stderr, "%s [--stats] [--settings JSON] [--huge-pages] ASSETS TEXT...\n", words[0]), 2;
    if (ew_open(&model, words[at], &options, why))
        return fprintf(stderr, "%s\n", why), 1;
    int rest = count - at - 1, code;
    if (!strcmp(ew_task(model), "text-generation"))
        code = converse(model, rest, words + at + 1, settings, with_stats);
    else if (!strcmp(ew_task(model), "translation"))
        code = translate(model, rest, words + at + 1, settings, with_stats);
    else
        code = ask(model, rest, words + at + 1);
    ew_close(model);
    if (fflush(stdout) || ferror(stdout))
        return fprintf(stderr, "the answer cannot be written\n"), 1;
    return code != EW_OK;
}
