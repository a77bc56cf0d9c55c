/* A part of edgewright.c: which token comes next. The order of the rules, the numbers that are drawn and what they are
 * compared with are those of edgewright.generation.sampling, so that a seed gives the tokens that it gives in Python. */

/* As in Python: a logit may be multiplied or divided by so much and be a finite float32. What is colder is greedy. */
static const double COLDEST = 1e-30, MOST_PENALTY = 1e30;

/* 128 bits, high and low */
typedef struct {
    uint64_t high, low;
} wide;

typedef struct {
    wide state, step; /* PCG64 (pcg-random.org, XSL-RR), as numpy seeds it */
} pcg;

typedef struct {
    double temperature, top_p, min_p, penalty;
    size_t top_k, ngram;
    uint64_t seed;
    int seeded;
} sampling;

typedef struct {
    double score;
    int32_t id;
} candidate;

typedef struct {
    sampling how;
    pcg random;
    float *ruled;
    candidate *some;
    double *shares;
    unsigned char *seen;
    size_t words; /* of the vocabulary */
} sampler;

static wide times(wide a, wide b)
{
    uint64_t x = a.low & 0xFFFFFFFF, y = a.low >> 32, u = b.low & 0xFFFFFFFF, v = b.low >> 32;
    uint64_t low = x * u, middle = y * u + (low >> 32), other = x * v + (middle & 0xFFFFFFFF);
    return (wide){y * v + (middle >> 32) + (other >> 32) + a.high * b.low + a.low * b.high, other << 32 | (low & 0xFFFFFFFF)};
}

static wide plus(wide a, wide b)
{
    uint64_t low = a.low + b.low;
    return (wide){a.high + b.high + (low < a.low), low};
}

static void pcg_step(pcg *p)
{
    static const wide multiplier = {0x2360ED051FC65DA4u, 0x4385DF649FCCF645u};
    p->state = plus(times(p->state, multiplier), p->step);
}

/* numpy's SeedSequence (M. E. O'Neill's seed_seq): a pool of four words, stirred. */
static uint32_t stirred(uint32_t value, uint32_t *by)
{
    value ^= *by;
    *by *= 0x931E8875u;
    value *= *by;
    return value ^ value >> 16;
}

static void pcg_seed(pcg *p, uint64_t seed)
{
    uint32_t pool[4], by = 0x43B0D7E5u, given[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0, 0};
    uint64_t made[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4; i++)
        pool[i] = stirred(given[i], &by);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            if (i != k) {
                uint32_t mixed = 0xCA01F9DDu * pool[k] - 0x4973F715u * stirred(pool[i], &by);
                pool[k] = mixed ^ mixed >> 16;
            }
    by = 0x8B51F9DDu;
    for (int i = 0; i < 8; i++) {
        uint32_t value = pool[i % 4] ^ by;
        by *= 0x58F38DEDu;
        value *= by;
        made[i / 2] |= (uint64_t)(value ^ value >> 16) << 32 * (i % 2);
    }
    p->state = (wide){0, 0};
    p->step = (wide){made[2] << 1 | made[3] >> 63, made[3] << 1 | 1};
    pcg_step(p);
    p->state = plus(p->state, (wide){made[0], made[1]});
    pcg_step(p);
}

/* A number from 0 to 1, without 1. */
static double pcg_next(pcg *p)
{
    pcg_step(p);
    unsigned turn = (unsigned)(p->state.high >> 58);
    uint64_t x = p->state.high ^ p->state.low;
    x = x >> turn | x << (-turn & 63);
    return (double)(x >> 11) / 9007199254740992.0;
}

static void sampler_free(sampler *s)
{
    free(s->ruled);
    free(s->some);
    free(s->shares);
    free(s->seen);
    memset(s, 0, sizeof *s);
}

static int sampler_begin(sampler *s, const sampling *how, size_t vocabulary)
{
    memset(s, 0, sizeof *s);
    s->how = *how;
    s->words = vocabulary;
    uint64_t seed = how->seed;
    if (!how->seeded) {
        struct timespec now = {0, 0};
        FILE *file = fopen("/dev/urandom", "rb");
        clock_gettime(CLOCK_REALTIME, &now);
        if (!file || fread(&seed, sizeof seed, 1, file) != 1)
            seed = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
        if (file)
            fclose(file);
    }
    pcg_seed(&s->random, seed);
    s->ruled = malloc(vocabulary * sizeof *s->ruled);
    s->some = malloc(vocabulary * sizeof *s->some);
    s->shares = malloc(vocabulary * sizeof *s->shares);
    s->seen = malloc(vocabulary);
    return s->ruled && s->some && s->shares && s->seen ? EW_OK : EW_MEMORY;
}

/* The first of the largest; one that is no number is larger than all. */
static size_t likeliest(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(logits[i]))
            return i;
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

static void rule(sampler *s, const float *logits, const int32_t *before, size_t n)
{
    memcpy(s->ruled, logits, s->words * sizeof *logits);
    memset(s->seen, 0, s->words);
    float penalty = (float)s->how.penalty;
    for (size_t i = 0; s->how.penalty != 1 && i < n; i++) {
        float *one = &s->ruled[before[i]];
        if (!s->seen[before[i]])
            *one = *one < 0 ? *one * penalty : *one / penalty;
        s->seen[before[i]] = 1;
    }
    size_t size = s->how.ngram;
    for (size_t at = 0; size && n >= size && at <= n - size; at++)
        if (!memcmp(before + at, before + n - (size - 1), (size - 1) * sizeof *before))
            s->ruled[before[at + size - 1]] = -INFINITY;
}

static int likelier(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : x->id < y->id ? -1 : x->id > y->id;
}

/* The score of the k-th likeliest: a heap of k whose first is the least. */
static double threshold(double *heap, size_t k, const float *logits, size_t n, double temperature)
{
    size_t held = 0;
    for (size_t i = 0; i < n; i++) {
        double score = logits[i] / temperature;
        size_t at;
        if (held < k) {
            for (at = held++; at && heap[(at - 1) / 2] > score; at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
            heap[at] = score;
        } else if (score > heap[0]) {
            for (at = 0; 2 * at + 1 < k;) {
                size_t next = 2 * at + 1;
                next += next + 1 < k && heap[next + 1] < heap[next];
                if (heap[next] >= score)
                    break;
                heap[at] = heap[next];
                at = next;
            }
            heap[at] = score;
        }
    }
    return heap[0];
}

/* A sum in numpy's order, so that it has the same last bits. */
static double summed(const double *a, size_t n)
{
    double sums[8], sum = 0;
    size_t i = 0, half = n / 2 - n / 2 % 8;
    if (n > 128)
        return summed(a, half) + summed(a + half, n - half);
    if (n >= 8) {
        memcpy(sums, a, sizeof sums);
        for (i = 8; i + 8 <= n; i += 8)
            for (size_t k = 0; k < 8; k++)
                sums[k] += a[i + k];
        sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    }
    for (; i < n; i++)
        sum += a[i];
    return sum;
}

static int32_t drawn(sampler *s, const float *logits)
{
    const sampling *how = &s->how;
    size_t n = 0, kept = 0, n_all = s->words;
    int some = how->top_k && how->top_k < n_all;
    double least = some ? threshold(s->shares, how->top_k, logits, n_all, how->temperature) : -INFINITY;
    for (size_t i = 0; i < n_all; i++)
        if (logits[i] / how->temperature >= least) /* those as likely as the last one stay */
            s->some[n++] = (candidate){logits[i] / how->temperature, (int32_t)i};
    qsort(s->some, n, sizeof *s->some, likelier);
    for (size_t i = 0; i < n; i++)
        s->shares[i] = exp(s->some[i].score - s->some[0].score);
    if (how->top_p < 1) {
        double total = summed(s->shares, n), before = 0;
        for (size_t i = 0; i < n; i++) {
            double share = s->shares[i] / total;
            before += share;
            if (before - share < how->top_p)
                s->some[kept] = s->some[i], s->shares[kept++] = s->shares[i];
        }
        n = kept;
    }
    kept = 0;
    double floor = how->min_p * s->shares[0];
    for (size_t i = 0; i < n; i++)
        if (s->shares[i] >= floor)
            s->some[kept] = s->some[i], s->shares[kept++] = s->shares[i];
    double mark = pcg_next(&s->random) * summed(s->shares, kept), sum = 0;
    for (size_t i = 0; i < kept; i++)
        if ((sum += s->shares[i]) > mark)
            return s->some[i].id;
    return s->some[kept ? kept - 1 : 0].id;
}

/* The next token after those `before`, -1 where a logit is no number. */
static int32_t chosen(sampler *s, const float *logits, const int32_t *before, size_t n)
{
    size_t best = likeliest(logits, s->words);
    if (!isfinite(logits[best]))
        return -1;
    if (s->how.penalty != 1 || s->how.ngram) {
        rule(s, logits, before, n);
        logits = s->ruled;
        best = likeliest(logits, s->words);
    }
    if (s->how.temperature < COLDEST || s->how.top_k == 1 || !isfinite(logits[best]))
        return (int32_t)best;
    return drawn(s, logits);
}
