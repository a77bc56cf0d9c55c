/* A part of edgewright.c: a decoder that writes. Keys and values of a layer lie in one buffer that is input and output at
 * once, into which the engine writes in place; the buffers grow by doubling. The cache stays from one call to the next. LiteRT
 * has them itself, all of them from the beginning: to it there are no layers here. */
enum { FIRST_SLOTS = 256, CHUNK = 512, MOST_LAYERS = 2048, MOST_STOPS = 16, NEW_TOKENS = 256 };
/* FIRST_SLOTS: a short question and its answer. CHUNK: tokens of a prompt that are read at once; more take memory and save
 * no time. MOST_LAYERS: keys and values of a thousand. MOST_STOPS: four times what servers take. NEW_TOKENS: as in Python. */
enum { IDLE, WRITING, CLOSING };

typedef struct {
    char name[64], present[64];
    int type;
    int64_t heads, width;
    char *data;
    ort value;
} cache;

struct ew_writer {
    cache *layers;
    size_t layer_count, end_count;
    int32_t *ends, *tokens, *written; /* tokens: those whose keys and values are in the cache */
    size_t words, length, slots, written_room;
    int places, state;
    chat chat;
    const char *sampling; /* the model's own settings, as JSON */
    float *logits;
    int64_t *ids, *ones, *order;
    ort logits_value, one_value, kept_value;
    const char **names, **wanted;
    ort *given, *made;
    struct ew_translator *translator; /* of an encoder-decoder, see ew_translate.h */
};
typedef struct ew_writer writer;
static int translator_whole(const ew_model *);
static int translator_begin(ew_model *, char *why);
static void translator_free(ew_model *);

typedef struct {
    sampling how;
    size_t most;
    enum { STOP, SLIDE, REFUSE } when_full;
    int ignore_end;
    words stops[MOST_STOPS];
    size_t stop_count;
} settings;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int no_memory(char *why) { return say(why, EW_MEMORY, "%s", ew_words(EW_MEMORY)); }

/* What model.txt says of a decoder */

static int type_bytes(int type) { return type == ORT_FLOAT ? 4 : type == ORT_FLOAT16 ? 2 : 1; }

static int cache_takes(writer *w, const char *value)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"float32 ", ORT_FLOAT}, {"float16 ", ORT_FLOAT16}, {"int8 ", ORT_INT8}};
    int kind = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types && !kind; i++)
        if (!strncmp(value, types[i].name, strlen(types[i].name)))
            kind = types[i].type, value += strlen(types[i].name);
    char *end, *name;
    long heads = strtol(value, &end, 10), width = strtol(end, &name, 10);
    if (!kind || *name++ != ' ' || heads < 1 || width < 1 || heads > 1 << 16 || width > 1 << 16 || w->layer_count == MOST_LAYERS)
        return 0;
    cache *more = realloc(w->layers, (w->layer_count + 1) * sizeof *more);
    if (!more)
        return 0;
    w->layers = more;
    cache *one = &more[w->layer_count++];
    *one = (cache){"", "", kind, heads, width, NULL, NULL};
    const char *rest = strchr(name, '.');
    return rest && snprintf(one->name, sizeof one->name, "%s", name) < (int)sizeof one->name
        && snprintf(one->present, sizeof one->present, "present%s", rest) < (int)sizeof one->present;
}

static int writer_takes(ew_model *m, const char *key, char *value)
{
    int is_cache = !strcmp(key, "cache"), is_sampling = !strcmp(key, "sampling"), is_end = !strcmp(key, "end");
    int is_words = !strcmp(key, "vocabulary"), is_places = !strcmp(key, "places");
    if (!is_cache && !is_sampling && !is_end && !is_words && !is_places && strncmp(key, "chat_", 5))
        return 0;
    writer *w = m->writer = m->writer ? m->writer : calloc(1, sizeof *w);
    char *last;
    long number = strtol(value, &last, 10);
    int whole = !*last && last != value && number >= 0 && number < 1 << 24;
    if (!w)
        return 0;
    if (is_cache)
        return cache_takes(w, value);
    if (is_sampling)
        return w->sampling = plain(value), 1;
    if (is_end) {
        int32_t *more = realloc(w->ends, (w->end_count + 1) * sizeof *more);
        if (more)
            w->ends = more, more[w->end_count++] = (int32_t)number;
        return more && whole;
    }
    if (is_words)
        return w->words = (size_t)number, whole && number > 0;
    if (is_places)
        return w->places = number != 0, whole;
    return chat_takes(&w->chat, key, value);
}

static int writer_whole(const ew_model *m)
{
    const writer *w = m->writer;
    const chat *c = &w->chat;
    if (w->translator)
        return translator_whole(m);
    int said = c->refused || (c->begin && c->unsaid && c->answer && c->before[1] && c->after[1] && c->before[2] && c->after[2]);
    for (int i = 0; i < ROLES; i++)
        said &= !c->before[i] == !c->after[i];
    return w->words && w->sampling && said;
}

/* The engine */

#ifndef EW_ENGINE_MEMORY /* an engine with memory of its own, as in a page, has the cache there: see tools/web_core/core.c */
static void *cache_new(size_t bytes) { return calloc(bytes, 1); }
static void cache_copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
static void cache_free(void *data) { free(data); }
#endif

static void let_value_go(ew_model *m, ort *value)
{
    if (*value)
        ORT(m, ORT_RELEASE_VALUE, void, ort)(*value);
    *value = NULL;
}

/* Bytes of ours as the engine's value, not a copy of them. */
static int own(ew_model *m, void *data, int64_t bytes, const int64_t *shape, size_t rank, int type, ort *out, char *why)
{
    let_value_go(m, out);
    return engine_failed(m, ORT(m, ORT_CREATE_TENSOR, ort, ort, void *, size_t, const int64_t *, size_t, int, ort *)(
        m->memory, data, (size_t)bytes, shape, rank, type, out), why);
}

static void writer_free(ew_model *m)
{
    writer *w = m->writer;
    if (!w)
        return;
    translator_free(m);
    for (size_t i = 0; i < w->layer_count; i++) {
        let_value_go(m, &w->layers[i].value);
        cache_free(w->layers[i].data);
    }
    let_value_go(m, &w->logits_value), let_value_go(m, &w->one_value), let_value_go(m, &w->kept_value);
    void *all[] = {w->layers, w->ends, w->tokens, w->written, w->logits, w->ids, w->ones, w->order, w->names, w->wanted, w->given, w->made};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(w);
    m->writer = NULL;
}

/* What every run is given, made once: four inputs and the keys and values, the logits and those again. */
static int writer_begin(ew_model *m, char *why)
{
    static int64_t kept = 1;
    writer *w = m->writer;
    if (w->translator)
        return translator_begin(m, why);
    size_t most = m->max_length < CHUNK ? m->max_length : CHUNK;
    const int64_t one[2] = {1, 1}, shape[3] = {1, 1, (int64_t)w->words};
    w->logits = malloc(w->words * sizeof *w->logits);
    w->ids = malloc(most * sizeof *w->ids);
    w->names = calloc(w->layer_count + 4, sizeof *w->names), w->given = calloc(w->layer_count + 4, sizeof *w->given);
    w->wanted = calloc(w->layer_count + 1, sizeof *w->wanted), w->made = calloc(w->layer_count + 1, sizeof *w->made);
    if (!w->logits || !w->ids || !w->names || !w->given || !w->wanted || !w->made)
        return no_memory(why);
    int code = own(m, w->logits, (int64_t)(w->words * sizeof *w->logits), shape, 3, ORT_FLOAT, &w->logits_value, why);
    if (!code)
        code = own(m, w->ids, sizeof *w->ids, one, 2, ORT_INT64, &w->one_value, why);
    return code ? code : own(m, &kept, sizeof kept, one, 1, ORT_INT64, &w->kept_value, why);
}

/* Room for so many tokens, what is there kept. */
static int reserve(ew_model *m, size_t tokens, char *why)
{
    writer *w = m->writer;
    size_t slots = w->slots ? w->slots : FIRST_SLOTS;
    if (w->slots && tokens <= w->slots)
        return EW_OK;
    while (slots < tokens)
        slots *= 2;
    slots = slots < m->max_length ? slots : m->max_length;
    int32_t *seen = realloc(w->tokens, slots * sizeof *seen);
    int64_t *ones = seen ? realloc(w->ones, slots * sizeof *ones) : NULL, *order = ones ? realloc(w->order, slots * sizeof *order) : NULL;
    w->tokens = seen ? seen : w->tokens, w->ones = ones ? ones : w->ones, w->order = order ? order : w->order;
    if (!order)
        return no_memory(why);
    for (size_t i = 0; i < slots; i++)
        ones[i] = 1, order[i] = (int64_t)i;
    for (size_t i = 0; i < w->layer_count; i++) { /* one after another, so that no two copies of all are in memory */
        cache *c = &w->layers[i];
        size_t row = (size_t)(c->width * type_bytes(c->type)), size = (size_t)c->heads * slots * row;
        if (size / row / slots != (size_t)c->heads) /* more than an address has */
            return w->length = w->slots = 0, no_memory(why);
        const int64_t shape[4] = {1, c->heads, (int64_t)slots, c->width};
        char *data = cache_new(size);
        if (!data)
            return w->length = w->slots = 0, no_memory(why);
        for (size_t head = 0; c->data && w->slots && head < (size_t)c->heads; head++)
            cache_copy(data + head * slots * row, c->data + head * w->slots * row, w->length * row);
        let_value_go(m, &c->value);
        cache_free(c->data);
        c->data = data;
        int code = own(m, data, (int64_t)size, shape, 4, c->type, &c->value, why);
        if (code)
            return w->length = w->slots = 0, code;
    }
    w->slots = slots;
    return EW_OK;
}

/* Read tokens, at most CHUNK of them, after those that are in the cache: the logits of what follows the last one. */
static int read_chunk(ew_model *m, const int32_t *ids, size_t n, char *why)
{
    writer *w = m->writer;
    size_t total = w->length + n, k = 0;
    const int64_t row[2] = {1, (int64_t)n}, all[2] = {1, (int64_t)total};
    ort several = NULL, mask = NULL, places = NULL;
    int code = reserve(m, total, why);
    for (size_t i = 0; i < n; i++)
        w->ids[i] = ids[i];
    if (!code && n > 1)
        code = own(m, w->ids, row[1] * 8, row, 2, ORT_INT64, &several, why);
    if (!code)
        code = own(m, w->ones, all[1] * 8, all, 2, ORT_INT64, &mask, why);
    if (!code && w->places)
        code = own(m, w->order + w->length, row[1] * 8, row, 2, ORT_INT64, &places, why);
    if (!code) {
        w->names[k] = "input_ids", w->given[k++] = n > 1 ? several : w->one_value;
        w->names[k] = "attention_mask", w->given[k++] = mask;
        w->names[k] = "num_logits_to_keep", w->given[k++] = w->kept_value;
        if (w->places)
            w->names[k] = "position_ids", w->given[k++] = places;
        w->wanted[0] = "logits", w->made[0] = w->logits_value;
        for (size_t i = 0; i < w->layer_count; i++) {
            w->names[k + i] = w->layers[i].name, w->wanted[1 + i] = w->layers[i].present;
            w->given[k + i] = w->made[1 + i] = w->layers[i].value;
        }
        code = engine_failed(m, ORT(m, ORT_RUN, ort, ort, ort, const char *const *, const ort *, size_t, const char *const *, size_t, ort *)(
            m->session, NULL, w->names, w->given, k + w->layer_count, w->wanted, 1 + w->layer_count, w->made), why);
    }
    let_value_go(m, &several), let_value_go(m, &mask), let_value_go(m, &places);
    if (!code) {
        memcpy(w->tokens + w->length, ids, n * sizeof *ids);
        w->length = total;
    }
    return code;
}

static int closing(const writer *w) { return __atomic_load_n(&w->state, __ATOMIC_ACQUIRE) == CLOSING; }

/* What is asked */

static void read_stops(json *j, settings *s)
{
    int list = json_is(j, '[');
    for (size_t i = 0; i < s->stop_count; i++)
        free(s->stops[i].bytes);
    memset(s->stops, 0, sizeof s->stops);
    s->stop_count = 0;
    for (int more = !list || !json_is(j, ']'); more && !j->code; more = list && json_is(j, ',')) {
        if (s->stop_count == MOST_STOPS) {
            json_fail(j, EW_ARGUMENT);
            break;
        }
        json_text(j, &s->stops[s->stop_count++]);
        if (list && json_look(j) != ',') {
            json_want(j, ']');
            break;
        }
    }
}

/* A number that is whole, as far as 64 bits go. */
static uint64_t json_whole(json *j)
{
    json_look(j);
    uint64_t value = 0;
    const char *from = j->at;
    for (; *j->at >= '0' && *j->at <= '9'; j->at++) {
        unsigned digit = (unsigned)(*j->at - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            json_fail(j, EW_ARGUMENT);
            break;
        }
        value = 10 * value + digit;
    }
    if (j->at == from || *j->at == '.' || *j->at == 'e' || *j->at == 'E')
        json_fail(j, EW_ARGUMENT);
    return value;
}

static int truth(json *j)
{
    int yes = json_word(j, "true");
    if (!yes && !json_word(j, "false"))
        json_fail(j, EW_ARGUMENT);
    return yes;
}

/* A setting's value; what it must be, NULL where the setting is none. */
static const char *read_setting(json *j, const char *key, void *to, words *scratch)
{
    settings *s = to;
    sampling *how = &s->how;
    struct {
        const char *key;
        double *to, least, most;
        int open;
        const char *wanted;
    } numbers[] = {{"temperature", &how->temperature, 0, INFINITY, 0, "a number from 0"}, {"top_p", &how->top_p, 0, 1, 1, "above 0 and at most 1"},
                   {"min_p", &how->min_p, 0, 1, 0, "from 0 to 1"}, {"repetition_penalty", &how->penalty, COLDEST, MOST_PENALTY, 0, "from 1e-30 to 1e+30"}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) {
            double value = *numbers[i].to = json_number(j);
            if (!isfinite(value) || value < numbers[i].least || value > numbers[i].most || (numbers[i].open && value == numbers[i].least))
                json_fail(j, EW_ARGUMENT);
            return numbers[i].wanted;
        }
    if (!strcmp(key, "top_k"))
        return how->top_k = (size_t)json_whole(j), "a whole number from 0";
    if (!strcmp(key, "no_repeat_ngram_size"))
        return how->ngram = (size_t)json_whole(j), "a whole number from 0";
    if (!strcmp(key, "max_new_tokens")) {
        if (!(s->most = (size_t)json_whole(j)))
            json_fail(j, EW_ARGUMENT);
        return "a whole number from 1";
    }
    if (!strcmp(key, "seed")) {
        how->seeded = !json_word(j, "null");
        how->seed = how->seeded ? json_whole(j) : 0;
        return "a whole number from 0 to 18446744073709551615, or null";
    }
    if (!strcmp(key, "ignore_end"))
        return s->ignore_end = truth(j), "true or false";
    if (!strcmp(key, "stop"))
        return read_stops(j, s), "a text, or at most 16 of them";
    if (!strcmp(key, "when_full")) {
        json_text(j, scratch);
        int which = j->code ? -1 : !strcmp(scratch->bytes, "stop") ? STOP : !strcmp(scratch->bytes, "slide") ? SLIDE : !strcmp(scratch->bytes, "refuse") ? REFUSE : -1;
        if (which < 0)
            json_fail(j, EW_ARGUMENT);
        else
            s->when_full = which;
        return "stop, slide or refuse";
    }
    return NULL;
}

/* A JSON object, each value of which `read` takes into `to`; it gives what the value must be, NULL where it has no such key. */
static int read_object(const char *text, const char *(*read)(json *, const char *key, void *to, words *scratch), void *to, char *why)
{
    words key = {0}, scratch = {0};
    json j = {text, text, EW_OK};
    int code = EW_OK;
    json_want(&j, '{');
    for (int more = !json_is(&j, '}'); more && !j.code && !code; more = json_is(&j, ',')) {
        json_text(&j, &key);
        json_want(&j, ':');
        if (j.code)
            break;
        json_look(&j);
        const char *value = j.at, *wanted = read(&j, key.bytes, to, &scratch);
        if (!wanted)
            code = say(why, EW_ARGUMENT, "no setting is called %.60s", key.bytes);
        else if (j.code == EW_ARGUMENT)
            code = say(why, EW_ARGUMENT, "%s is %.*s, it must be %s", key.bytes, (int)(strcspn(value, ",}") < 40 ? strcspn(value, ",}") : 40), value, wanted);
        else if (json_look(&j) != ',') {
            json_want(&j, '}');
            break;
        }
    }
    if (!code && (j.code || json_look(&j)))
        code = say(why, j.code == EW_MEMORY ? EW_MEMORY : EW_ARGUMENT, "the settings are no JSON object at byte %zu", (size_t)(j.at - text));
    free(key.bytes);
    free(scratch.bytes);
    return code;
}

static int read_settings(const char *text, settings *s, char *why) { return read_object(text, read_setting, s, why); }

typedef struct {
    int32_t *ids;
    size_t n, room;
} tokens;

static int room_for_tokens(tokens *out, size_t n)
{
    if (out->n + n <= out->room)
        return EW_OK;
    size_t room = 2 * (out->n + n) + 64;
    int32_t *more = realloc(out->ids, room * sizeof *more);
    if (more)
        out->ids = more, out->room = room;
    return more ? EW_OK : EW_MEMORY;
}

static int add_tokens(const ew_tokenizer *t, ew_encoding *e, tokens *out, const char *text, size_t n, int bare, int literal)
{
    int code = n || !bare ? ew_encode(t, e, text, n, NULL, 0, &(ew_ways){0, 0, 0, (uint8_t)bare, (uint8_t)literal}) : EW_OK;
    if (code || (bare && !n))
        return code;
    if ((code = room_for_tokens(out, e->count)))
        return code;
    for (size_t i = 0; i < e->count; i++)
        out->ids[out->n++] = e->tokens[i].id;
    return EW_OK;
}

/* The ids of a prompt, or of a conversation. */
static int ask(ew_model *m, const char *prompt, const char *messages, tokens *out, char *why)
{
    ew_encoding e = {0};
    rendered r = {{0}, NULL, 0, 0};
    size_t at = 0;
    int code = EW_OK, told = 0;
    if (!prompt == !messages)
        return say(why, EW_ARGUMENT, "a prompt or messages are wanted, one of the two");
    if (strlen(prompt ? prompt : messages) > MOST_JSON_BYTES)
        return say(why, EW_TOO_LONG, "%s", ew_words(EW_TOO_LONG));
    if (prompt)
        code = add_tokens(m->tokenizer, &e, out, prompt, strlen(prompt), 0, 0);
    else
        told = code = render(m->tokenizer, &m->writer->chat, messages, &r, why);
    for (size_t i = 0; messages && !code && i <= r.count; i += 2) {
        size_t end = i < r.count ? r.literal[i] : r.text.n;
        code = add_tokens(m->tokenizer, &e, out, r.text.bytes + at, end - at, 1, 0);
        if (!code && i < r.count)
            code = add_tokens(m->tokenizer, &e, out, r.text.bytes + end, r.literal[i + 1] - end, 1, 1);
        at = i < r.count ? r.literal[i + 1] : end;
    }
    ew_encoding_free(&e);
    free(r.text.bytes);
    free(r.literal);
    if (code && !told)
        say(why, code, "%s", ew_words(code));
    return code;
}

/* Writing */

typedef struct {
    ew_model *m;
    settings s;
    tokens prompt;
    const int32_t *unread; /* what is to be read before a token is chosen, then `token`, if it waits */
    size_t unread_count;
    int32_t token, *slid;
    int token_waits;
    sampler chooses;
    stream text;
    ew_piece *told;
    void *user;
    ew_stats *stats;
    double began, first;
} writing;

/* Have exactly these tokens in the cache: those that are there already are not read again, but for the last. */
static void read_next(writing *a, const int32_t *ids, size_t n)
{
    writer *w = a->m->writer;
    size_t shared = 0;
    while (shared < w->length && shared < n - 1 && w->tokens[shared] == ids[shared])
        shared++;
    w->length = shared;
    a->unread = ids + shared, a->unread_count = n - shared;
}

/* The full context without the older half of what is not the prompt. */
static int slide(writing *a)
{
    writer *w = a->m->writer;
    size_t n = w->length, prompt = a->prompt.n, kept = prompt < n / 2 ? prompt : n / 2, gone = (n - kept + 1) / 2;
    if (gone == n)
        return say(a->stats->why, EW_NO_ROOM, "a context of %zu cannot slide", n);
    int32_t *left = realloc(a->slid, n * sizeof *left);
    if (!left)
        return no_memory(a->stats->why);
    memcpy(left, w->tokens, kept * sizeof *left);
    memcpy(left + kept, w->tokens + kept + gone, (n - kept - gone) * sizeof *left);
    a->slid = left;
    read_next(a, left, n - gone);
    return EW_OK;
}

/* Bytes of text to the caller, who may end the answer. */
static int tell(writing *a, size_t bytes)
{
    char *held = a->text.held.bytes, after = held ? held[bytes] : 0;
    int cancelled = 0;
    if (bytes && a->told) {
        held[bytes] = 0;
        cancelled = a->told(a->user, held, bytes) != 0;
        held[bytes] = after;
    }
    stream_shown(&a->text, bytes);
    return cancelled;
}

static int one_token(writing *a, int32_t token, int *over)
{
    writer *w = a->m->writer;
    ew_stats *stats = a->stats;
    size_t bytes;
    if (stats->tokens == w->written_room) {
        size_t room = 2 * w->written_room + 64;
        int32_t *more = realloc(w->written, room * sizeof *more);
        if (!more)
            return no_memory(stats->why);
        w->written = more, w->written_room = room;
    }
    w->written[stats->tokens++] = token;
    stats->ids = w->written;
    int code = stream_push(&a->text, token, &bytes);
    if (code)
        return say(stats->why, code, "%s", ew_words(code));
    int cancelled = tell(a, bytes);
    *over = 1;
    if (a->text.stopped)
        stats->reason = EW_STOP;
    else if (cancelled || closing(w))
        stats->reason = EW_CANCELLED;
    else if (stats->tokens >= a->s.most)
        stats->reason = EW_LENGTH;
    else if (w->length == a->m->max_length && a->s.when_full != SLIDE)
        stats->reason = EW_CONTEXT;
    else
        *over = 0;
    return EW_OK;
}

static int is_end(const writer *w, int32_t token)
{
    for (size_t i = 0; i < w->end_count; i++)
        if (w->ends[i] == token)
            return 1;
    return 0;
}

static int read_some(writing *a)
{
    size_t n = a->unread_count < CHUNK ? a->unread_count : CHUNK;
    int code = read_chunk(a->m, a->unread, n, a->stats->why);
    a->unread += n, a->unread_count -= n;
    if (!a->stats->tokens)
        a->stats->prefill_s = seconds() - a->began;
    if (!a->unread_count && a->token_waits)
        a->unread = &a->token, a->unread_count = 1, a->token_waits = 0;
    return code;
}

/* A run of the engine, or a token chosen from what came of it. Whoever has other things to do does them between two. */
static int step(writing *a, int *over)
{
    ew_model *m = a->m;
    writer *w = m->writer;
    ew_stats *stats = a->stats;
    if ((*over = closing(w)))
        return stats->reason = EW_CANCELLED, EW_OK;
    if (a->unread_count)
        return read_some(a);
    a->token = chosen(&a->chooses, w->logits, w->tokens, w->length);
    if (a->token < 0)
        return say(stats->why, EW_ENGINE, "the logits after %zu tokens, %zu of them written, are not finite", w->length, stats->tokens);
    a->first = a->first != 0 ? a->first : seconds();
    stats->first_s = a->first - a->began, stats->decode_s = seconds() - a->first;
    if (is_end(w, a->token) && !a->s.ignore_end)
        return stats->reason = EW_END, *over = 1, EW_OK;
    int code = one_token(a, a->token, over);
    if (code || *over)
        return code;
    a->unread = &a->token, a->unread_count = 1;
    if (w->length < m->max_length)
        return EW_OK;
    a->token_waits = 1;
    return slide(a);
}

static int fits(writing *a)
{
    size_t context = a->m->max_length, n = a->prompt.n;
    if (!n || n > context)
        return say(a->stats->why, n ? EW_NO_ROOM : EW_ARGUMENT, "the prompt has %zu tokens, the context is %zu", n, context);
    if (a->s.when_full == REFUSE && n + a->s.most > context)
        return say(a->stats->why, EW_NO_ROOM, "%zu tokens of the prompt and %zu new ones are more than the context of %zu", n, a->s.most, context);
    for (size_t i = 0; i < n; i++)
        if (a->prompt.ids[i] < 0 || (size_t)a->prompt.ids[i] >= a->m->writer->words)
            return say(a->stats->why, EW_ALTERED, "the tokenizer gives the token %ld, the model has %zu", (long)a->prompt.ids[i], a->m->writer->words);
    return EW_OK;
}

/* An answer's beginning: what is asked is read, the engine not yet run. */
static int writing_begin(writing *a, const char *prompt, const char *messages, const char *asked)
{
    writer *w = a->m->writer;
    char *why = a->stats->why;
    a->s = (settings){.how = {0, 1, 0, 1, 0, 0, 0, 0}, .most = NEW_TOKENS};
    a->began = seconds();
    int code = read_settings(w->sampling, &a->s, why);
    if (!code && asked)
        code = read_settings(asked, &a->s, why);
    if (!code)
        code = ask(a->m, prompt, messages, &a->prompt, why);
    a->stats->prompt_tokens = a->prompt.n;
    if (code || (code = fits(a)))
        return code;
    code = sampler_begin(&a->chooses, &a->s.how, w->words);
    if (!code)
        code = stream_begin(&a->text, a->m->tokenizer, a->prompt.ids, a->prompt.n, a->s.stops, a->s.stop_count);
    if (code)
        return say(why, code, "%s", ew_words(code));
    read_next(a, a->prompt.ids, a->prompt.n);
    a->stats->reused = w->length;
    return EW_OK;
}

/* Its end: the text that was held back, where nobody cancelled or something failed. */
static int writing_end(writing *a, int code)
{
    size_t bytes = 0;
    if (!code && a->stats->reason != EW_CANCELLED && !(code = stream_finish(&a->text, &bytes)))
        tell(a, bytes);
    for (size_t i = 0; i < MOST_STOPS; i++)
        free(a->s.stops[i].bytes);
    free(a->prompt.ids);
    free(a->slid);
    sampler_free(&a->chooses);
    stream_free(&a->text);
    return code;
}

/* Whether nobody writes with it, and the caller now does. */
static int begins_writing(writer *w)
{
    int idle = IDLE;
    return __atomic_compare_exchange_n(&w->state, &idle, WRITING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void ends_writing(ew_model *m, ew_stats *stats)
{
    int writes = WRITING;
    if (!__atomic_compare_exchange_n(&m->writer->state, &writes, IDLE, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        stats->ids = NULL;
        model_free(m); /* somebody closed it meanwhile */
    }
}

int ew_stream(ew_model *m, const char *prompt, const char *messages, const char *asked, ew_piece *told, void *user, ew_stats *given)
{
    ew_stats unread, *stats = given ? given : &unread;
    memset(stats, 0, sizeof *stats);
    if (!m || !m->writer)
        return say(stats->why, m ? EW_UNKNOWN_TASK : EW_ARGUMENT, "%s", m ? "the model does not write: ask it with ew_run" : "there is no model");
    if (m->writer->translator)
        return say(stats->why, EW_UNKNOWN_TASK, "the model translates: ask it with ew_translate");
    int over = 0;
    if (!begins_writing(m->writer))
        return say(stats->why, EW_BUSY, "%s", ew_words(EW_BUSY));
    writing a = {.m = m, .told = told, .user = user, .stats = stats};
    int code = writing_begin(&a, prompt, messages, asked);
    while (!code && !over)
        code = step(&a, &over);
    code = writing_end(&a, code);
    ends_writing(m, stats);
    return code;
}

/* Whether an answer is being written, which then ends and closes the model behind it. */
static int writer_closes(ew_model *m)
{
    return m->writer && __atomic_exchange_n(&m->writer->state, CLOSING, __ATOMIC_ACQ_REL) != IDLE;
}

int ew_chats(const ew_model *m) { return m->writer && !m->writer->translator && !m->writer->chat.refused; }
