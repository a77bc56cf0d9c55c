/* A part of edgewright.c: a model that translates, by an encoder and a decoder: two graphs of one file of weights. The keys and
 * values of a text that is read are given to each step as they came from the encoder; those of what is written lie in buffers
 * that are input and output at once, a row for each beam, and grow by doubling. LiteRT has them itself: to it there are no layers
 * here. */
enum { FIRST_STEPS = 32, GIVEN = 5, MOST_LANGUAGE = 20 };
/* FIRST_STEPS: tokens that the first buffers hold, most sentences. GIVEN: what a step is given beside keys and values.
 * MOST_LANGUAGE: characters of a language's name, as in Python. */

/* How an engine reads a text and writes after it. */
typedef struct {
    int (*read)(ew_model *, const int32_t *ids, size_t n, size_t rows, char *why); /* a text, after which so many beams are written */
    int (*step)(ew_model *, const int32_t *ids, char *why); /* a token more for each of them: what follows goes to `logits` */
    int (*reorder)(ew_model *, const size_t *parents, char *why); /* each beam goes on from what beam `parents[beam]` has written */
} translates_by;

struct ew_translator {
    const translates_by *engine; /* ONNX Runtime's, where nobody says another */
    rules by;
    alphabet letters;
    unsigned said; /* which of the keys */
    const char *search; /* the model's own, as JSON */
    char (*cross)[64];  /* the decoder's names of what comes from the encoder, in that order */
    size_t cross_count, rows, moved_room;
    int64_t *source, *tokens, position;
    int32_t *lengths, total;
    float *logits;
    char *moved; /* rows of a layer on their way to other beams */
    ort source_value, mask_value, crossed, *cross_values;
    ort tokens_value, lengths_value, logits_value, position_value, total_value;
};
typedef struct ew_translator translator;

/* What model.txt says of a translator */

static int translator_takes(ew_model *m, const char *key, char *value)
{
    static const char *const keys[] = {"search", "start", "forced", "renormalize", "cross", "letter", "lower", "banned"};
    enum { SEARCH, START, FORCED, RENORMALIZE, CROSS, LETTER, LOWER, BANNED, KEYS } which = SEARCH;
    while (which < KEYS && strcmp(key, keys[which]))
        which++;
    if (which == KEYS || strcmp(m->task, "translation"))
        return 0;
    writer *w = m->writer = m->writer ? m->writer : calloc(1, sizeof *w);
    translator *t = w ? w->translator = w->translator ? w->translator : calloc(1, sizeof *t) : NULL;
    if (!t)
        return 0;
    t->said |= 1u << which;
    if (which == SEARCH)
        return t->search = plain(value), 1;
    if (which == CROSS) {
        char(*more)[64] = t->cross_count < MOST_LAYERS ? realloc(t->cross, (t->cross_count + 1) * sizeof *more) : NULL;
        t->cross = more ? more : t->cross;
        return more && snprintf(more[t->cross_count++], sizeof *more, "%s", value) < (int)sizeof *more;
    }
    if (which == LETTER || which == LOWER)
        return ranges_read(which == LETTER ? &t->letters.letter : &t->letters.lower, value);
    char *last;
    long number = strtol(value, &last, 10);
    if (*last || last == value || number < (which == FORCED ? -1 : 0) || number >= 1 << 24)
        return 0;
    if (which == BANNED) {
        int32_t *more = realloc(t->by.banned, (t->by.banned_count + 1) * sizeof *more);
        if (more)
            t->by.banned = more, more[t->by.banned_count++] = (int32_t)number;
        return more != NULL;
    }
    return *(which == START ? &t->by.start : which == FORCED ? &t->by.forced : &t->by.renormalize) = (int32_t)number, 1;
}

/* Whether all of it is said, and every token is one. Of a second graph and layers all is said, or nothing where there is one file. */
static int translator_whole(const ew_model *m)
{
    const writer *w = m->writer;
    const translator *t = w->translator;
    int said = (t->said & 111) == 111 && w->end_count; /* none is banned by some */
    said &= w->layer_count == t->cross_count && !*m->encoder == !w->layer_count;
    said &= w->words > 1 && (size_t)t->by.start < w->words && (t->by.forced < 0 || (size_t)t->by.forced < w->words);
    for (size_t i = 0; i < t->by.banned_count; i++)
        said &= (size_t)t->by.banned[i] < w->words;
    for (size_t i = 0; i < w->layer_count; i++)
        said &= w->layers[i].type == ORT_FLOAT;
    return said;
}

/* The engine */

static void translator_free(ew_model *m)
{
    translator *t = m->writer->translator;
    if (!t)
        return;
    ort *values[] = {&t->source_value, &t->mask_value, &t->tokens_value, &t->lengths_value, &t->logits_value, &t->position_value, &t->total_value};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        let_value_go(m, values[i]);
    for (size_t i = 0; t->cross_values && i < t->cross_count; i++)
        let_value_go(m, &t->cross_values[i]);
    let_value_go(m, &t->crossed);
    cache_free(t->moved);
    void *all[] = {t->by.banned, t->letters.letter.ends, t->letters.lower.ends, t->cross, t->source, t->tokens, t->lengths, t->logits, t->cross_values};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(t);
    m->writer->translator = NULL;
}

static const translates_by translates_by_onnx;

static int translator_begin(ew_model *m, char *why)
{
    static const int64_t one[1] = {1};
    writer *w = m->writer;
    translator *t = w->translator;
    size_t given = GIVEN + w->layer_count + t->cross_count;
    t->by.ends = w->ends, t->by.end_count = w->end_count;
    if (t->engine)
        return EW_OK;
    t->engine = &translates_by_onnx;
    if (!m->encoder_session)
        return say(why, EW_ALTERED, "model.txt: it does not say all that is needed");
    t->cross_values = calloc(t->cross_count, sizeof *t->cross_values);
    w->names = calloc(given, sizeof *w->names), w->given = calloc(given, sizeof *w->given);
    w->wanted = calloc(w->layer_count + 1, sizeof *w->wanted), w->made = calloc(w->layer_count + 1, sizeof *w->made);
    if (!t->cross_values || !w->names || !w->given || !w->wanted || !w->made)
        return no_memory(why);
    int code = own(m, &t->position, sizeof t->position, one, 1, ORT_INT64, &t->position_value, why);
    return code ? code : own(m, &t->total, sizeof t->total, one, 0, ORT_INT32, &t->total_value, why);
}

static void forget_cache(ew_model *m)
{
    writer *w = m->writer;
    for (size_t i = 0; i < w->layer_count; i++) {
        let_value_go(m, &w->layers[i].value);
        cache_free(w->layers[i].data);
        w->layers[i].data = NULL;
    }
    w->slots = 0;
}

/* Buffers for so many beams: those of the last text where they fit. */
static int rows_for(ew_model *m, size_t rows, char *why)
{
    writer *w = m->writer;
    translator *t = w->translator;
    const int64_t shape[3] = {(int64_t)rows, 1, (int64_t)w->words};
    if (rows == t->rows)
        return EW_OK;
    forget_cache(m);
    t->rows = 0;
    let_value_go(m, &t->tokens_value), let_value_go(m, &t->lengths_value), let_value_go(m, &t->logits_value);
    free(t->tokens), free(t->lengths), free(t->logits);
    t->tokens = malloc(rows * sizeof *t->tokens), t->lengths = malloc(rows * sizeof *t->lengths);
    t->logits = malloc(rows * w->words * sizeof *t->logits);
    if (!t->tokens || !t->lengths || !t->logits)
        return no_memory(why);
    int code = own(m, t->tokens, (int64_t)(rows * sizeof *t->tokens), shape, 2, ORT_INT64, &t->tokens_value, why);
    if (!code)
        code = own(m, t->lengths, (int64_t)(rows * sizeof *t->lengths), shape, 1, ORT_INT32, &t->lengths_value, why);
    if (!code)
        code = own(m, t->logits, (int64_t)(rows * w->words * sizeof *t->logits), shape, 3, ORT_FLOAT, &t->logits_value, why);
    t->rows = code ? 0 : rows;
    return code;
}

/* Room for so many steps, what is there kept. */
static int steps_for(ew_model *m, size_t steps, char *why)
{
    writer *w = m->writer;
    translator *t = w->translator;
    size_t slots = w->slots ? w->slots : FIRST_STEPS;
    if (w->slots && steps <= w->slots)
        return EW_OK;
    while (slots < steps)
        slots *= 2;
    slots = slots < m->max_length ? slots : m->max_length;
    for (size_t i = 0; i < w->layer_count; i++) {
        cache *c = &w->layers[i];
        size_t row = (size_t)c->width * sizeof(float), strips = t->rows * (size_t)c->heads, size = strips * slots * row;
        const int64_t shape[4] = {(int64_t)t->rows, c->heads, (int64_t)slots, c->width};
        char *data = size / row / slots == strips ? cache_new(size) : NULL;
        if (!data)
            return forget_cache(m), no_memory(why);
        for (size_t k = 0; c->data && k < strips; k++)
            cache_copy(data + k * slots * row, c->data + k * w->slots * row, w->length * row);
        let_value_go(m, &c->value);
        cache_free(c->data);
        c->data = data;
        if (size > t->moved_room) {
            cache_free(t->moved);
            if (!(t->moved = cache_new(size)))
                return t->moved_room = 0, forget_cache(m), no_memory(why);
            t->moved_room = size;
        }
        int code = own(m, data, (int64_t)size, shape, 4, ORT_FLOAT, &c->value, why);
        if (code)
            return forget_cache(m), code;
    }
    w->slots = slots;
    return EW_OK;
}

/* What the encoder gave, float32 (keys and values of all layers, 1, heads, tokens, width), as what the decoder is given. */
static int crossed(ew_model *m, size_t n, char *why)
{
    translator *t = m->writer->translator;
    int64_t shape[5] = {0};
    size_t rank = 0;
    int type = 0;
    float *data = NULL;
    ort about = NULL;
    int code = engine_failed(m, ORT(m, ORT_GET_TYPE_AND_SHAPE, ort, ort, ort *)(t->crossed, &about), why);
    if (code)
        return code;
    code = engine_failed(m, ORT(m, ORT_GET_TYPE, ort, ort, int *)(about, &type), why);
    if (!code)
        code = engine_failed(m, ORT(m, ORT_GET_DIMENSIONS_COUNT, ort, ort, size_t *)(about, &rank), why);
    if (!code && rank == 5)
        code = engine_failed(m, ORT(m, ORT_GET_DIMENSIONS, ort, ort, int64_t *, size_t)(about, shape, rank), why);
    ORT(m, ORT_RELEASE_TYPE_AND_SHAPE, void, ort)(about);
    if (!code && (type != ORT_FLOAT || shape[0] != (int64_t)t->cross_count || shape[1] != 1 || shape[2] < 1 || shape[3] != (int64_t)n || shape[4] < 1))
        code = say(why, EW_ENGINE, "%s gives no keys and values of %zu tokens for %zu inputs of the decoder", m->encoder, n, t->cross_count);
    if (!code)
        code = engine_failed(m, ORT(m, ORT_TENSOR_DATA, ort, ort, void **)(t->crossed, (void **)&data), why);
    size_t each = (size_t)(shape[2] * shape[3] * shape[4]);
    for (size_t i = 0; !code && i < t->cross_count; i++)
        code = own(m, data + i * each, (int64_t)(each * sizeof *data), shape + 1, 4, ORT_FLOAT, &t->cross_values[i], why);
    return code;
}

/* A text through the encoder. */
static int read_source(ew_model *m, const int32_t *ids, size_t n, size_t rows, char *why)
{
    static const char *const names[] = {"input_ids", "attention_mask"}, *const wanted[] = {"cross"};
    translator *t = m->writer->translator;
    const int64_t shape[2] = {1, (int64_t)n};
    int64_t *both = realloc(t->source, 2 * n * sizeof *both);
    if (!both)
        return no_memory(why);
    t->source = both;
    for (size_t i = 0; i < n; i++)
        both[i] = ids[i], both[n + i] = 1;
    let_value_go(m, &t->crossed);
    int code = own(m, both, (int64_t)(n * sizeof *both), shape, 2, ORT_INT64, &t->source_value, why);
    if (!code)
        code = own(m, both + n, (int64_t)(n * sizeof *both), shape, 2, ORT_INT64, &t->mask_value, why);
    const ort given[] = {t->source_value, t->mask_value};
    if (!code)
        code = engine_failed(m, ORT(m, ORT_RUN, ort, ort, ort, const char *const *, const ort *, size_t, const char *const *, size_t, ort *)(
            m->encoder_session, NULL, names, given, 2, wanted, 1, &t->crossed), why);
    if (!code)
        code = crossed(m, n, why);
    return code ? code : rows_for(m, rows, why);
}

static int step_rows(ew_model *m, const int32_t *ids, char *why)
{
    writer *w = m->writer;
    translator *t = w->translator;
    size_t k = 0;
    int code = steps_for(m, w->length + 1, why);
    if (code)
        return code;
    for (size_t i = 0; i < t->rows; i++)
        t->tokens[i] = ids[i], t->lengths[i] = (int32_t)w->length;
    t->position = (int64_t)w->length, t->total = (int32_t)w->length + 1;
    w->names[k] = "input_ids", w->given[k++] = t->tokens_value;
    w->names[k] = "ends", w->given[k++] = t->lengths_value;
    w->names[k] = "total", w->given[k++] = t->total_value;
    w->names[k] = "attention_mask", w->given[k++] = t->mask_value;
    if (w->places)
        w->names[k] = "position", w->given[k++] = t->position_value;
    w->wanted[0] = "logits", w->made[0] = t->logits_value;
    for (size_t i = 0; i < w->layer_count; i++) {
        w->names[k] = w->layers[i].name, w->wanted[1 + i] = w->layers[i].present;
        w->given[k++] = w->made[1 + i] = w->layers[i].value;
    }
    for (size_t i = 0; i < t->cross_count; i++)
        w->names[k] = t->cross[i], w->given[k++] = t->cross_values[i];
    return engine_failed(m, ORT(m, ORT_RUN, ort, ort, ort, const char *const *, const ort *, size_t, const char *const *, size_t, ort *)(
        m->session, NULL, w->names, w->given, k, w->wanted, 1 + w->layer_count, w->made), why);
}

static int reorder_rows(ew_model *m, const size_t *parents, char *why)
{
    const writer *w = m->writer;
    translator *t = w->translator;
    (void)why;
    for (size_t i = 0; i < w->layer_count; i++) {
        const cache *c = &w->layers[i];
        size_t heads = (size_t)c->heads, strip = w->slots * (size_t)c->width * sizeof(float), used = w->length * (size_t)c->width * sizeof(float);
        for (int back = 0; back < 2; back++)
            for (size_t k = 0; k < t->rows * heads; k++) {
                char *kept = t->moved + k * strip;
                size_t from = parents[k / heads] * heads + k % heads;
                if (from != k)
                    cache_copy(back ? c->data + k * strip : kept, back ? kept : c->data + from * strip, used);
            }
    }
    return EW_OK;
}

static const translates_by translates_by_onnx = {read_source, step_rows, reorder_rows};

/* What is asked */

typedef struct {
    search search;
    int split; /* lines into sentences */
} ways_to_translate;

static const char *read_search_value(json *j, const char *key, void *to, words *scratch)
{
    ways_to_translate *ways = to;
    search *how = &ways->search;
    if (!strcmp(key, "split"))
        return ways->split = truth(j), "true or false";
    if (!strcmp(key, "num_beams")) {
        how->beams = (size_t)json_whole(j);
        if (how->beams < 1 || how->beams > MOST_BEAMS)
            json_fail(j, EW_ARGUMENT);
        return "a whole number from 1 to 64";
    }
    if (!strcmp(key, "length_penalty")) {
        how->penalty = json_number(j);
        if (!(fabs(how->penalty) <= MOST_LENGTH_PENALTY))
            json_fail(j, EW_ARGUMENT);
        return "a number from -10 to 10";
    }
    if (!strcmp(key, "max_new_tokens")) {
        if (!(how->most = (size_t)json_whole(j)))
            json_fail(j, EW_ARGUMENT);
        return "a whole number from 1";
    }
    if (strcmp(key, "early_stopping"))
        return NULL;
    if (json_look(j) != '"')
        how->early = truth(j) ? WHEN_FULL : WHEN_HOPELESS;
    else if (json_text(j, scratch), how->early = NEVER, !j->code && strcmp(scratch->bytes, "never"))
        json_fail(j, EW_ARGUMENT);
    return "true, false or \"never\"";
}

static int read_search(const char *text, ways_to_translate *how, char *why) { return read_object(text, read_search_value, how, why); }

/* The language that a text begins with */

/* `>>es<<` at a text's beginning: where it begins and ends, and the text behind it; nothing where there is none. */
static int has_language(const char *text, size_t n, size_t *from, size_t *to, size_t *behind)
{
    size_t at = *from = space_behind(text, n, 0), letters = 0;
    if (n - at < 5 || text[at] != '>' || text[at + 1] != '>')
        return 0;
    for (at += 2; at < n; letters++) {
        size_t next = at;
        uint32_t c = ew_next_char(text, n, &next);
        if (c == '<' || c == '>' || is_space(c))
            break;
        at = next;
    }
    if (letters < 1 || letters > MOST_LANGUAGE || n - at < 2 || text[at] != '<' || text[at + 1] != '<')
        return 0;
    *to = at + 2, *behind = space_behind(text, n, at + 2);
    return 1;
}

/* Translating */

typedef struct {
    ew_model *m;
    beams b;
    ew_encoding e;
    tokens source;
    int32_t language; /* the token that every sentence begins with, -1 for none */
    int split;
    words line, said;
    const char *text, *part; /* part: what is left of a sentence, cut into pieces of `fits` characters */
    size_t n, at, line_end, part_bytes, fits, after_bytes; /* after_bytes: of white space behind the sentence */
    size_t length; /* of the translation with its next token, 0 between two */
    ew_piece *told;
    void *user;
    ew_stats *stats;
    double began;
    int cancelled;
} translating;

static void tell_said(translating *a)
{
    if (a->said.n && a->told)
        a->cancelled = a->told(a->user, a->said.bytes, a->said.n) != 0 || closing(a->m->writer);
    a->said.n = 0;
}

/* The token ids of a piece without white space around it, however many. */
static int source_of(translating *a, const char *line, size_t n)
{
    ew_model *m = a->m;
    char *why = a->stats->why;
    a->line.n = a->source.n = 0;
    int code = put_bytes(&a->line, m->prompt, strlen(m->prompt));
    if (!code)
        code = put_bytes(&a->line, line, n);
    if (!code && a->language >= 0 && !(code = room_for_tokens(&a->source, 1)))
        a->source.ids[a->source.n++] = a->language;
    if (!code)
        code = add_tokens(m->tokenizer, &a->e, &a->source, a->line.bytes, a->line.n, 0, 0);
    if (code)
        return say(why, code, "%s", ew_words(code));
    if (!a->source.n)
        return say(why, EW_ARGUMENT, "a text has no tokens");
    for (size_t i = 0; i < a->source.n; i++)
        if (a->source.ids[i] < 0 || (size_t)a->source.ids[i] >= m->writer->words)
            return say(why, EW_ALTERED, "the tokenizer gives the token %ld, the model has %zu", (long)a->source.ids[i], m->writer->words);
    return EW_OK;
}

static int keep_ids(translating *a)
{
    writer *w = a->m->writer;
    ew_stats *stats = a->stats;
    size_t n = a->b.found_length[0];
    if (stats->tokens + n > w->written_room) {
        size_t room = 2 * (stats->tokens + n) + 64;
        int32_t *more = realloc(w->written, room * sizeof *more);
        if (!more)
            return EW_MEMORY;
        w->written = more, w->written_room = room;
    }
    if (n)
        memcpy(w->written + stats->tokens, a->b.found, n * sizeof *w->written);
    stats->tokens += n, stats->ids = w->written;
    if (n == a->b.how.most)
        stats->reason = EW_LENGTH;
    return EW_OK;
}

/* A piece of the sentence that is left, without white space around it; how many bytes of the sentence it takes. */
static size_t next_piece(const translating *a, const char *part, size_t bytes, const char **piece, size_t *n)
{
    size_t taken = piece_behind(part, bytes, 0, a->fits);
    *piece = part, *n = taken;
    stripped(piece, n);
    return taken;
}

/* The most tokens of a piece. */
static int most_tokens(translating *a, size_t *most)
{
    int code = EW_OK;
    *most = 0;
    for (size_t at = 0; !code && at < a->part_bytes;) {
        const char *piece;
        size_t n;
        at += next_piece(a, a->part + at, a->part_bytes - at, &piece, &n);
        if (n && !(code = source_of(a, piece, n)))
            *most = a->source.n > *most ? a->source.n : *most;
    }
    return code;
}

/* How a sentence is cut: not at all, or into halves of halves where the model reads no more at once. */
static int fit_sentence(translating *a)
{
    size_t most, length = 0;
    for (size_t at = 0; at < a->part_bytes; length++)
        ew_next_char(a->part, a->part_bytes, &at);
    a->fits = length;
    int code = most_tokens(a, &most);
    while (!code && most > a->m->max_length && a->fits > 1) {
        a->fits /= 2;
        code = most_tokens(a, &most);
    }
    if (!code && most > a->m->max_length)
        code = say(a->stats->why, EW_NO_ROOM, "a text has no part of at most %u tokens, and the model reads no more", a->m->max_length);
    return code;
}

/* The next sentence, or the line where none are told apart: the white space before it is told. */
static int begin_sentence(translating *a)
{
    const char *whole = a->text + a->at, *inner = whole;
    if (a->at >= a->line_end)
        a->line_end = line_behind(a->text, a->n, a->at);
    size_t behind = a->split ? sentence_behind(&a->m->writer->translator->letters, a->text, a->line_end, a->at) : a->line_end;
    size_t n = behind - a->at, bytes = n;
    a->at = behind;
    stripped(&inner, &bytes);
    size_t before = bytes ? (size_t)(inner - whole) : n;
    int code = put_bytes(&a->said, whole, before);
    tell_said(a);
    if (code)
        return say(a->stats->why, code, "%s", ew_words(code));
    a->part = inner, a->part_bytes = bytes, a->after_bytes = n - before - bytes;
    return bytes && !a->cancelled ? fit_sentence(a) : EW_OK;
}

/* A piece of the sentence through the encoder. */
static int begin_piece(translating *a)
{
    ew_model *m = a->m;
    const char *piece;
    size_t n, taken;
    do { /* one of white space alone is left out */
        taken = next_piece(a, a->part, a->part_bytes, &piece, &n);
        a->part += taken, a->part_bytes -= taken;
    } while (!n);
    int code = source_of(a, piece, n);
    double from = seconds();
    m->writer->length = 0;
    if (!code)
        code = m->writer->translator->engine->read(m, a->source.ids, a->source.n, a->b.how.beams, a->stats->why);
    a->stats->prompt_tokens += a->source.n, a->stats->prefill_s += seconds() - from;
    a->length = 1;
    beams_again(&a->b);
    return code;
}

/* A piece's translation, that of `b.found`, and a space, or behind the last one what stands behind the sentence. */
static int end_piece(translating *a)
{
    int code = keep_ids(a);
    a->length = 0;
    if (!code)
        code = decode_ids(a->m->tokenizer, a->b.found, a->b.found_length[0], &a->line);
    const char *found = a->line.bytes;
    size_t bytes = code ? 0 : a->line.n;
    if (!code) {
        stripped(&found, &bytes);
        code = put_bytes(&a->said, found, bytes);
    }
    if (!code)
        code = a->part_bytes ? put_bytes(&a->said, " ", 1) : put_bytes(&a->said, a->part, a->after_bytes);
    if (code)
        return say(a->stats->why, code, "%s", ew_words(code));
    a->stats->first_s = a->stats->first_s > 0 ? a->stats->first_s : seconds() - a->began;
    tell_said(a);
    return EW_OK;
}

/* A token more of each beam, and where that ends the piece its translation. */
static int go_on_piece(translating *a)
{
    ew_model *m = a->m;
    writer *w = m->writer;
    translator *t = w->translator;
    beams *b = &a->b;
    double from = seconds();
    int code = t->engine->step(m, b->tokens, a->stats->why);
    if (!code && !all_finite(t->logits, b->how.beams * w->words))
        code = say(a->stats->why, EW_ENGINE, "the logits of step %zu are not finite", w->length);
    if (!code) {
        w->length++;
        beams_take(b, t->logits, a->length++);
        if (!b->done && b->how.beams > 1)
            code = t->engine->reorder(m, b->parents, a->stats->why);
    }
    a->stats->decode_s += seconds() - from;
    return code || !b->done ? code : end_piece(a);
}

/* A run of the engine, or a sentence that is found. Whoever has other things to do does them between two. */
static int translating_step(translating *a, int *over)
{
    int code = EW_OK;
    a->cancelled = a->cancelled || closing(a->m->writer);
    if (!a->cancelled && a->length)
        code = go_on_piece(a);
    else if (!a->cancelled && a->part_bytes)
        code = begin_piece(a);
    else if (!a->cancelled && a->at < a->n)
        code = begin_sentence(a);
    *over = a->cancelled || (!a->length && !a->part_bytes && a->at == a->n);
    return code;
}

/* The language that a text asks for; the text behind it is what is translated. */
static int language_of(translating *a)
{
    size_t from, to, behind;
    a->language = -1;
    if (!has_language(a->text, a->n, &from, &to, &behind))
        return EW_OK;
    a->at = behind;
    a->language = ew_token_id(a->m->tokenizer, a->text + from, to - from);
    return a->language >= 0 ? EW_OK : say(a->stats->why, EW_ARGUMENT, "the model has no language %.*s", (int)(to - from), a->text + from);
}

/* A translation's beginning: what is asked is read, the engine not yet run. */
static int translating_begin(translating *a, const char *text, const char *asked)
{
    ew_model *m = a->m;
    translator *t = m->writer->translator;
    ways_to_translate ways = {{1, m->max_length, 1, WHEN_HOPELESS}, 1};
    search *how = &ways.search;
    a->began = seconds(), a->text = text, a->n = strlen(text);
    int code = read_search(t->search, &ways, a->stats->why);
    if (!code && asked)
        code = read_search(asked, &ways, a->stats->why);
    if (!code)
        code = language_of(a);
    a->split = ways.split, how->most = how->most < m->max_length ? how->most : m->max_length;
    if (!code && (code = beams_begin(&a->b, how, &t->by, m->writer->words)))
        return say(a->stats->why, code, "%s", ew_words(code));
    a->stats->reason = code ? EW_NOTHING : EW_END;
    return code;
}

static void translating_end(translating *a)
{
    if (a->cancelled)
        a->stats->reason = EW_CANCELLED;
    beams_free(&a->b);
    ew_encoding_free(&a->e);
    free(a->source.ids);
    free(a->line.bytes);
    free(a->said.bytes);
}

int ew_translate(ew_model *m, const char *text, const char *asked, ew_piece *told, void *user, ew_stats *given)
{
    ew_stats unread, *stats = given ? given : &unread;
    memset(stats, 0, sizeof *stats);
    if (!m || !text)
        return say(stats->why, EW_ARGUMENT, "there is no model or no text");
    if (!m->writer || !m->writer->translator)
        return say(stats->why, EW_UNKNOWN_TASK, "%s: the model does not translate", m->task);
    if (!begins_writing(m->writer))
        return say(stats->why, EW_BUSY, "%s", ew_words(EW_BUSY));
    translating a = {.m = m, .told = told, .user = user, .stats = stats};
    int over = 0, code = translating_begin(&a, text, asked);
    while (!code && !over)
        code = translating_step(&a, &over);
    translating_end(&a);
    ends_writing(m, stats);
    return code;
}
