/* A part of edgewright.c: which text an encoder-decoder writes, greedy or the best of several beams, step by step by the rules
 * of edgewright.generation.beams, which are those of transformers' `generate` (version 5), in float32. Nothing here knows the
 * engine. */
enum { MOST_BEAMS = 64, LANES = 16, SUMMED = 512, MOST_LENGTH_PENALTY = 10 };
/* MOST_BEAMS: as in Python: beyond a dozen translations get worse (Koehn and Knowles 2017, arXiv 1706.03872). MOST_LENGTH_PENALTY:
 * as there, either way: a length to this power is still a float32. LANES: values side by side, a vector of AVX-512. SUMMED: values
 * that are summed up in float32. */
static const float UNWANTED = -1e9f; /* what transformers gives to what must not be chosen; finite, so that it can be added */

typedef struct {
    size_t beams, most; /* texts that are followed at once; tokens of one, its end among them */
    double penalty;     /* a text's log probability is divided by its length to this power */
    enum { WHEN_HOPELESS, WHEN_FULL, NEVER } early; /* early_stopping: false, true, "never" */
} search;

typedef struct {
    int32_t start, forced; /* what every text begins after; what stands where one is cut, -1 for none */
    const int32_t *ends;
    int32_t *banned;
    size_t end_count, banned_count;
    int renormalize;
} rules;

/* The search for one text. Texts lie in rows of `most` tokens. */
typedef struct {
    search how;
    const rules *by;
    size_t words, candidates;
    size_t *parents, *places, *found_length; /* parents: which beam each beam goes on from */
    int32_t *tokens, *running, *found, *spare; /* tokens: the next one of each beam */
    float *scores, *found_scores;
    int *ended, hopeful, done;
} beams;

static void beams_free(beams *b)
{
    void *all[] = {b->parents, b->places, b->found_length, b->tokens, b->running, b->found, b->spare, b->scores, b->found_scores, b->ended};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    memset(b, 0, sizeof *b);
}

/* Room for texts of `how`; beams_again begins each. */
static int beams_begin(beams *b, const search *how, const rules *by, size_t words)
{
    size_t n = how->beams, several = 1 + by->end_count > 2 ? 1 + by->end_count : 2;
    *b = (beams){.how = *how, .by = by, .words = words};
    if (how->most > SIZE_MAX / 8 / n)
        return EW_MEMORY;
    b->candidates = (several < words ? several : words) * n;
    b->parents = malloc(n * sizeof *b->parents), b->found_length = malloc(2 * n * sizeof *b->found_length);
    b->places = malloc((b->candidates + n) * sizeof *b->places), b->tokens = malloc(n * sizeof *b->tokens);
    b->running = malloc(n * how->most * sizeof *b->running), b->found = malloc(n * how->most * sizeof *b->found);
    b->spare = malloc(n * how->most * sizeof *b->spare), b->scores = malloc((n + b->candidates) * sizeof *b->scores);
    b->found_scores = malloc(3 * n * sizeof *b->found_scores), b->ended = malloc((2 * n + b->candidates) * sizeof *b->ended);
    int whole = b->parents && b->found_length && b->places && b->tokens && b->running && b->found && b->spare && b->scores && b->found_scores && b->ended;
    if (!whole)
        beams_free(b);
    return whole ? EW_OK : EW_MEMORY;
}

static void beams_again(beams *b)
{
    for (size_t i = 0; i < b->how.beams; i++) {
        b->tokens[i] = b->by->start, b->parents[i] = i, b->found_length[i] = 0, b->ended[i] = 0;
        b->scores[i] = i ? UNWANTED : 0; /* of equal beams the first alone is followed */
        b->found_scores[i] = UNWANTED;
    }
    b->hopeful = 1, b->done = 0;
}

static int among(const int32_t *ids, size_t n, int32_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return 1;
    return 0;
}

/* exp of what is not above 0, by the polynomial of Cephes' expf, within 2 units of the last place. The C library's is called for
 * each value; this one a compiler puts into vectors. Below -87 it gives the least number, where 0 would be as good. */
static inline float exp_below(float x)
{
    union {
        uint32_t bits;
        float value;
    } power = {.value = x};
    power.bits = power.bits < 0xC2AE0000u ? power.bits : 0xC2AE0000u; /* those of -87: compared as bits, it has no branch */
    x = power.value;
    float whole = x * 1.44269504f + 12582912.0f - 12582912.0f; /* rounded, as 1.5 * 2^23 leaves no fraction */
    float r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    power.bits = (uint32_t)((int32_t)whole + 127) << 23;
    return (p * r * r + r + 1.0f) * power.value;
}

/* By their bits, which a compiler looks at in vectors: infinities and what is no number have all of an exponent's. */
static int all_finite(const float *values, size_t n)
{
    uint32_t strange = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        strange |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return !strange;
}

static float most_of_row(const float *row, size_t n)
{
    float lanes[LANES], most = -INFINITY;
    for (size_t k = 0; k < LANES; k++)
        lanes[k] = -INFINITY;
    for (size_t i = 0; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lanes[k] = row[i + k] > lanes[k] ? row[i + k] : lanes[k];
    for (size_t k = 0; k < LANES; k++)
        most = lanes[k] > most ? lanes[k] : most;
    for (size_t i = n - n % LANES; i < n; i++)
        most = row[i] > most ? row[i] : most;
    return most;
}

static void log_softmax(float *row, size_t n)
{
    float most = most_of_row(row, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        row[i] -= most;
    for (size_t from = 0; from < n; from += SUMMED) { /* so many in float32, then together */
        size_t count = n - from < SUMMED ? n - from : SUMMED;
        float powers[SUMMED] = {0}, lanes[LANES] = {0};
        for (size_t i = 0; i < count; i++)
            powers[i] = exp_below(row[from + i]);
        for (size_t i = 0; i < SUMMED; i += LANES)
            for (size_t k = 0; k < LANES; k++)
                lanes[k] += powers[i + k];
        for (size_t k = 0; k < LANES; k++)
            sum += lanes[k];
    }
    most = (float)log(sum);
    for (size_t i = 0; i < n; i++)
        row[i] -= most;
}

static void log_probabilities(float *row, size_t n, const rules *by, int last)
{
    log_softmax(row, n);
    for (size_t i = 0; i < by->banned_count; i++)
        row[by->banned[i]] = -INFINITY;
    for (size_t i = 0; last && by->forced >= 0 && i < n; i++)
        row[i] = (int32_t)i == by->forced ? 0 : -INFINITY;
    if (by->renormalize)
        log_softmax(row, n);
}

/* The places of the `count` largest values, the largest first, of equal ones the first. */
static void largest_of(const float *values, size_t n, size_t count, size_t *places)
{
    size_t kept = 0;
    float least = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == count && !(values[i] > least))
            continue;
        size_t at = kept < count ? kept++ : kept - 1;
        for (; at && values[i] > values[places[at - 1]]; at--)
            places[at] = places[at - 1];
        places[at] = i;
        least = values[places[kept - 1]];
    }
}

static void greedy_take(beams *b, float *logits, size_t length)
{
    const rules *by = b->by;
    size_t best = 0;
    int last = length == b->how.most;
    for (size_t i = 0; i < by->banned_count; i++)
        logits[by->banned[i]] = -INFINITY;
    for (size_t i = 1; i < b->words; i++)
        best = logits[i] > logits[best] ? i : best;
    b->tokens[0] = last && by->forced >= 0 ? by->forced : (int32_t)best;
    b->found[length - 1] = b->tokens[0];
    b->found_length[0] = length;
    b->done = last || among(by->ends, by->end_count, b->tokens[0]);
}

static void swap_texts(int32_t **a, int32_t **b)
{
    int32_t *kept = *a;
    *a = *b, *b = kept;
}

/* The text of a candidate: what its beam has, and its token. */
static void spell_text(const beams *b, size_t place, size_t length, int32_t *out)
{
    memcpy(out, b->running + place / b->words * b->how.most, (length - 1) * sizeof *out);
    out[length - 1] = (int32_t)(place % b->words);
}

/* Put the first candidates that end among the found ones; `values` are those of all. */
static void beams_keep(beams *b, const float *values, const int *ending, size_t length)
{
    size_t n = b->how.beams, most = b->how.most, *best = b->places + b->candidates, *lengths = b->found_length + n;
    float share = (float)pow((double)length, b->how.penalty), *merged = b->found_scores;
    int full = b->how.early == WHEN_FULL, *ended = b->ended + n;
    for (size_t i = 0; i < n; i++)
        full &= b->ended[i];
    for (size_t i = 0; i < n; i++) {
        merged[n + i] = values[i] / share;
        for (int barred = full + !b->hopeful + !ending[i]; barred > 0; barred--)
            merged[n + i] += UNWANTED;
    }
    largest_of(merged, 2 * n, n, best);
    for (size_t i = 0; i < n; i++) {
        int known = best[i] < n;
        ended[i] = known ? b->ended[best[i]] : ending[best[i] - n];
        lengths[i] = known ? b->found_length[best[i]] : length;
        if (known)
            memcpy(b->spare + i * most, b->found + best[i] * most, lengths[i] * sizeof *b->found);
        else
            spell_text(b, b->places[best[i] - n], length, b->spare + i * most);
        merged[2 * n + i] = merged[best[i]];
    }
    for (size_t i = 0; i < n; i++)
        b->ended[i] = ended[i], b->found_length[i] = lengths[i], merged[i] = merged[2 * n + i];
    swap_texts(&b->found, &b->spare);
}

/* Whether the best that goes on may still become better than the worst that was found. */
static void beams_look(beams *b, size_t length)
{
    size_t longest = b->how.early == NEVER && b->how.penalty > 0 ? b->how.most : length;
    float possible = b->scores[0] / (float)pow((double)longest, b->how.penalty), worst = b->found_scores[0];
    for (size_t i = 1; i < b->how.beams; i++)
        worst = b->found_scores[i] < worst ? b->found_scores[i] : worst;
    b->hopeful = b->hopeful && possible > worst;
}

/* The beams' next texts: what goes on first, then what ends, each by its score. */
static void beams_go_on(beams *b, const float *values, const int *ending, size_t length)
{
    size_t n = b->how.beams, most = b->how.most, kept = 0;
    for (int ends = 0; ends < 2; ends++)
        for (size_t i = 0; i < b->candidates && kept < n; i++) {
            if (ending[i] != ends)
                continue;
            spell_text(b, b->places[i], length, b->spare + kept * most);
            b->tokens[kept] = (int32_t)(b->places[i] % b->words), b->parents[kept] = b->places[i] / b->words;
            b->scores[kept++] = ends ? values[i] + UNWANTED : values[i];
        }
    swap_texts(&b->running, &b->spare);
}

/* What the logits (beams, words) of a step bring, which are written over: the texts are then `length` long. */
static void beams_take(beams *b, float *logits, size_t length)
{
    size_t n = b->how.beams, ends = 0;
    float *values = b->scores + n;
    int *ending = b->ended + 2 * n, some = 0, full = 1;
    if (n == 1) {
        greedy_take(b, logits, length);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float *row = logits + i * b->words;
        log_probabilities(row, b->words, b->by, length == b->how.most);
        for (size_t k = 0; k < b->words; k++)
            row[k] += b->scores[i];
    }
    largest_of(logits, n * b->words, b->candidates, b->places);
    for (size_t i = 0; i < b->candidates; i++) {
        values[i] = logits[b->places[i]];
        ending[i] = length == b->how.most || among(b->by->ends, b->by->end_count, (int32_t)(b->places[i] % b->words));
        ends += (size_t)ending[i], some |= i < n && ending[i]; /* of the first beams alone, as the others are spare */
    }
    if (some)
        beams_keep(b, values, ending, length);
    beams_go_on(b, values, ending, length);
    for (size_t i = 0; i < n; i++)
        full &= b->ended[i];
    if (full)
        beams_look(b, length);
    b->done = !b->hopeful || (full && b->how.early == WHEN_FULL) || ends == b->candidates;
}
