/* A part of edgewright.c: what tasks have in common. */
/* Answers */

static void forget(ew_answer *a)
{
    while (a->parts) {
        part *next = a->parts->next;
        free(a->parts);
        a->parts = next;
    }
    free(a->items);
    free(a->vector);
    a->items = NULL, a->vector = NULL;
    a->count = a->width = 0;
}

void ew_answer_free(ew_answer *a)
{
    forget(a);
    a->why[0] = 0;
}

static int out_of_memory(call *c) { return say(c->a->why, EW_MEMORY, "%s", ew_words(EW_MEMORY)); }

/* Bytes that belong to the answer, with a NUL behind them; NULL where there is no memory. */
static char *keep(call *c, const char *bytes, size_t n)
{
    part *p = malloc(sizeof *p + n + 1);
    if (!p)
        return NULL;
    if (bytes)
        memcpy(p->bytes, bytes, n);
    p->bytes[n] = 0;
    p->next = c->a->parts;
    c->a->parts = p;
    return p->bytes;
}

static ew_item *add(call *c)
{
    ew_item *items = realloc(c->a->items, (c->a->count + 1) * sizeof *items);
    if (!items)
        return NULL;
    c->a->items = items;
    memset(&items[c->a->count], 0, sizeof *items);
    items[c->a->count].label = items[c->a->count].text = "";
    return &items[c->a->count++];
}

/* Room that is freed at the end of the call; each place is used once at a time. */
static void *need(call *c, int place, size_t count, size_t each)
{
    free(c->owned[place]);
    return c->owned[place] = malloc(count * each + 1);
}

/* Running */

static void let_go(call *c)
{
    for (size_t i = 0; i < MOST_OUTPUTS; i++)
        if (c->values[i])
            ORT(c->m, ORT_RELEASE_VALUE, void, ort)(c->values[i]);
    memset(c->values, 0, sizeof c->values);
}

static int shape_of(call *c, size_t i)
{
    ew_model *m = c->m;
    tensor *t = &c->outputs[i];
    ort about = NULL;
    int type = 0, code = engine_failed(m, ORT(m, ORT_GET_TYPE_AND_SHAPE, ort, ort, ort *)(c->values[i], &about), c->a->why);
    if (code)
        return code;
    code = engine_failed(m, ORT(m, ORT_GET_TYPE, ort, ort, int *)(about, &type), c->a->why);
    if (!code)
        code = engine_failed(m, ORT(m, ORT_GET_DIMENSIONS_COUNT, ort, ort, size_t *)(about, &t->rank), c->a->why);
    if (!code && (type != ORT_FLOAT || t->rank > 3))
        code = say(c->a->why, EW_ENGINE, "output %s is no float32 of 3 dimensions", m->outputs[i]);
    t->shape[0] = t->shape[1] = t->shape[2] = 1;
    if (!code)
        code = engine_failed(m, ORT(m, ORT_GET_DIMENSIONS, ort, ort, int64_t *, size_t)(about, t->shape, t->rank), c->a->why);
    ORT(m, ORT_RELEASE_TYPE_AND_SHAPE, void, ort)(about);
    return code ? code : engine_failed(m, ORT(m, ORT_TENSOR_DATA, ort, ort, void **)(c->values[i], (void **)&t->data), c->a->why);
}

/* Rows of tokens, each the longest of them long, through the engine. `lengths` says how long each really is. */
static int run_rows(call *c, const ew_token *const *rows, const size_t *lengths, size_t count)
{
    ew_model *m = c->m;
    size_t longest = 0;
    ort given[MOST_INPUTS] = {NULL};
    const char *names[MOST_INPUTS], *wanted[MOST_OUTPUTS];
    let_go(c);
    for (size_t i = 0; i < count; i++)
        longest = lengths[i] > longest ? lengths[i] : longest;
    if (!longest)
        return say(c->a->why, EW_ARGUMENT, "the text has no tokens");
    int64_t *data = need(c, 0, m->input_count * count * longest, sizeof *data), shape[2] = {(int64_t)count, (int64_t)longest};
    int code = data ? EW_OK : out_of_memory(c);
    for (size_t k = 0; !code && k < m->input_count; k++) {
        int wide = m->inputs[k].type == ORT_INT64;
        int kind = !strcmp(m->inputs[k].name, "input_ids") ? 0 : !strcmp(m->inputs[k].name, "attention_mask") ? 1 : 2;
        int64_t *place = data + k * count * longest;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < longest; j++) {
                size_t at = m->pads_left ? j - (longest - lengths[i]) : j;
                int real = at < lengths[i];
                int64_t value = kind == 0 ? (real ? rows[i][at].id : m->pad_id) : kind == 1 ? real : real ? rows[i][at].type : 0;
                if (wide)
                    place[i * longest + j] = value;
                else
                    ((int32_t *)place)[i * longest + j] = (int32_t)value;
            }
        names[k] = m->inputs[k].name;
        code = engine_failed(m, ORT(m, ORT_CREATE_TENSOR, ort, ort, void *, size_t, const int64_t *, size_t, int, ort *)(
            m->memory, place, count * longest * (wide ? 8 : 4), shape, 2, m->inputs[k].type, &given[k]), c->a->why);
    }
    for (size_t k = 0; k < m->output_count; k++)
        wanted[k] = m->outputs[k];
    if (!code)
        code = engine_failed(m, ORT(m, ORT_RUN, ort, ort, ort, const char *const *, const ort *, size_t, const char *const *, size_t, ort *)(
            m->session, NULL, names, given, m->input_count, wanted, m->output_count, c->values), c->a->why);
    for (size_t k = 0; k < m->input_count; k++)
        if (given[k])
            ORT(m, ORT_RELEASE_VALUE, void, ort)(given[k]);
    for (size_t k = 0; !code && k < m->output_count; k++)
        code = shape_of(c, k);
    return code;
}

/* Bytes of what the model reads of a text of `n`, where it cuts some its first characters: bytes that begin one are no 10xxxxxx
 * (RFC 3629). */
static size_t bytes_read(const ew_model *m, const char *text, size_t n)
{
    size_t at = 0;
    for (size_t seen = 0; m->characters && at < n && (seen += ((unsigned char)text[at] & 0xC0) != 0x80) <= m->characters; at++)
        ;
    return m->characters ? at : n;
}

static int encoded(call *c, const char *text, const char *pair, int cut_first)
{
    size_t bytes = bytes_read(c->m, text, strlen(text));
    ew_ways ways = {c->m->max_length, (uint8_t)cut_first, (uint8_t)(c->m->cut_left && !cut_first), 0, 0};
    int code = ew_encode(c->m->tokenizer, &c->e, text, bytes, pair, pair ? strlen(pair) : 0, &ways);
    return code ? say(c->a->why, code, "%s", ew_words(code)) : EW_OK;
}

static int run_one(call *c)
{
    const ew_token *row = c->e.tokens;
    return run_rows(c, &row, &c->e.count, 1);
}

static int unfit(call *c, const char *what) { return say(c->a->why, EW_ARGUMENT, "%s wants %s", c->m->task, what); }

/* The shape that a task counts on: rows, or rows of tokens, of so many numbers. */
static int check(call *c, size_t i, size_t rank, int64_t rows, int64_t last)
{
    tensor *t = &c->outputs[i];
    if (t->rank != rank || t->shape[0] != rows || (last && t->shape[rank - 1] != last))
        return say(c->a->why, EW_ENGINE, "output %s has the shape (%lld, %lld, %lld)", c->m->outputs[i], (long long)t->shape[0],
                   (long long)t->shape[1], (long long)t->shape[2]);
    return EW_OK;
}

/* Numbers */

static void softmax(const float *in, double *out, size_t n)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        most = in[i] > most ? in[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += out[i] = exp((double)in[i] - most);
    for (size_t i = 0; i < n; i++)
        out[i] /= sum;
}

static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

static size_t largest(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = values[i] > values[best] ? i : best;
    return best;
}

typedef struct {
    double value;
    size_t at;
} ranked;

static int falling(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->value > y->value ? -1 : x->value < y->value ? 1 : x->at < y->at ? -1 : x->at > y->at;
}

static size_t most_of(const call *c, size_t usual, size_t all)
{
    size_t most = c->q->top_k == 0 ? usual : c->q->top_k < 0 ? all : (size_t)c->q->top_k;
    return most < all ? most : all;
}

/* Characters */

static int is_space(uint32_t c) /* as Python's str.strip has it */
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A)
           || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* A text as characters, each with the byte where it begins; one more at the end. */
typedef struct {
    uint32_t *at, *code;
    uint32_t count;
    const char *bytes;
} characters;

static int spelled(call *c, int place, const char *text, characters *out)
{
    size_t n = strlen(text), i = 0;
    out->at = need(c, place, 2 * (n + 1), sizeof *out->at);
    if (!out->at)
        return out_of_memory(c);
    out->code = out->at + n + 1;
    out->bytes = text;
    for (out->count = 0; i < n; out->count++) {
        out->at[out->count] = (uint32_t)i;
        out->code[out->count] = ew_next_char(text, n, &i);
    }
    out->at[out->count] = (uint32_t)n;
    return EW_OK;
}

static void strip(const characters *text, uint32_t *start, uint32_t *end)
{
    uint32_t begin = *start;
    while (begin < *end && is_space(text->code[begin]))
        begin++;
    if (begin == *end) {
        *end = *start;
        return;
    }
    *start = begin;
    while (*end > begin && is_space(text->code[*end - 1]))
        --*end;
}

static char *stretch(call *c, const characters *text, uint32_t start, uint32_t end)
{
    return keep(c, text->bytes + text->at[start], text->at[end] - text->at[start]);
}
