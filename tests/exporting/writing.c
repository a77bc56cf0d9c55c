/* The parts of the C core that write, for tests/exporting; built of edgewright.c itself, so that parts can be asked alone.
 *
 *     writing write ASSETS ENGINE    requests: prompt, messages, settings, each a text, "\1" for none; pieces before the
 *                                    caller ends it (i32, -1 never, -2 closes the model at the first). Answers: code (i32),
 *                                    why (text), reason, prompt_tokens, reused (u32), ids, pieces (lists). A model that
 *                                    translates is asked the same way, the text being the prompt
 *     writing sample                 requests: settings (text), words, steps (u32), ids that stand before, then the logits
 *                                    of each step (f32). Answers: the token of each step (i32), which joins those before
 *     writing stream TOKENIZER.BIN   requests: stops (list of texts), ids of the prompt, ids. Answers: a piece a token, and
 *                                    the rest; `stopped` (u32)
 *     writing ids ASSETS ENGINE      requests: prompt, messages. Answers: code (i32), ids
 *
 * A text is its length (u32) and its bytes; a list how many (u32), then each. */
#include "edgewright.c"

static unsigned char *given;
static size_t bytes, at;

static void take_bytes(void *to, size_t n)
{
    if (n > bytes - at)
        exit(3);
    memcpy(to, given + at, n);
    at += n;
}

static uint32_t take_count(void)
{
    uint32_t n;
    take_bytes(&n, 4);
    return n;
}

static char *take_text(void)
{
    uint32_t n = take_count();
    char *text = malloc(n + 1);
    take_bytes(text, n);
    text[n] = 0;
    if (strcmp(text, "\1"))
        return text;
    free(text);
    return NULL;
}

static int32_t *take_ids(size_t *n)
{
    *n = take_count();
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    take_bytes(ids, *n * sizeof *ids);
    return ids;
}

static void put_count(size_t n) { fwrite(&(uint32_t){(uint32_t)n}, 4, 1, stdout); }

static void put_piece(const char *piece, size_t n)
{
    put_count(n);
    if (n)
        fwrite(piece, 1, n, stdout);
}

typedef struct {
    ew_model *model;
    words pieces;
    uint32_t count;
    int32_t until;
} caller;

static int translates(const ew_model *model) { return !strcmp(ew_task(model), "translation"); }

static int taken(void *user, const char *piece, size_t n)
{
    caller *c = user;
    uint32_t size = (uint32_t)n;
    if (piece[n])
        exit(4);
    put_bytes(&c->pieces, (const char *)&size, 4);
    put_bytes(&c->pieces, piece, n);
    if ((translates(c->model) ? ew_translate(c->model, "a", NULL, NULL, NULL, NULL) : ew_stream(c->model, "a", NULL, NULL, NULL, NULL, NULL)) != EW_BUSY)
        exit(5);
    if (c->until == -2)
        ew_close(c->model);
    return (int32_t)++c->count == c->until;
}

/* What has no model, or one of the other kind. */
static void ask_wrongly(ew_model *model)
{
    ew_stats stats;
    ew_answer answer = {0};
    if (ew_stream(NULL, "a", NULL, NULL, NULL, NULL, &stats) != EW_ARGUMENT || strcmp(stats.why, "there is no model"))
        exit(9);
    if (ew_stream(model, "a", "[]", NULL, NULL, NULL, &stats) != EW_ARGUMENT || ew_stream(model, NULL, NULL, NULL, NULL, NULL, NULL) != EW_ARGUMENT)
        exit(10);
    if (ew_run(model, &(ew_request){.text = "a"}, &answer) != EW_UNKNOWN_TASK || !strstr(answer.why, "ew_stream"))
        exit(11);
    if (ew_translate(model, "a", NULL, NULL, NULL, &stats) != EW_UNKNOWN_TASK || !strstr(stats.why, "does not translate"))
        exit(15);
    ew_answer_free(&answer);
}

static void ask_a_translator_wrongly(ew_model *model)
{
    ew_stats stats;
    ew_answer answer = {0};
    if (ew_translate(NULL, "a", NULL, NULL, NULL, &stats) != EW_ARGUMENT || ew_translate(model, NULL, NULL, NULL, NULL, NULL) != EW_ARGUMENT)
        exit(12);
    if (ew_stream(model, "a", NULL, NULL, NULL, NULL, &stats) != EW_UNKNOWN_TASK || !strstr(stats.why, "ew_translate") || ew_chats(model))
        exit(13);
    if (ew_run(model, &(ew_request){.text = "a"}, &answer) != EW_UNKNOWN_TASK || !strstr(answer.why, "ew_translate"))
        exit(14);
    ew_answer_free(&answer);
}

static void write_all(ew_model *model)
{
    if (translates(model))
        ask_a_translator_wrongly(model);
    else
        ask_wrongly(model);
    while (at < bytes) {
        char *prompt = take_text(), *messages = take_text(), *asked = take_text();
        caller c = {model, {0}, 0, (int32_t)take_count()};
        ew_stats stats;
        int32_t code = translates(model) ? ew_translate(model, prompt, asked, taken, &c, &stats) : ew_stream(model, prompt, messages, asked, taken, &c, &stats);
        fwrite(&code, 4, 1, stdout);
        put_piece(stats.why, strlen(stats.why));
        put_count(stats.reason), put_count(stats.prompt_tokens), put_count(stats.reused);
        put_count(stats.ids ? stats.tokens : 0);
        if (stats.ids)
            fwrite(stats.ids, 4, stats.tokens, stdout);
        put_count(c.count);
        if (c.count)
            fwrite(c.pieces.bytes, 1, c.pieces.n, stdout);
        free(prompt), free(messages), free(asked), free(c.pieces.bytes);
        if (c.until == -2)
            return;
    }
    ew_close(model);
}

static void ids_of_all(ew_model *model)
{
    char why[EW_WHY];
    while (at < bytes) {
        char *prompt = take_text(), *messages = take_text();
        tokens found = {NULL, 0, 0};
        int32_t code = ask(model, prompt, messages, &found, why);
        fwrite(&code, 4, 1, stdout);
        put_count(code ? 0 : found.n);
        if (!code && found.n)
            fwrite(found.ids, 4, found.n, stdout);
        free(prompt), free(messages), free(found.ids);
    }
    ew_close(model);
}

static void sample_all(void)
{
    while (at < bytes) {
        char *asked = take_text(), why[EW_WHY];
        uint32_t known = take_count(), steps = take_count();
        size_t n;
        int32_t *before = take_ids(&n);
        float *logits = malloc(known * sizeof *logits);
        settings s = {.how = {0, 1, 0, 1, 0, 0, 0, 0}};
        sampler chooses;
        if (read_settings(asked, &s, why) || sampler_begin(&chooses, &s.how, known))
            exit(6);
        before = realloc(before, (n + steps) * sizeof *before);
        for (uint32_t i = 0; i < steps; i++) {
            take_bytes(logits, known * sizeof *logits);
            before[n] = chosen(&chooses, logits, before, n);
            fwrite(&before[n], 4, 1, stdout);
            n++;
        }
        sampler_free(&chooses);
        free(asked), free(before), free(logits);
    }
}

static void stream_all(const ew_tokenizer *t)
{
    while (at < bytes) {
        words stops[MOST_STOPS] = {{0}};
        uint32_t count = take_count();
        for (uint32_t i = 0; i < count; i++) {
            stops[i].bytes = take_text();
            stops[i].n = strlen(stops[i].bytes);
        }
        size_t before, n, out;
        int32_t *after = take_ids(&before), *ids = take_ids(&n);
        stream s;
        if (stream_begin(&s, t, after, before, stops, count))
            exit(7);
        for (size_t i = 0; i <= n; i++) {
            out = 0;
            if (!s.stopped && (i < n ? stream_push(&s, ids[i], &out) : stream_finish(&s, &out)))
                exit(8);
            put_piece(s.held.bytes, out);
            stream_shown(&s, out);
        }
        put_count((size_t)s.stopped);
        stream_free(&s);
        for (uint32_t i = 0; i < count; i++)
            free(stops[i].bytes);
        free(after), free(ids);
    }
}

int main(int count, char **argv)
{
    size_t room = 1 << 16, got;
    char why[EW_WHY];
    ew_model *model = NULL;
    ew_tokenizer *t = NULL;
    const char *mode = count > 1 ? argv[1] : "";
    if (count > 3 && ew_open(&model, argv[2], &(ew_options){argv[3], 1, 0}, why))
        return fprintf(stderr, "%s\n", why), 1;
    if (count == 3 && ew_tokenizer_open(&t, argv[2]))
        return 2;
    given = malloc(room);
    while (given && (got = fread(given + bytes, 1, room - bytes, stdin)) > 0)
        if ((bytes += got) == room)
            given = realloc(given, room *= 2);
    if (!strcmp(mode, "write"))
        write_all(model);
    else if (!strcmp(mode, "ids"))
        ids_of_all(model);
    else if (!strcmp(mode, "stream"))
        stream_all(t);
    else
        sample_all();
    ew_tokenizer_close(t);
    free(given);
    return 0;
}
