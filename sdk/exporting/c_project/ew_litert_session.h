/* A part of edgewright.c: LiteRT as the engine of a .tflite file, by the places of ONNX Runtime's table. A file of an encoder has a
 * signature for each of some lengths; a row goes into the shortest that holds it, padded with zeros, which a mask of zeros hides.
 * One run at a time: others wait. A decoder has its cache in the engine's buffers, and is given tokens and how many there are; a
 * translator goes by functions of its own. */
#include <pthread.h>

typedef struct {
    litert engine;
    litert_decoder decoder; /* of a model that writes */
    litert_translator translator; /* of one that translates */
    pthread_mutex_t one;
} litert_session;

static void litert_close(litert *l)
{
    static const char *const ends[] = {"LiteRtDestroyCompiledModel", "LiteRtDestroyOptions", "LiteRtDestroyModel", "LiteRtDestroyEnvironment"};
    void *all[] = {l->compiled, l->options, l->model, l->environment};
    for (size_t i = 0; i < l->count; i++) {
        litert_signature *s = &l->signatures[i];
        for (size_t k = 0; k < s->input_count + s->output_count; k++)
            if (s->inputs[k].buffer && !s->inputs[k].borrowed)
                ((void (*)(void *))litert_found(l, "LiteRtDestroyTensorBuffer"))(s->inputs[k].buffer);
        free(s->given);
        free(s->inputs);
    }
    free(l->signatures);
    for (size_t i = 0; i < 4; i++)
        if (all[i])
            ((void (*)(void *))litert_found(l, ends[i]))(all[i]);
}

static void litert_closed(void *session)
{
    litert_session *s = session;
    litert_translator_free(&s->translator);
    litert_close(&s->engine);
    pthread_mutex_destroy(&s->one);
    free(s);
}

/* Whether rows go into a signature: inputs int32 (1, n), outputs float32 (1, ...). */
static int litert_takes_rows(const litert_signature *s)
{
    int good = s->input_count && s->input_count <= MOST_INPUTS && s->output_count <= MOST_OUTPUTS;
    for (size_t i = 0; good && i < s->input_count; i++)
        good = litert_is(&s->inputs[i], LITERT_INT32, 2, (int32_t[]){1, s->inputs[0].type.shape[1]});
    for (size_t i = 0; good && i < s->output_count; i++)
        good = litert_is(&s->outputs[i], LITERT_FLOAT, 2, (int32_t[]){1, -1}) || litert_is(&s->outputs[i], LITERT_FLOAT, 3, (int32_t[]){1, -1, -1});
    return good;
}

static int litert_row(litert *l, size_t at, const char *const *names, value *const *given, size_t count, size_t row, size_t n)
{
    litert_signature *s = &l->signatures[at];
    if (litert_ready(l, at))
        return -1;
    for (size_t i = 0; i < s->input_count; i++) {
        size_t k = 0;
        while (k < count && strcmp(names[k], s->inputs[i].name))
            k++;
        if (k == count || given[k]->type != ORT_INT32)
            return litert_refused(l, "the model has other inputs");
        int32_t *place = litert_locked(l, &s->inputs[i], LITERT_WRITE);
        if (!place)
            return -1;
        memset(place, 0, s->inputs[i].bytes);
        memcpy(place, (const int32_t *)given[k]->data + row * n, n * sizeof *place);
        litert_unlocked(l, &s->inputs[i]);
    }
    return litert_ran(l, at);
}

/* Of an output its first row: whether dimension 1 is the tokens', of which the first `n` are real. */
static int per_token(const litert_tensor *t)
{
    size_t n = strlen(t->name);
    return t->type.rank > 2 || (n > 7 && !strcmp(t->name + n - 7, "_logits")); /* start_logits and end_logits */
}

static int litert_taken(litert *l, litert_tensor *t, value **out, size_t row, size_t rows, size_t n)
{
    size_t last = t->type.rank > 2 ? (size_t)t->type.shape[2] : 1, each = per_token(t) ? n * last : (size_t)t->type.shape[1];
    if (!*out) {
        float *data = malloc(rows * each * sizeof *data);
        int second = (int)(per_token(t) ? n : each);
        if (!data || !(*out = value_of(data, (int)t->type.rank, (int)rows, second, t->type.rank > 2 ? (int)last : 1)))
            return free(data), litert_refused(l, "no memory is left");
    }
    if (per_token(t) && (size_t)t->type.shape[1] < n)
        return litert_refused(l, "the model gives fewer tokens than it takes");
    const float *place = litert_locked(l, t, LITERT_READ);
    if (!place)
        return -1;
    memcpy((float *)(*out)->data + row * each, place, each * sizeof *place);
    litert_unlocked(l, t);
    return 0;
}

static const value *litert_given(const char *const *names, void *const *given, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return given[i];
    return NULL;
}

/* Tokens of int64 (1, n), after those that a mask (1, all) has besides: the logits of the last one. */
static void *litert_wrote(litert_session *s, const char *const *names, void *const *given, size_t count, void **out)
{
    const value *ids = litert_given(names, given, count, "input_ids"), *mask = litert_given(names, given, count, "attention_mask");
    size_t n = (size_t)ids->shape[1], all = (size_t)mask->shape[1];
    int32_t *tokens = malloc(n * sizeof *tokens);
    if (!tokens)
        return "no memory is left";
    for (size_t i = 0; i < n; i++)
        tokens[i] = (int32_t)((const int64_t *)ids->data)[i];
    int bad = litert_read(&s->decoder, tokens, n, all - n, ((value *)out[0])->data, 1);
    free(tokens);
    return bad ? s->engine.why : NULL;
}

static void *litert_run(void *session, void *options, const char *const *names, void *const *given, size_t count, const char *const *asked, size_t outputs, void **out)
{
    litert_session *held = session;
    litert *l = &held->engine;
    const value *first = given[0];
    size_t rows = (size_t)first->shape[0], n = (size_t)first->shape[1], at = l->count;
    int bad = 0;
    (void)options;
    if (held->decoder.engine)
        return litert_wrote(held, names, given, count, out);
    for (size_t i = 0; i < l->count; i++) {
        size_t length = (size_t)l->signatures[i].inputs[0].type.shape[1];
        if (length >= n && (at == l->count || length < (size_t)l->signatures[at].inputs[0].type.shape[1]))
            at = i;
    }
    if (at == l->count)
        return "a text is longer than the file has a signature for";
    pthread_mutex_lock(&held->one);
    for (size_t row = 0; !bad && row < rows; row++) {
        bad = litert_row(l, at, names, (value *const *)given, count, row, n);
        for (size_t k = 0; !bad && k < outputs; k++) {
            litert_signature *s = &l->signatures[at];
            litert_tensor *t = litert_named(s->outputs, s->output_count, asked[k]);
            bad = t ? litert_taken(l, t, (value **)&out[k], row, rows, n) : litert_refused(l, "the model has other outputs");
        }
    }
    pthread_mutex_unlock(&held->one);
    return bad ? "the model does not run" : NULL;
}

static litert_translator *litert_translator_of(const ew_model *m) { return &((litert_session *)m->session)->translator; }

static int litert_said(const ew_model *m, int bad, char *why)
{
    return bad ? say(why, EW_ENGINE, "LiteRT: %s", litert_translator_of(m)->engine->why) : EW_OK;
}

static int litert_read_text(ew_model *m, const int32_t *ids, size_t n, size_t rows, char *why)
{
    translator *t = m->writer->translator;
    if (rows != t->rows) {
        free(t->logits);
        t->logits = malloc(rows * m->writer->words * sizeof *t->logits), t->rows = t->logits ? rows : 0;
    }
    return t->logits ? litert_said(m, litert_begin(litert_translator_of(m), ids, n, rows), why) : no_memory(why);
}

static int litert_write_token(ew_model *m, const int32_t *ids, char *why)
{
    return litert_said(m, litert_step_texts(litert_translator_of(m), ids, m->writer->translator->logits), why);
}

static int litert_go_on_from(ew_model *m, const size_t *parents, char *why) { return litert_said(m, litert_reorder(litert_translator_of(m), parents), why); }

static const translates_by translates_by_litert = {litert_read_text, litert_write_token, litert_go_on_from};

/* What a model that writes or translates does it with, and that the file is the one which model.txt tells of. */
static int litert_writes(ew_model *m, litert_session *s, const char *path, char *why)
{
    struct ew_translator *t = m->writer->translator;
    if (t && m->writer->layer_count)
        return say(why, EW_ALTERED, "model.txt: it tells of two graphs, %s is one file", path);
    if (t ? litert_translates(&s->translator, &s->engine) : litert_decodes(&s->decoder, &s->engine))
        return say(why, EW_ENGINE, "LiteRT does not open %s: %s", path, s->engine.why);
    size_t words = t ? s->translator.words : s->decoder.words, slots = t ? s->translator.most : s->decoder.slots;
    if (m->writer->words != words || m->max_length > slots)
        return say(why, EW_ALTERED, "%s chooses from %zu tokens and has room for %zu, model.txt says %zu and %lu", path, words, slots,
                   m->writer->words, (unsigned long)m->max_length);
    if (t)
        t->engine = &translates_by_litert;
    return EW_OK;
}

/* By the places that ew_engine.h names, as far as a run needs them. */
static const ort_call litert_table[SLOTS] = {VALUES_IN_TABLE, [ORT_RUN] = (ort_call)litert_run, [ORT_RELEASE_SESSION] = (ort_call)litert_closed};

static int litert_open(ew_model *m, const char *path, int threads, char *why)
{
    litert_session *s = calloc(1, sizeof *s);
    if (!s)
        return say(why, EW_MEMORY, "%s", ew_words(EW_MEMORY));
    pthread_mutex_init(&s->one, NULL);
    s->engine.library = m->library;
    m->session = s, m->api = litert_table; /* model_free closes it */
    int bad = litert_open_file(&s->engine, path, threads);
    if (!bad && m->writer)
        return litert_writes(m, s, path, why);
    for (size_t i = 0; !bad && i < s->engine.count; i++)
        bad = litert_takes_rows(&s->engine.signatures[i]) ? 0 : litert_refused(&s->engine, "a signature takes no row of tokens");
    return bad ? say(why, EW_ENGINE, "LiteRT does not open %s: %s", path, s->engine.why) : EW_OK;
}
