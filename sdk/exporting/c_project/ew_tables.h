/* A part of ew_tokenizer.c: what a file and a text's scratch are, UTF-8, properties of characters, tries. */
enum { NORMALIZER, PRE_TOKENIZER, PARAMETERS, TEMPLATE, PAIR_TEMPLATE, STRINGS, PAGES, PROPERTIES, GRAPHEME_PAGES,
       GRAPHEMES, LOWERED, NFD, NFKD, COMPOSE, VOCABULARY, INNER, ADDED, ADDED_RAW, ADDED_NORMALIZED, MERGES, SCORES,
       CHARSMAP, CHARSMAP_STRINGS, TOKENS, TOKEN_BYTES, TOKEN_FLAGS, BYTE_IDS, DECODER, SECTIONS };
enum { OP_END, OP_MAP, OP_SPACED, OP_DECOMPOSE, OP_COMPOSE, OP_DROP, OP_LOWER, OP_STRIP, OP_REPLACE, OP_REPLACE_PATTERN,
       OP_PREPEND, OP_CHARSMAP, OP_CLASS = 20, OP_PATTERN, OP_LITERAL, OP_WORDS, OP_METASPACE, OP_LEADING_SPACE };
enum { RE_CHAR = 1, RE_CLASS, RE_SPLIT, RE_JUMP, RE_LOOK, RE_LOOK_NOT, RE_MATCH, RE_REPEAT };
enum { WORDPIECE, BPE, UNIGRAM, WORDLEVEL };
enum { REMOVED, ISOLATED, WITH_PREVIOUS, WITH_NEXT, CONTIGUOUS };
enum { CONTROL = 1, EXTEND = 2, PREPENDED = 4, PICTOGRAPH = 8, JAMO_L = 16, JAMO_V = 32, JAMO_T = 64, JAMO_LV = 128,
       JAMO_LVT = 256, CONSONANT = 512, LINKER = 1024, BETWEEN = 2048, PICTURED = 4096 };
enum { SPECIAL = 1, IS_ADDED = 2, KNOWN = 4 };
enum { LSTRIP = 1, RSTRIP = 2, SINGLE_WORD = 4, NORMALIZED = 8, IS_SPECIAL = 16 };

#define NOWHERE 0xFFFFFFFFu
#define MOST_IDS (1u << 24)
#define ENDLESS 0x7FFFFFFFu

typedef struct {
    const uint32_t *first;
    const int32_t *value;
    const uint8_t *label;
    uint32_t count;
} trie;

struct ew_tokenizer {
    const uint8_t *map;
    size_t size;
    const uint8_t *at[SECTIONS];
    size_t bytes[SECTIONS];
    const uint16_t *pages, *grapheme_pages, *graphemes;
    const uint32_t *properties, *token_at, *token_flags, *merges;
    const int32_t *byte_ids;
    const double *scores;
    trie vocabulary, inner, raw, normalized;
    int32_t kind, unknown;
    uint32_t most_chars, ids, trims, merge_mask, prefix, prefix_bytes;
    int bytewise, ignore_merges, fuse, fallback;
    double least_score;
};

typedef struct {
    uint32_t *c, *from;
    size_t n, room;
} run; /* characters, and the place of each in the given text */

typedef struct {
    uint32_t start, end;
    int32_t id; /* of an added token, -1 of plain text */
} piece;

typedef struct {
    uint32_t rank, at, id;
} merge;

typedef struct {
    int32_t id, before, after;
    uint32_t bytes, start;
} symbol;

typedef struct {
    uint32_t pc, at, least;
} branch;

typedef struct {
    double score;
    int32_t start, id;
} node;

typedef struct {
    void *data;
    size_t room; /* bytes */
} pool;

struct ew_scratch {
    jmp_buf out;
    run raw, now, next, text, spare;
    pool pieces, more, marks, heap, symbols, branches, nodes, bytes, places, sides[2], all;
    size_t piece_count, side_count[2];
};
typedef struct ew_scratch scratch;

const char *ew_words(int code)
{
    static const char *const words[] = {"done", "a file is missing or cannot be read", "a file is not what was exported, or of another version",
        "no memory left", "a text has more than a megabyte, split it", "an argument that cannot be", "the engine failed", "the task is not known here",
        "the limit leaves no room for the text", "the model is writing an answer already"};
    return code >= 0 && code < (int)(sizeof words / sizeof *words) ? words[code] : "an unknown error";
}

/* Memory: everything belongs to the scratch, so that running out of it unwinds to where the text came in. */

static void *room_for(scratch *s, pool *p, size_t count, size_t each)
{
    if (count * each > p->room) {
        size_t wanted = count * each * 2 + 256;
        void *data = realloc(p->data, wanted);
        if (!data)
            longjmp(s->out, EW_MEMORY);
        p->data = data;
        p->room = wanted;
    }
    return p->data;
}

static void widen(scratch *s, run *r, size_t count)
{
    if (count <= r->room)
        return;
    size_t wanted = count * 2 + 64;
    uint32_t *c = realloc(r->c, wanted * sizeof *c);
    if (c)
        r->c = c;
    uint32_t *from = c ? realloc(r->from, wanted * sizeof *from) : NULL;
    if (!from)
        longjmp(s->out, EW_MEMORY);
    r->from = from;
    r->room = wanted;
}

static inline void put(scratch *s, run *r, uint32_t c, uint32_t from)
{
    if (r->n == r->room)
        widen(s, r, r->n + 1);
    r->c[r->n] = c;
    r->from[r->n++] = from;
}

static void swap_runs(run *a, run *b)
{
    run kept = *a;
    *a = *b;
    *b = kept;
}

/* UTF-8 */

static size_t encode_char(uint32_t c, uint8_t *out)
{
    if (c < 0x80)
        return out[0] = (uint8_t)c, 1;
    if (c < 0x800)
        return out[0] = (uint8_t)(0xC0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return out[0] = (uint8_t)(0xE0 | c >> 12), out[1] = (uint8_t)(0x80 | (c >> 6 & 63)), out[2] = (uint8_t)(0x80 | (c & 63)), 3;
    out[0] = (uint8_t)(0xF0 | c >> 18), out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    return out[2] = (uint8_t)(0x80 | (c >> 6 & 63)), out[3] = (uint8_t)(0x80 | (c & 63)), 4;
}

/* The next character; what is not UTF-8 is U+FFFD, one for each longest part of a character that was cut. */
static uint32_t decode_char(const uint8_t *t, size_t n, size_t *at)
{
    size_t i = *at;
    uint32_t a = t[i];
    if (a < 0x80)
        return *at = i + 1, a;
    size_t more = a >= 0xF0 ? 3 : a >= 0xE0 ? 2 : 1;
    uint32_t low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80, high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    if (a < 0xC2 || a > 0xF4)
        return *at = i + 1, 0xFFFD;
    uint32_t c = a & (0x3Fu >> more);
    for (size_t k = 1; k <= more; k++) {
        if (i + k >= n || t[i + k] < low || t[i + k] > high)
            return *at = i + k, 0xFFFD;
        c = c << 6 | (t[i + k] & 63);
        low = 0x80, high = 0xBF;
    }
    return *at = i + more + 1, c;
}

/* Properties of characters */

static inline uint32_t props(const ew_tokenizer *t, uint32_t c)
{
    return t->properties[(size_t)t->pages[c >> 7] << 7 | (c & 127)];
}

static inline int has(const ew_tokenizer *t, uint32_t c, uint32_t bit)
{
    return props(t, c) >> bit & 1;
}

static inline uint32_t rank_of(const ew_tokenizer *t, uint32_t c)
{
    return props(t, c) >> 26;
}

static uint32_t grapheme(const ew_tokenizer *t, uint32_t c)
{
    return t->graphemes[(size_t)t->grapheme_pages[c >> 7] << 7 | (c & 127)];
}

/* What a character becomes by a table of section `which`: how many, and where they stand. */
static uint32_t mapped(const ew_tokenizer *t, int which, uint32_t c, const uint32_t **to)
{
    const uint32_t *table = (const uint32_t *)t->at[which];
    uint32_t n = t->bytes[which] ? table[0] : 0, low = 0, high = n;
    const uint32_t *keys = table + 1, *starts = keys + n, *texts = starts + n + 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (keys[middle] < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n || keys[low] != c)
        return 0xFFFF;
    *to = texts + starts[low];
    return starts[low + 1] - starts[low];
}

static uint32_t composed(const ew_tokenizer *t, uint32_t a, uint32_t b)
{
    if (a - 0x1100 < 19 && b - 0x1161 < 21)
        return 0xAC00 + ((a - 0x1100) * 21 + (b - 0x1161)) * 28;
    if (a - 0xAC00 < 11172 && (a - 0xAC00) % 28 == 0 && b - 0x11A8 < 27)
        return a + b - 0x11A7;
    const uint32_t *table = (const uint32_t *)t->at[COMPOSE];
    uint32_t n = t->bytes[COMPOSE] ? table[0] : 0, low = 0, high = n;
    const uint32_t *first = table + 1, *second = first + n, *whole = second + n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (first[middle] < a || (first[middle] == a && second[middle] < b))
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && first[low] == a && second[low] == b ? whole[low] : 0;
}

/* Tries over bytes */

static inline uint32_t child(const trie *r, uint32_t parent, uint8_t byte)
{
    uint32_t low = r->first[parent], high = r->first[parent + 1];
    while (high - low > 8) {
        uint32_t middle = (low + high) / 2;
        if (r->label[middle] <= byte)
            low = middle;
        else
            high = middle;
    }
    for (; low < high; low++)
        if (r->label[low] == byte)
            return low;
    return 0;
}

/* The node behind a character, 0 where there is none. */
static uint32_t step(const trie *r, uint32_t at, uint32_t c)
{
    uint8_t bytes[4];
    size_t n = encode_char(c, bytes);
    for (size_t k = 0; k < n; k++)
        if (!(at = child(r, at, bytes[k])))
            return 0;
    return at;
}

static int32_t exactly(const trie *r, const uint8_t *text, size_t bytes)
{
    uint32_t at = 0;
    if (!r->count || !bytes)
        return -1;
    for (size_t k = 0; k < bytes; k++)
        if (!(at = child(r, at, text[k])))
            return -1;
    return r->value[at];
}
