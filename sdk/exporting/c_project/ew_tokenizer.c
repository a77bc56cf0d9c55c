/* See ew_tokenizer.h. The steps and their order are those of Hugging Face's `tokenizers`, offsets included: a character
 * of the normalized text always comes from one of the given text, whose place is carried along in `from`.
 */
#define _POSIX_C_SOURCE 200809L
#include "ew_tokenizer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
        "the limit leaves no room for the text"};
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

/* The matcher of regular expressions: backtracks, with a stack of its own */

static int one_fits(const ew_tokenizer *t, const uint32_t *line, uint32_t c)
{
    return line[0] == RE_CHAR ? c == line[1] : has(t, c, line[1]);
}

static uint32_t fits(scratch *s, const ew_tokenizer *t, const uint32_t *program, uint32_t pc, const uint32_t *c, uint32_t at, uint32_t end, size_t base)
{
    size_t depth = base;
    branch *stack = s->branches.data;
    for (;;) {
        const uint32_t *line = program + 3 * pc;
        int ok = 1;
        switch (line[0]) {
        case RE_CHAR:
        case RE_CLASS:
            ok = at < end && one_fits(t, line, c[at]);
            at++, pc++;
            break;
        case RE_REPEAT: {
            uint32_t least = line[1] & ENDLESS, most = line[2], begin = at;
            while (at < end && at - begin < most && one_fits(t, line + 3, c[at]))
                at++;
            ok = at - begin >= least;
            pc += 2;
            if (ok && at - begin > least && !(line[1] >> 31)) {
                stack = room_for(s, &s->branches, depth + 1, sizeof *stack);
                stack[depth++] = (branch){pc, at, begin + least};
            }
            break;
        }
        case RE_SPLIT:
            stack = room_for(s, &s->branches, depth + 1, sizeof *stack);
            stack[depth++] = (branch){pc + line[2], at, NOWHERE};
            pc += line[1];
            break;
        case RE_JUMP:
            pc += line[1];
            break;
        case RE_LOOK:
        case RE_LOOK_NOT: {
            int found = fits(s, t, program, pc + 1, c, at, end, depth) != NOWHERE;
            stack = s->branches.data;
            ok = found == (line[0] == RE_LOOK);
            pc += line[1];
            break;
        }
        default:
            return at;
        }
        if (ok)
            continue;
        if (depth == base)
            return NOWHERE;
        branch *last = &stack[depth - 1];
        pc = last->pc;
        if (last->least == NOWHERE) {
            at = last->at, depth--;
        } else {
            at = --last->at;
            if (last->at == last->least)
                depth--;
        }
    }
}

/* Normalizers: from s->now to s->next */

static void decompose(scratch *s, const ew_tokenizer *t, int which, uint32_t bit)
{
    run *now = &s->now, *next = &s->next;
    for (size_t i = 0; i < now->n; i++) {
        uint32_t c = now->c[i], n = 1, jamo[3];
        const uint32_t *to = &c;
        if (c - 0xAC00 < 11172) {
            uint32_t k = c - 0xAC00;
            jamo[0] = 0x1100 + k / 588, jamo[1] = 0x1161 + k % 588 / 28, jamo[2] = 0x11A7 + k % 28;
            to = jamo, n = k % 28 ? 3 : 2;
        } else if (has(t, c, bit)) {
            n = mapped(t, which, c, &to);
            if (n == 0xFFFF)
                to = &c, n = 1;
        }
        for (uint32_t k = 0; k < n; k++)
            put(s, next, to[k], k != 0); /* `from` is a change for now: 1 of a character that was inserted */
    }
    for (size_t i = 1; i < next->n; i++) { /* canonical ordering: stable, by insertion */
        uint32_t c = next->c[i], change = next->from[i], rank = rank_of(t, c);
        size_t k = i;
        while (rank && k && rank_of(t, next->c[k - 1]) > rank) {
            next->c[k] = next->c[k - 1], next->from[k] = next->from[k - 1];
            k--;
        }
        next->c[k] = c, next->from[k] = change;
    }
}

static void compose(scratch *s, const ew_tokenizer *t)
{
    run *r = &s->next;
    size_t out = 0, starter = NOWHERE;
    uint32_t last = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint32_t c = r->c[i], rank = rank_of(t, c), whole = 0;
        if (starter != NOWHERE && (out == starter + 1 || last < rank))
            whole = composed(t, r->c[starter], c);
        if (whole) {
            r->c[starter] = whole;
            r->from[starter] += r->from[i] - 1;
            continue;
        }
        if (!rank)
            starter = out;
        last = rank;
        r->c[out] = c;
        r->from[out++] = r->from[i];
    }
    r->n = out;
}

/* Changes become places: an inserted character has the place of the one before it, one that swallows others its own. */
static void settle(scratch *s)
{
    run *now = &s->now, *next = &s->next;
    size_t at = 0;
    for (size_t i = 0; i < next->n; i++) {
        int32_t change = (int32_t)next->from[i];
        if (change > 0) {
            next->from[i] = at ? now->from[at - 1] : NOWHERE;
        } else {
            next->from[i] = at < now->n ? now->from[at] : NOWHERE;
            at += 1 - (size_t)change;
        }
    }
}

static int needs_form(const run *now, uint32_t below)
{
    for (size_t i = 0; i < now->n; i++)
        if (now->c[i] >= below)
            return 1;
    return 0;
}

static uint32_t cluster_end(const ew_tokenizer *t, const run *r, size_t i)
{
    uint32_t p = grapheme(t, r->c[i]);
    int picture = p & PICTOGRAPH ? 1 : 0, joined = p & CONSONANT ? 1 : 0;
    for (i++; i < r->n; i++) {
        uint32_t c = r->c[i], q = grapheme(t, c);
        if (!(r->c[i - 1] == '\r' && c == '\n')) {
            if ((p | q) & CONTROL)
                break;
            if (!((p & JAMO_L && q & (JAMO_L | JAMO_V | JAMO_LV | JAMO_LVT)) || (p & (JAMO_LV | JAMO_V) && q & (JAMO_V | JAMO_T))
                  || (p & (JAMO_LVT | JAMO_T) && q & JAMO_T) || q & EXTEND || p & PREPENDED || (joined == 2 && q & CONSONANT)
                  || (picture == 2 && q & PICTOGRAPH)))
                break;
        }
        picture = q & PICTOGRAPH ? 1 : picture == 1 && c == 0x200D ? 2 : picture && q & PICTURED ? 1 : 0;
        joined = q & CONSONANT ? 1 : joined && q & LINKER ? 2 : q & BETWEEN ? joined : 0;
        p = q;
    }
    return (uint32_t)i;
}

/* What the character map makes of the shortest beginning of some bytes that it knows, NULL where it knows none. */
static const uint8_t *charsmapped(const ew_tokenizer *t, const uint8_t *text, size_t bytes)
{
    const uint32_t *units = (const uint32_t *)t->at[CHARSMAP];
    size_t count = t->bytes[CHARSMAP] / 4, at = 0;
    if (!count)
        return NULL;
    uint32_t unit = units[0];
    at ^= (size_t)(unit >> 10) << ((unit & 512) >> 6);
    for (size_t k = 0; k < bytes && text[k]; k++) {
        at ^= text[k];
        if (at >= count)
            return NULL;
        unit = units[at];
        if ((unit & 0x800000FFu) != text[k])
            return NULL;
        at ^= (size_t)(unit >> 10) << ((unit & 512) >> 6);
        if (unit & 256) {
            size_t where = at < count ? units[at] & ENDLESS : t->bytes[CHARSMAP_STRINGS];
            return where < t->bytes[CHARSMAP_STRINGS] ? t->at[CHARSMAP_STRINGS] + where : NULL;
        }
    }
    return NULL;
}

/* Characters i to j of s->now become `text`: as many of them as there were are in place, others inserted or swallowed. */
static void put_mapped(scratch *s, const ew_tokenizer *t, size_t i, size_t j, const uint8_t *text)
{
    const uint8_t *end = t->at[CHARSMAP_STRINGS] + t->bytes[CHARSMAP_STRINGS];
    size_t n = 0, at = 0, begin = s->next.n;
    while (text + n < end && text[n])
        n++;
    while (at < n)
        put(s, &s->next, decode_char(text, n, &at), 0);
    size_t made = s->next.n - begin, had = j - i;
    for (size_t k = had; k < made; k++)
        s->next.from[begin + k] = 1;
    if (made < had && s->next.n)
        s->next.from[s->next.n - 1] -= (uint32_t)(had - made);
}

static void charsmap(scratch *s, const ew_tokenizer *t)
{
    run *now = &s->now;
    uint8_t bytes[8];
    for (size_t i = 0; i < now->n;) {
        size_t j = cluster_end(t, now, i), n = 0;
        for (size_t k = i; k < j && n < 6; k++) {
            uint8_t one[4];
            size_t more = encode_char(now->c[k], one);
            for (size_t m = 0; m < more && n < 8; m++)
                bytes[n++] = one[m];
        }
        const uint8_t *to = n < 6 ? charsmapped(t, bytes, n) : NULL;
        if (to) {
            put_mapped(s, t, i, j, to);
            i = j;
        }
        for (; i < j; i++) {
            to = charsmapped(t, bytes, encode_char(now->c[i], bytes));
            if (to)
                put_mapped(s, t, i, i + 1, to);
            else
                put(s, &s->next, now->c[i], 0);
        }
    }
    settle(s);
}

static size_t same_text(const ew_tokenizer *t, const uint32_t *text, const run *r, size_t at, size_t end)
{
    const uint8_t *bytes = t->at[STRINGS] + text[0];
    size_t n = text[1], k = 0, begin = at;
    while (k < n && at < end) {
        if (decode_char(bytes, n, &k) != r->c[at])
            return 0;
        at++;
    }
    return k == n ? at - begin : 0;
}

static void put_text(scratch *s, const ew_tokenizer *t, run *r, const uint32_t *text, uint32_t from)
{
    size_t k = 0;
    while (k < text[1])
        put(s, r, decode_char(t->at[STRINGS] + text[0], text[1], &k), from);
}

/* Replaces what a text or a pattern finds; `content` has the place of the last character that it stands for. */
static void replace(scratch *s, const ew_tokenizer *t, const uint32_t *text, const uint32_t *program, const uint32_t *content)
{
    run *now = &s->now;
    for (size_t i = 0; i < now->n;) {
        uint32_t stop = program ? fits(s, t, program, 0, now->c, (uint32_t)i, (uint32_t)now->n, 0) : NOWHERE;
        size_t n = program ? (stop == NOWHERE ? 0 : stop - i) : same_text(t, text, now, i, now->n);
        if (n) {
            put_text(s, t, &s->next, content, now->from[i + n - 1]);
            i += n;
        } else {
            put(s, &s->next, now->c[i], now->from[i]);
            i++;
        }
    }
}

static size_t normalizer_length(const uint32_t *op)
{
    static const uint8_t lengths[] = {1, 3, 2, 3, 1, 2, 2, 4, 5, 4, 3, 1};
    return op[0] == OP_REPLACE_PATTERN ? 4 + op[3] : lengths[op[0]];
}

static void normalize_by(scratch *s, const ew_tokenizer *t, const uint32_t *op)
{
    run *now = &s->now, *next = &s->next;
    next->n = 0;
    switch (op[0]) {
    case OP_MAP:
        for (size_t i = 0; i < now->n; i++)
            if (!has(t, now->c[i], op[1]))
                put(s, next, has(t, now->c[i], op[2]) ? ' ' : now->c[i], now->from[i]);
        break;
    case OP_DROP:
        for (size_t i = 0; i < now->n; i++)
            if (!has(t, now->c[i], op[1]))
                put(s, next, now->c[i], now->from[i]);
        break;
    case OP_SPACED:
        for (size_t i = 0; i < now->n; i++) {
            int wide = has(t, now->c[i], op[1]);
            if (wide)
                put(s, next, ' ', now->from[i]);
            put(s, next, now->c[i], now->from[i]);
            if (wide)
                put(s, next, ' ', now->from[i]);
        }
        break;
    case OP_LOWER:
        for (size_t i = 0; i < now->n; i++) {
            const uint32_t *to = &now->c[i];
            uint32_t n = has(t, now->c[i], op[1]) ? mapped(t, LOWERED, now->c[i], &to) : 1;
            for (uint32_t k = 0; k < (n == 0xFFFF ? 1 : n); k++)
                put(s, next, to[k], now->from[i]);
        }
        break;
    case OP_DECOMPOSE: {
        int composes = op[3] == OP_COMPOSE;
        if (!needs_form(now, op[1] ? 0xA0 : composes ? 0x300 : 0xC0))
            return;
        decompose(s, t, op[1] ? NFKD : NFD, op[2]);
        if (composes)
            compose(s, t);
        settle(s);
        break;
    }
    case OP_COMPOSE:
        return;
    case OP_STRIP: {
        size_t begin = 0, end = now->n;
        while (op[2] && begin < end && has(t, now->c[begin], op[1]))
            begin++;
        while (op[3] && end > begin && has(t, now->c[end - 1], op[1]))
            end--;
        for (; begin < end; begin++)
            put(s, next, now->c[begin], now->from[begin]);
        break;
    }
    case OP_REPLACE:
        replace(s, t, op + 1, NULL, op + 3);
        break;
    case OP_REPLACE_PATTERN:
        replace(s, t, NULL, op + 4, op + 1);
        break;
    case OP_PREPEND:
        if (now->n)
            put_text(s, t, next, op + 1, now->from[0]);
        for (size_t i = 0; i < now->n; i++)
            put(s, next, now->c[i], now->from[i]);
        break;
    case OP_CHARSMAP:
        charsmap(s, t);
        break;
    default:
        return;
    }
    swap_runs(now, next);
}

/* Pieces */

static void add_piece(scratch *s, pool *p, size_t *count, uint32_t start, uint32_t end, int32_t id)
{
    piece *pieces = room_for(s, p, *count + 1, sizeof *pieces);
    pieces[(*count)++] = (piece){start, end, id};
}

/* Matches and what is between them, in order, become pieces of s->more; `id` of a mark is whether it matched. */
static void fold(scratch *s, size_t marks, uint32_t behavior, int inverted, size_t *count)
{
    piece *m = s->marks.data, *last = NULL;
    int before = 0;
    size_t first = *count;
    for (size_t i = 0; i < marks; i++)
        m[i].id ^= inverted;
    if (behavior == WITH_NEXT) { /* from the end: a match takes the piece behind it */
        size_t out = marks;
        for (size_t i = marks; i-- > 0;) {
            int matched = m[i].id;
            if (matched && !before && out < marks)
                m[out].start = m[i].start;
            else
                m[--out] = m[i];
            before = matched;
        }
        for (; out < marks; out++)
            if (m[out].start < m[out].end)
                add_piece(s, &s->more, count, m[out].start, m[out].end, -1);
        return;
    }
    for (size_t i = 0; i < marks; i++) {
        int matched = m[i].id;
        last = *count > first ? (piece *)s->more.data + *count - 1 : NULL;
        if (behavior == REMOVED && matched)
            continue;
        if (last && ((behavior == WITH_PREVIOUS && matched && !before) || (behavior == CONTIGUOUS && matched == before)))
            last->end = m[i].end;
        else if (m[i].start < m[i].end)
            add_piece(s, &s->more, count, m[i].start, m[i].end, -1);
        before = matched;
    }
}

static void mark(scratch *s, size_t *marks, uint32_t *done, uint32_t start, uint32_t end)
{
    if (*done < start)
        add_piece(s, &s->marks, marks, *done, start, 0);
    add_piece(s, &s->marks, marks, start, end, 1);
    *done = end;
}

static void split_piece(scratch *s, const ew_tokenizer *t, const uint32_t *op, const piece *p, size_t *count)
{
    const run *r = &s->text;
    size_t marks = 0;
    uint32_t done = p->start;
    if (op[0] == OP_WORDS) {
        for (uint32_t i = p->start; i < p->end;) {
            uint32_t kind = has(t, r->c[i], op[1]) ? op[1] : op[2], j = i;
            while (j < p->end && has(t, r->c[j], kind) && (kind == op[1] || !has(t, r->c[j], op[1])))
                j++;
            if (j > i)
                add_piece(s, &s->more, count, i, j, -1);
            i = j > i ? j : i + 1;
        }
        return;
    }
    for (uint32_t i = p->start; i < p->end;) {
        uint32_t stop = i;
        if (op[0] == OP_CLASS)
            stop = has(t, r->c[i], op[1]) ? i + 1 : i;
        else if (op[0] == OP_LITERAL)
            stop = i + (uint32_t)same_text(t, op + 3, r, i, p->end);
        else if ((stop = fits(s, t, op + 4, 0, r->c, i, p->end, 0)) == NOWHERE)
            stop = i;
        if (stop > i)
            mark(s, &marks, &done, i, stop);
        i = stop > i ? stop : i + 1;
    }
    if (done < p->end)
        add_piece(s, &s->marks, &marks, done, p->end, 0);
    fold(s, marks, op[0] == OP_CLASS ? op[2] : op[1], op[0] == OP_CLASS ? 0 : (int)op[2], count);
}

/* Puts a character before pieces that do not begin with it, all or those at the beginning of the text alone. */
static void lead_with(scratch *s, uint32_t c, uint32_t scheme)
{
    piece *pieces = s->pieces.data;
    run *text = &s->text, *spare = &s->spare;
    spare->n = 0;
    for (size_t i = 0; i < s->piece_count; i++) {
        piece *p = &pieces[i];
        uint32_t start = (uint32_t)spare->n, from = text->from[p->start];
        if (p->id < 0 && text->c[p->start] != c && (scheme == 0 || (scheme == 1 && (from == 0 || from == NOWHERE))))
            put(s, spare, c, from);
        for (uint32_t k = p->start; k < p->end; k++)
            put(s, spare, text->c[k], text->from[k]);
        p->start = start;
        p->end = (uint32_t)spare->n;
    }
    swap_runs(text, spare);
}

static size_t pre_tokenizer_length(const uint32_t *op)
{
    static const uint8_t lengths[] = {3, 4, 5, 3, 4, 1};
    return op[0] == OP_PATTERN ? 4 + op[3] : lengths[op[0] - OP_CLASS];
}

static void pre_tokenize_by(scratch *s, const ew_tokenizer *t, const uint32_t *op)
{
    size_t count = 0;
    piece *pieces = s->pieces.data;
    if (op[0] == OP_LEADING_SPACE) {
        lead_with(s, ' ', 0);
        return;
    }
    if (op[0] == OP_METASPACE) {
        for (size_t i = 0; i < s->piece_count; i++)
            for (uint32_t k = pieces[i].start; pieces[i].id < 0 && k < pieces[i].end; k++)
                if (s->text.c[k] == ' ')
                    s->text.c[k] = op[1];
        if (op[2] != 2)
            lead_with(s, op[1], op[2]);
        if (!op[3])
            return;
    }
    for (size_t i = 0; i < s->piece_count; i++) {
        piece *p = (piece *)s->pieces.data + i;
        if (p->id >= 0) {
            add_piece(s, &s->more, &count, p->start, p->end, p->id);
        } else if (op[0] == OP_METASPACE) {
            size_t marks = 0;
            uint32_t done = p->start;
            for (uint32_t k = p->start; k < p->end; k++)
                if (s->text.c[k] == op[1])
                    mark(s, &marks, &done, k, k + 1);
            if (done < p->end)
                add_piece(s, &s->marks, &marks, done, p->end, 0);
            fold(s, marks, WITH_NEXT, 0, &count);
        } else {
            split_piece(s, t, op, p, &count);
        }
    }
    pool kept = s->pieces;
    s->pieces = s->more, s->more = kept;
    s->piece_count = count;
}

/* Added tokens */

/* The longest added token at a place: its number and where it ends. */
static int32_t added_at(const trie *r, const run *text, size_t at, size_t end, size_t *stop)
{
    int32_t found = -1;
    uint32_t here = 0;
    for (size_t k = at; k < end && (here = step(r, here, text->c[k])); k++)
        if (r->value[here] >= 0)
            found = r->value[here], *stop = k + 1;
    return found;
}

/* Added tokens of a run and what is between them, as marks from `base` on: their number. */
static size_t stretches(scratch *s, const ew_tokenizer *t, const trie *r, const run *text, int literal, size_t base)
{
    const uint32_t *added = (const uint32_t *)t->at[ADDED];
    size_t count = base, done = 0, n = text->n;
    for (size_t i = 0; r->count && i < n;) {
        size_t stop = i;
        int32_t place = added_at(r, text, i, n, &stop);
        if (place < 0) {
            i++;
            continue;
        }
        uint32_t flags = added[2 + 2 * place + 1];
        size_t start = i, end = stop;
        i = stop;
        if (literal && flags & IS_SPECIAL)
            continue;
        if (flags & SINGLE_WORD && ((start && has(t, text->c[start - 1], added[1])) || (end < n && has(t, text->c[end], added[1]))))
            continue;
        while (flags & LSTRIP && start > done && has(t, text->c[start - 1], added[0]))
            start--;
        while (flags & RSTRIP && end < n && has(t, text->c[end], added[0]))
            end++;
        if (done < start)
            add_piece(s, &s->marks, &count, (uint32_t)done, (uint32_t)start, -1);
        add_piece(s, &s->marks, &count, (uint32_t)start, (uint32_t)end, (int32_t)added[2 + 2 * place]);
        done = end;
    }
    if (done < n)
        add_piece(s, &s->marks, &count, (uint32_t)done, (uint32_t)n, -1);
    return count;
}

static void append(scratch *s, const run *r, uint32_t start, uint32_t end, int32_t id)
{
    uint32_t begin = (uint32_t)s->text.n;
    for (uint32_t k = start; k < end; k++)
        put(s, &s->text, r->c[k], r->from[k]);
    if (start < end)
        add_piece(s, &s->pieces, &s->piece_count, begin, (uint32_t)s->text.n, id);
}

/* A text as pieces of s->text: added tokens, and normalized plain text between them. */
static void segment(scratch *s, const ew_tokenizer *t, const uint8_t *text, size_t bytes, int literal)
{
    s->raw.n = s->text.n = s->piece_count = 0;
    for (size_t at = 0; at < bytes;)
        put(s, &s->raw, decode_char(text, bytes, &at), (uint32_t)s->raw.n);
    size_t first = stretches(s, t, &t->raw, &s->raw, literal, 0);
    for (size_t i = 0; i < first; i++) {
        piece p = ((piece *)s->marks.data)[i];
        if (p.id >= 0) {
            append(s, &s->raw, p.start, p.end, p.id);
            continue;
        }
        s->now.n = 0;
        for (uint32_t k = p.start; k < p.end; k++)
            put(s, &s->now, s->raw.c[k], s->raw.from[k]);
        for (const uint32_t *op = (const uint32_t *)t->at[NORMALIZER]; op[0] != OP_END; op += normalizer_length(op))
            normalize_by(s, t, op);
        size_t last = stretches(s, t, &t->normalized, &s->now, literal, first);
        for (size_t k = first; k < last; k++) {
            piece q = ((piece *)s->marks.data)[k];
            append(s, &s->now, q.start, q.end, q.id);
        }
    }
}

/* Models: a piece of s->text becomes tokens of a side */

static void add_token(scratch *s, int side, int32_t id, uint32_t first, uint32_t last, uint32_t word)
{
    ew_token *tokens = room_for(s, &s->sides[side], s->side_count[side] + 1, sizeof *tokens);
    uint32_t start = s->text.from[first], end = s->text.from[last];
    tokens[s->side_count[side]++] = (ew_token){id, start == NOWHERE ? 0 : start, end == NOWHERE ? 0 : end + 1, word, (int8_t)side, 0, 0, 0};
}

static int spacelike(const ew_tokenizer *t, uint32_t c)
{
    const int32_t *bit = (const int32_t *)t->at[ADDED];
    return c == (uint32_t)t->byte_ids[256 + ' '] || (*bit >= 0 && has(t, c, (uint32_t)*bit));
}

/* An added token, with the spaces at its ends that it took along. */
static void add_added(scratch *s, const ew_tokenizer *t, int side, const piece *p, uint32_t word)
{
    uint32_t lead = 0, tail = 0, n = p->end - p->start;
    add_token(s, side, p->id, p->start, p->end - 1, word);
    while (lead < n && lead < 255 && spacelike(t, s->text.c[p->start + lead]))
        lead++;
    while (tail < n && tail < 255 && spacelike(t, s->text.c[p->end - 1 - tail]))
        tail++;
    ew_token *last = (ew_token *)s->sides[side].data + s->side_count[side] - 1;
    last->lead = (uint8_t)lead, last->tail = (uint8_t)tail;
}

/* The bytes of a piece, and for each the number of its character in s->text. */
static size_t spell(scratch *s, const piece *p, uint8_t **bytes, uint32_t **places)
{
    size_t n = 0;
    *bytes = room_for(s, &s->bytes, 4 * (size_t)(p->end - p->start) + 4, 1);
    *places = room_for(s, &s->places, 4 * (size_t)(p->end - p->start) + 4, sizeof **places);
    for (uint32_t k = p->start; k < p->end; k++) {
        size_t more = encode_char(s->text.c[k], *bytes + n);
        for (size_t m = 0; m < more; m++)
            (*places)[n++] = k;
    }
    return n;
}

static void wordpiece(scratch *s, const ew_tokenizer *t, const piece *p, uint32_t word, int side)
{
    uint8_t *bytes;
    uint32_t *places;
    size_t n = spell(s, p, &bytes, &places), begin = s->side_count[side], at = 0;
    int known = p->end - p->start <= t->most_chars;
    while (known && at < n) {
        const trie *r = at ? &t->inner : &t->vocabulary;
        uint32_t here = 0;
        size_t stop = at;
        int32_t id = -1;
        for (size_t k = at; r->count && k < n && (here = child(r, here, bytes[k])); k++)
            if (r->value[here] >= 0)
                id = r->value[here], stop = k + 1;
        known = id >= 0;
        if (known)
            add_token(s, side, id, places[at], places[stop - 1], word);
        at = stop;
    }
    if (!known) {
        s->side_count[side] = begin;
        add_token(s, side, t->unknown, p->start, p->end - 1, word);
    }
}

static const uint32_t *merged(const ew_tokenizer *t, int32_t a, int32_t b)
{
    uint32_t h = (uint32_t)a * 0x9E3779B1u ^ (uint32_t)b * 0x85EBCA6Bu;
    for (h = (h ^ h >> 15) & t->merge_mask;; h = (h + 1) & t->merge_mask) {
        const uint32_t *slot = t->merges + 4 * (size_t)h;
        if (slot[0] == NOWHERE)
            return NULL;
        if (slot[0] == (uint32_t)a && slot[1] == (uint32_t)b)
            return slot;
    }
}

static inline int before(const merge *a, const merge *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->at < b->at);
}

static void push(scratch *s, size_t *n, uint32_t rank, uint32_t at, uint32_t id)
{
    merge *heap = room_for(s, &s->heap, *n + 1, sizeof *heap), one = {rank, at, id};
    size_t i = (*n)++;
    for (; i && before(&one, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = one;
}

static merge pop(scratch *s, size_t *n)
{
    merge *heap = s->heap.data, top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k >= *n)
            break;
        if (k + 1 < *n && before(&heap[k + 1], &heap[k]))
            k++;
        if (!before(&heap[k], &last))
            break;
        heap[i] = heap[k];
        i = k;
    }
    heap[i] = last;
    return top;
}

static void add_symbol(scratch *s, size_t *n, int32_t id, uint32_t start, uint32_t bytes)
{
    symbol *all = room_for(s, &s->symbols, *n + 1, sizeof *all);
    all[*n] = (symbol){id, (int32_t)*n - 1, (int32_t)*n + 1, bytes, start};
    ++*n;
}

/* The characters of a piece, or its bytes, as symbols; what is unknown is one, or several that are one. */
static size_t symbols_of(scratch *s, const ew_tokenizer *t, const uint8_t *bytes, size_t n)
{
    size_t count = 0, unknown_bytes = 0, at = 0, length = 0;
    while (at < n) {
        size_t next = at;
        if (t->bytewise)
            next++;
        else
            decode_char(bytes, n, &next);
        uint32_t wide = (uint32_t)(next - at);
        int32_t id = t->bytewise ? t->byte_ids[bytes[at]] : exactly(&t->vocabulary, bytes + at, wide);
        int spelled = id < 0 && !t->bytewise && t->fallback;
        for (size_t k = at; spelled && k < next; k++)
            spelled = t->byte_ids[bytes[k]] >= 0;
        if (id >= 0 && unknown_bytes) {
            add_symbol(s, &count, t->unknown, (uint32_t)length, (uint32_t)unknown_bytes);
            length += unknown_bytes, unknown_bytes = 0;
        }
        if (id >= 0) {
            add_symbol(s, &count, id, (uint32_t)length, wide);
            length += wide;
        } else if (spelled) {
            for (size_t k = at; k < next; k++, length++)
                add_symbol(s, &count, t->byte_ids[bytes[k]], (uint32_t)length, 1);
        } else if (t->unknown >= 0) {
            if (unknown_bytes && !t->fuse) {
                add_symbol(s, &count, t->unknown, (uint32_t)length, (uint32_t)unknown_bytes);
                length += unknown_bytes, unknown_bytes = 0;
            }
            unknown_bytes += wide;
        }
        at = next;
    }
    if (unknown_bytes)
        add_symbol(s, &count, t->unknown, (uint32_t)length, (uint32_t)unknown_bytes);
    if (count)
        ((symbol *)s->symbols.data)[count - 1].after = -1;
    return count;
}

static void bpe(scratch *s, const ew_tokenizer *t, const piece *p, uint32_t word, int side)
{
    uint8_t *bytes;
    uint32_t *places;
    size_t n = spell(s, p, &bytes, &places), queued = 0;
    if (t->ignore_merges) {
        int32_t whole = -1;
        if (t->bytewise) { /* the vocabulary spells bytes as characters */
            uint32_t here = 0;
            for (size_t k = 0; k < n; k++)
                if (!(here = step(&t->vocabulary, here, (uint32_t)t->byte_ids[256 + bytes[k]])))
                    break;
            whole = here ? t->vocabulary.value[here] : -1;
        } else {
            whole = exactly(&t->vocabulary, bytes, n);
        }
        if (whole >= 0) {
            add_token(s, side, whole, p->start, p->end - 1, word);
            return;
        }
    }
    size_t count = symbols_of(s, t, bytes, n);
    symbol *all = s->symbols.data;
    for (size_t i = 0; i + 1 < count; i++) {
        const uint32_t *m = merged(t, all[i].id, all[i + 1].id);
        if (m)
            push(s, &queued, m[2], (uint32_t)i, m[3]);
    }
    while (queued) {
        merge top = pop(s, &queued);
        symbol *here = &all[top.at];
        if (!here->bytes || here->after < 0)
            continue;
        symbol *right = &all[here->after];
        const uint32_t *m = merged(t, here->id, right->id);
        if (!m || m[3] != top.id)
            continue;
        here->id = (int32_t)top.id;
        here->bytes += right->bytes;
        here->after = right->after;
        right->bytes = 0;
        if (here->after >= 0) {
            all[here->after].before = (int32_t)top.at;
            if ((m = merged(t, here->id, all[here->after].id)))
                push(s, &queued, m[2], top.at, m[3]);
        }
        if (here->before >= 0 && (m = merged(t, all[here->before].id, here->id)))
            push(s, &queued, m[2], (uint32_t)here->before, m[3]);
    }
    for (size_t i = 0; i < count; i++)
        if (all[i].bytes)
            add_token(s, side, all[i].id, places[all[i].start], places[all[i].start + all[i].bytes - 1], word);
}

/* Viterbi's best path (Kudo 2018, arXiv 1804.10959), as `tokenizers` walks it: the first of equals stays. */
static void unigram(scratch *s, const ew_tokenizer *t, const piece *p, uint32_t word, int side)
{
    uint8_t *bytes;
    uint32_t *places;
    size_t n = spell(s, p, &bytes, &places), begin = s->side_count[side];
    node *best = room_for(s, &s->nodes, n + 1, sizeof *best);
    const trie *r = &t->vocabulary;
    for (size_t i = 0; i <= n; i++)
        best[i] = (node){0, -1, -1};
    for (size_t at = 0; at < n;) {
        size_t next = at;
        int single = 0;
        uint32_t here = 0;
        decode_char(bytes, n, &next);
        for (size_t k = at; k < n && (here = child(r, here, bytes[k])); k++) {
            int32_t id = r->value[here];
            if (id < 0)
                continue;
            double score = t->scores[id] + best[at].score;
            if (best[k + 1].start < 0 || score > best[k + 1].score)
                best[k + 1] = (node){score, (int32_t)at, id};
            single |= k + 1 == next;
        }
        if (!single) {
            double score = t->least_score - 10.0 + best[at].score;
            if (best[next].start < 0 || score > best[next].score)
                best[next] = (node){score, (int32_t)at, t->unknown};
        }
        at = next;
    }
    for (size_t end = n; end > 0;) { /* from the end; the tokens are turned round below */
        size_t start = (size_t)best[end].start;
        int32_t id = best[end].id;
        if (t->unknown >= 0 && id == t->unknown) {
            while (start > 0 && best[start].id == t->unknown)
                start = (size_t)best[start].start;
            int32_t whole = exactly(r, bytes + start, end - start);
            id = whole >= 0 ? whole : id;
            int spelled = whole < 0 && t->fallback;
            for (size_t k = start; spelled && k < end; k++)
                spelled = t->byte_ids[bytes[k]] >= 0;
            for (size_t k = end; spelled && k-- > start;)
                add_token(s, side, t->byte_ids[bytes[k]], places[start], places[end - 1], word);
            if (spelled) {
                end = start;
                continue;
            }
        }
        add_token(s, side, id, places[start], places[end - 1], word);
        end = start;
    }
    ew_token *tokens = s->sides[side].data;
    for (size_t a = begin, b = s->side_count[side]; a + 1 < b; a++) {
        ew_token kept = tokens[a];
        tokens[a] = tokens[--b], tokens[b] = kept;
    }
}

static void tokenize(scratch *s, const ew_tokenizer *t, const char *text, size_t bytes, int literal, int side)
{
    s->side_count[side] = 0;
    segment(s, t, (const uint8_t *)text, bytes, literal);
    for (const uint32_t *op = (const uint32_t *)t->at[PRE_TOKENIZER]; op[0] != OP_END; op += pre_tokenizer_length(op))
        pre_tokenize_by(s, t, op);
    for (size_t i = 0; i < s->piece_count; i++) {
        piece p = ((piece *)s->pieces.data)[i];
        if (p.id >= 0) {
            add_added(s, t, side, &p, (uint32_t)i);
        } else if (t->kind == WORDPIECE) {
            wordpiece(s, t, &p, (uint32_t)i, side);
        } else if (t->kind == BPE) {
            bpe(s, t, &p, (uint32_t)i, side);
        } else if (t->kind == UNIGRAM) {
            unigram(s, t, &p, (uint32_t)i, side);
        } else {
            uint8_t *spelled;
            uint32_t *places;
            size_t n = spell(s, &p, &spelled, &places);
            int32_t id = exactly(&t->vocabulary, spelled, n);
            add_token(s, side, id < 0 ? t->unknown : id, p.start, p.end - 1, (uint32_t)i);
        }
    }
}

/* From tokens to what a model is given */

static ew_token trimmed(const ew_tokenizer *t, ew_token one, int first)
{
    uint32_t flags = (uint32_t)one.id < t->ids ? t->token_flags[one.id] : 0;
    int added = (flags & IS_ADDED) != 0;
    uint32_t lead = added ? one.lead : flags >> 8 & 255, tail = added ? one.tail : flags >> 16 & 255;
    if (lead) {
        if (lead == 1 && (first || one.start == 0) && t->trims == 2)
            lead--;
        one.start = one.start + lead < one.end ? one.start + lead : one.end;
    }
    if (tail && one.end >= tail)
        one.end = one.end - tail > one.start ? one.end - tail : one.start;
    return one;
}

static void lay_out(scratch *s, const ew_tokenizer *t, ew_encoding *e, const size_t from[2], const size_t to[2], int pair, int bare)
{
    const uint32_t *part = (const uint32_t *)t->at[pair ? PAIR_TEMPLATE : TEMPLATE];
    size_t parts = t->bytes[pair ? PAIR_TEMPLATE : TEMPLATE] / 12;
    ew_token *out = room_for(s, &s->all, to[0] - from[0] + (pair ? to[1] - from[1] : 0) + parts + 1, sizeof *out);
    size_t n = 0;
    for (size_t i = 0; i < parts; i++, part += 3) {
        if (part[0] == 2) {
            if (!bare)
                out[n++] = (ew_token){(int32_t)part[1], 0, 0, EW_NO_WORD, -1, (uint8_t)part[2], 0, 0};
            continue;
        }
        const ew_token *tokens = s->sides[part[0]].data;
        for (size_t k = from[part[0]]; k < to[part[0]]; k++) {
            out[n] = t->trims ? trimmed(t, tokens[k], k == from[part[0]]) : tokens[k];
            out[n++].type = (uint8_t)part[2];
        }
    }
    e->tokens = out;
    e->count = n;
}

size_t ew_added_count(const ew_tokenizer *t, int pair)
{
    const uint32_t *part = (const uint32_t *)t->at[pair ? PAIR_TEMPLATE : TEMPLATE];
    size_t n = 0;
    for (size_t i = 0; i < t->bytes[pair ? PAIR_TEMPLATE : TEMPLATE] / 12; i++)
        n += part[3 * i] == 2;
    return n;
}

static int ready(ew_encoding *e, size_t bytes, size_t pair_bytes)
{
    if (bytes > EW_MOST_TEXT_BYTES || pair_bytes > EW_MOST_TEXT_BYTES)
        return EW_TOO_LONG;
    if (!e->scratch)
        e->scratch = calloc(1, sizeof *e->scratch);
    e->count = 0;
    return e->scratch ? EW_OK : EW_MEMORY;
}

/* How many tokens of each text are kept. */
static int cut(const scratch *s, const ew_ways *ways, size_t added, int pair, size_t keep[2])
{
    size_t a = s->side_count[0], b = pair ? s->side_count[1] : 0;
    keep[0] = a, keep[1] = b;
    if (!ways->limit || a + b + added <= ways->limit)
        return EW_OK;
    if (ways->limit < added)
        return EW_NO_ROOM;
    size_t most = ways->limit - added;
    if (!pair) {
        keep[0] = most;
    } else if (ways->cut_first) {
        if (b >= most)
            return EW_NO_ROOM;
        keep[0] = most - b;
    } else {
        size_t low = a < b ? a : b, high = low > most ? low : low > most - low ? low : most - low;
        if (low + high > most)
            low = most / 2, high = low + most % 2;
        keep[a > b ? 1 : 0] = low, keep[a > b ? 0 : 1] = high;
    }
    return EW_OK;
}

static int encode(scratch *s, const ew_tokenizer *t, ew_encoding *e, const char *text, size_t bytes, const char *pair, size_t pair_bytes, const ew_ways *w)
{
    size_t keep[2], from[2] = {0, 0}, added = w->bare ? 0 : ew_added_count(t, pair != NULL);
    tokenize(s, t, text, bytes, w->literal, 0);
    if (pair)
        tokenize(s, t, pair, pair_bytes, w->literal, 1);
    int code = cut(s, w, added, pair != NULL, keep);
    if (code == EW_NO_ROOM && w->cut_first) { /* the second alone is too long: both are cut */
        ew_ways both = *w;
        both.cut_first = 0;
        code = cut(s, &both, added, pair != NULL, keep);
    }
    if (code)
        return code;
    for (int side = 0; w->cut_left && side < 1 + (pair != NULL); side++) {
        from[side] = s->side_count[side] - keep[side];
        keep[side] = s->side_count[side];
    }
    lay_out(s, t, e, from, keep, pair != NULL, w->bare);
    return EW_OK;
}

int ew_encode(const ew_tokenizer *t, ew_encoding *e, const char *text, size_t bytes, const char *pair, size_t pair_bytes, const ew_ways *ways)
{
    static const ew_ways usual = {0, 0, 0, 0, 0};
    int code = ready(e, bytes, pair ? pair_bytes : 0);
    if (!code && !(code = setjmp(e->scratch->out)))
        code = encode(e->scratch, t, e, text, bytes, pair, pair_bytes, ways ? ways : &usual);
    return code;
}

void ew_encoding_free(ew_encoding *e)
{
    scratch *s = e->scratch;
    if (s) {
        run *runs[] = {&s->raw, &s->now, &s->next, &s->text, &s->spare};
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
            free(runs[i]->c), free(runs[i]->from);
        for (pool *p = &s->pieces; p <= &s->all; p++)
            free(p->data);
        free(s);
    }
    memset(e, 0, sizeof *e);
}

static int windows(scratch *s, const ew_tokenizer *t, const char *text, size_t bytes, const char *pair, size_t pair_bytes, uint32_t limit)
{
    size_t added = ew_added_count(t, 1), room = limit > added ? limit - added : 0;
    tokenize(s, t, text, bytes, 0, 0);
    if (s->side_count[0] > room / 2 && room / 2 > 0) { /* the first text gives way: what its tokens cover is kept */
        ew_token last = ((ew_token *)s->sides[0].data)[room / 2 - 1];
        size_t at = 0;
        if (t->trims)
            last = trimmed(t, last, room / 2 == 1);
        for (uint32_t k = 0; k < last.end; k++)
            decode_char((const uint8_t *)text, bytes, &at);
        tokenize(s, t, text, at, 0, 0);
    }
    if (s->side_count[0] >= room)
        return EW_NO_ROOM;
    tokenize(s, t, pair, pair_bytes, 0, 1);
    return EW_OK;
}

int ew_windows_begin(const ew_tokenizer *t, ew_encoding *e, const char *text, size_t bytes, const char *pair, size_t pair_bytes, uint32_t limit)
{
    int code = ready(e, bytes, pair_bytes);
    if (!code && !(code = setjmp(e->scratch->out)))
        code = windows(e->scratch, t, text, bytes, pair, pair_bytes, limit);
    return code;
}

size_t ew_windows_count(const ew_tokenizer *t, const ew_encoding *e, uint32_t limit, uint32_t *stride)
{
    size_t room = limit - ew_added_count(t, 1) - e->scratch->side_count[0], n = e->scratch->side_count[1];
    uint32_t most = 128; /* tokens that two windows share: the document stride of BERT's run_squad.py */
    most = most < limit / 2 ? most : limit / 2;
    *stride = most < room / 2 ? most : (uint32_t)(room / 2);
    return n <= room ? 1 : 1 + (n - room + room - *stride - 1) / (room - *stride);
}

int ew_window(const ew_tokenizer *t, ew_encoding *e, size_t next, uint32_t limit, uint32_t stride)
{
    scratch *s = e->scratch;
    size_t room = limit - ew_added_count(t, 1) - s->side_count[0], n = s->side_count[1];
    size_t begin = next * (room - stride), end = begin + room < n ? begin + room : n;
    if (begin > n)
        return EW_NO_ROOM;
    int code = setjmp(s->out);
    if (!code)
        lay_out(s, t, e, (size_t[]){0, begin}, (size_t[]){s->side_count[0], end}, 1, 0);
    return code;
}

/* The file */

static int tries(const ew_tokenizer *t, int which, trie *r)
{
    const uint32_t *table = (const uint32_t *)t->at[which];
    size_t bytes = t->bytes[which];
    memset(r, 0, sizeof *r);
    if (bytes < 4)
        return bytes == 0;
    r->count = table[0];
    if ((uint64_t)r->count * 9 + 8 > bytes)
        return 0;
    r->first = table + 1;
    r->value = (const int32_t *)(r->first + r->count + 1);
    r->label = (const uint8_t *)(r->value + r->count);
    for (uint32_t i = 0; i < r->count; i++) /* children stand behind their parent, so that every walk ends */
        if (r->first[i] <= i || r->first[i] > r->first[i + 1] || r->first[i + 1] > r->count || r->value[i] >= (int32_t)MOST_IDS)
            return 0;
    return 1;
}

static int sections(ew_tokenizer *t)
{
    const uint8_t *m = t->map;
    uint64_t size, sum;
    uint32_t count;
    if (t->size < 32 + 16 * SECTIONS || t->size % 4 || memcmp(m, "EWTOK\0\0\1", 8))
        return 0;
    memcpy(&size, m + 8, 8), memcpy(&sum, m + 16, 8), memcpy(&count, m + 24, 4);
    if (size != t->size || count != SECTIONS)
        return 0;
    uint32_t low = 0, high = 0;
    for (size_t i = 32; i < t->size; i += 4) {
        uint32_t word;
        memcpy(&word, m + i, 4);
        high += low += word;
    }
    if (sum != ((uint64_t)high << 32 | low))
        return 0;
    for (int i = 0; i < SECTIONS; i++) {
        uint64_t at, bytes;
        memcpy(&at, m + 32 + 16 * i, 8), memcpy(&bytes, m + 40 + 16 * i, 8);
        if (at % 8 || at > t->size || bytes > t->size - at)
            return 0;
        t->at[i] = m + at;
        t->bytes[i] = bytes;
    }
    return 1;
}

static int understood(ew_tokenizer *t)
{
    const uint32_t *p = (const uint32_t *)t->at[PARAMETERS];
    if (t->bytes[PARAMETERS] != 44 || t->bytes[PAGES] != 0x110000 / 128 * 2 || t->bytes[BYTE_IDS] < 512 * 4)
        return 0;
    t->kind = (int32_t)p[0], t->unknown = (int32_t)p[1], t->most_chars = p[2], t->ids = p[3];
    t->bytewise = p[4] != 0, t->ignore_merges = p[5] != 0, t->fuse = p[6] != 0, t->fallback = p[7] != 0, t->trims = p[8];
    t->prefix = p[9], t->prefix_bytes = p[10];
    t->pages = (const uint16_t *)t->at[PAGES], t->properties = (const uint32_t *)t->at[PROPERTIES];
    t->grapheme_pages = (const uint16_t *)t->at[GRAPHEME_PAGES], t->graphemes = (const uint16_t *)t->at[GRAPHEMES];
    t->token_at = (const uint32_t *)t->at[TOKENS], t->token_flags = (const uint32_t *)t->at[TOKEN_FLAGS];
    t->byte_ids = (const int32_t *)t->at[BYTE_IDS], t->scores = (const double *)t->at[SCORES];
    for (size_t i = 0; i < 0x110000 / 128; i++)
        if (((size_t)t->pages[i] + 1) * 512 > t->bytes[PROPERTIES]
            || (t->bytes[GRAPHEME_PAGES] && ((size_t)t->grapheme_pages[i] + 1) * 256 > t->bytes[GRAPHEMES]))
            return 0;
    if (t->bytes[MERGES]) {
        t->merge_mask = *(const uint32_t *)t->at[MERGES];
        t->merges = (const uint32_t *)t->at[MERGES] + 1;
        if (((size_t)t->merge_mask + 1) * 16 + 4 > t->bytes[MERGES])
            return 0;
    }
    t->least_score = 0;
    for (size_t i = 0; i < t->bytes[SCORES] / 8; i++)
        t->least_score = i && t->least_score < t->scores[i] ? t->least_score : t->scores[i];
    return t->kind >= WORDPIECE && t->kind <= WORDLEVEL && t->ids <= MOST_IDS && t->bytes[TOKENS] == 4 * ((size_t)t->ids + 1)
        && t->bytes[TOKEN_FLAGS] == 4 * (size_t)t->ids && t->token_at[t->ids] <= t->bytes[TOKEN_BYTES] && (t->kind != BPE || t->merges)
        && tries(t, VOCABULARY, &t->vocabulary) && tries(t, INNER, &t->inner) && tries(t, ADDED_RAW, &t->raw)
        && tries(t, ADDED_NORMALIZED, &t->normalized) && t->prefix + (size_t)t->prefix_bytes <= t->bytes[STRINGS];
}

int ew_tokenizer_open(ew_tokenizer **out, const char *path)
{
    struct stat about;
    ew_tokenizer *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return EW_MEMORY;
    int file = open(path, O_RDONLY | O_CLOEXEC), code = EW_FILE;
    if (file >= 0 && !fstat(file, &about) && S_ISREG(about.st_mode) && about.st_size > 0) {
        void *map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (map != MAP_FAILED) {
            t->map = map;
            t->size = (size_t)about.st_size;
            code = sections(t) && understood(t) ? EW_OK : EW_ALTERED;
        }
    }
    if (file >= 0)
        close(file);
    if (code)
        ew_tokenizer_close(t);
    else
        *out = t;
    return code;
}

void ew_tokenizer_close(ew_tokenizer *t)
{
    if (t && t->map)
        munmap((void *)t->map, t->size);
    free(t);
}

/* The way back */

const char *ew_token_text(const ew_tokenizer *t, int32_t id, size_t *bytes)
{
    if (id < 0 || (uint32_t)id >= t->ids || t->token_at[id] > t->token_at[id + 1] || t->token_at[id + 1] > t->bytes[TOKEN_BYTES])
        return *bytes = 0, "";
    *bytes = t->token_at[id + 1] - t->token_at[id];
    return (const char *)t->at[TOKEN_BYTES] + t->token_at[id];
}

int32_t ew_token_id(const ew_tokenizer *t, const char *text, size_t bytes)
{
    int32_t id = exactly(&t->vocabulary, (const uint8_t *)text, bytes);
    const uint32_t *added = (const uint32_t *)t->at[ADDED];
    for (size_t i = 0; id < 0 && i < (t->bytes[ADDED] - 8) / 8; i++) {
        size_t n;
        const char *one = ew_token_text(t, (int32_t)added[2 + 2 * i], &n);
        if (n == bytes && !memcmp(one, text, n))
            id = (int32_t)added[2 + 2 * i];
    }
    return id;
}

uint32_t ew_next_char(const char *chars, size_t bytes, size_t *at) { return decode_char((const uint8_t *)chars, bytes, at); }
int32_t ew_unknown_id(const ew_tokenizer *t) { return t->unknown; }
int ew_marks_pieces(const ew_tokenizer *t) { return t->prefix_bytes != 0; }
size_t ew_vocabulary(const ew_tokenizer *t) { return t->ids; }

typedef struct {
    char *out;
    size_t n, room;
} text;

static void say(text *o, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++, o->n++)
        if (o->n < o->room)
            o->out[o->n] = ((const char *)bytes)[i];
}

/* A piece of WordPiece behind others: with a space before it, or without its mark; `tidy` pulls up punctuation. */
static void say_piece(text *o, const ew_tokenizer *t, const uint32_t *op, const char *one, size_t n, int first)
{
    static const char *const pulled[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    const uint8_t *mark = t->at[STRINGS] + op[1];
    if (!first && n >= op[2] && !memcmp(one, mark, op[2])) {
        say(o, one + op[2], n - op[2]);
        return;
    }
    int close = first;
    for (size_t i = 0; !first && op[3] && i < sizeof pulled / sizeof *pulled; i++)
        close |= n >= strlen(pulled[i]) && !memcmp(one, pulled[i], strlen(pulled[i]));
    if (!close)
        say(o, " ", 1);
    say(o, one, n);
}

/* Bytes as UTF-8, U+FFFD for what is none. */
static void say_bytes(text *o, const uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        uint8_t out[4];
        uint32_t c = decode_char(bytes, n, &at);
        say(o, out, encode_char(c, out));
    }
}

/* The byte that a character of a byte-level vocabulary stands for, -1 for none. */
static int32_t byte_of(const ew_tokenizer *t, uint32_t c)
{
    return c < t->bytes[BYTE_IDS] / 4 - 512 ? t->byte_ids[512 + c] : -1;
}

/* Pieces one after another, each changed as the decoder says; bytes gather in `raw` until what follows is none. */
static size_t bytes_of_piece(const ew_tokenizer *t, const char *one, size_t n, uint8_t *raw)
{
    size_t count = 0;
    for (size_t at = 0; at < n;) {
        int32_t byte = byte_of(t, decode_char((const uint8_t *)one, n, &at));
        if (byte < 0) { /* a token that is no bytes, such as an added one: as it is */
            memcpy(raw, one, n);
            return n;
        }
        raw[count++] = (uint8_t)byte;
    }
    return count;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `<0xAB>` as its byte, -1 for any other piece. */
static int fallback_byte(const char *one, size_t n)
{
    return n == 6 && !memcmp(one, "<0x", 3) && one[5] == '>' && hex(one[3]) >= 0 && hex(one[4]) >= 0 ? hex(one[3]) * 16 + hex(one[4]) : -1;
}

/* Runs the steps of a decoder over one piece, in place: Replace. */
static size_t replaced(const ew_tokenizer *t, const uint32_t *step, char *one, size_t n)
{
    const char *from = (const char *)t->at[STRINGS] + step[1], *to = (const char *)t->at[STRINGS] + step[3];
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        if (step[2] && i + step[2] <= n && !memcmp(one + i, from, step[2])) {
            memmove(one + out, to, step[4]); /* what replaces is no longer, which the exporter saw to */
            out += step[4], i += step[2];
        } else {
            one[out++] = one[i++];
        }
    }
    return out;
}

static size_t trim_of(const uint32_t *step, const char *one, size_t n, int from_end)
{
    size_t k = 0;
    while (k < n && k < step[from_end ? 3 : 2] && (uint8_t)one[from_end ? n - 1 - k : k] == step[1])
        k++;
    return k;
}

static void say_steps(text *o, const ew_tokenizer *t, const char *const *pieces, const size_t *bytes, size_t count)
{
    const uint32_t *steps = (const uint32_t *)t->at[DECODER] + 1;
    text whole = {NULL, 0, 0};
    uint8_t *raw = NULL;
    size_t total = 0, made = 0, held = 0;
    int fused = 0;
    for (size_t i = 0; i < count; i++)
        total += bytes[i];
    raw = malloc(total + 1);
    whole.out = malloc(3 * total + 1);
    whole.room = 3 * total + 1;
    for (size_t i = 0; raw && whole.out && i <= count; i++) {
        int falls = 0, byte = i < count ? fallback_byte(pieces[i], bytes[i]) : -1;
        for (const uint32_t *step = steps; *step; step += *step == 1 ? 5 : *step == 4 ? 4 : 1)
            falls |= *step == 2;
        if (falls && byte >= 0) {
            raw[held++] = (uint8_t)byte;
            continue;
        }
        if (held) { /* bytes that are no text are U+FFFD, one for each */
            int good = 1;
            for (size_t at = 0; at < held;) {
                size_t was = at;
                good &= decode_char(raw, held, &at) != 0xFFFD || (at - was == 3 && raw[was] == 0xEF && raw[was + 1] == 0xBF && raw[was + 2] == 0xBD);
            }
            if (good)
                say(&whole, raw, held);
            for (size_t k = 0; !good && k < held; k++)
                say(&whole, "\xEF\xBF\xBD", 3);
            held = 0;
        }
        if (i == count)
            break;
        char *one = (char *)raw;
        size_t n = bytes[i], skip = 0;
        memcpy(one, pieces[i], n);
        fused = 0;
        for (const uint32_t *step = steps; *step; step += *step == 1 ? 5 : *step == 4 ? 4 : 1) {
            fused |= *step == 3;
            if (*step == 1 && !fused)
                n = replaced(t, step, one, n);
            if (*step == 4 && !fused) {
                skip = trim_of(step, one, n, 0);
                memmove(one, one + skip, n -= skip);
                n -= trim_of(step, one, n, 1);
            }
        }
        say(&whole, one, n);
    }
    made = whole.out ? (whole.n < whole.room ? whole.n : whole.room) : 0;
    fused = 0;
    size_t skip = 0;
    for (const uint32_t *step = steps; *step; step += *step == 1 ? 5 : *step == 4 ? 4 : 1) {
        fused |= *step == 3;
        if (*step == 4 && fused) {
            size_t more = trim_of(step, whole.out + skip, made - skip, 0);
            skip += more;
            made -= trim_of(step, whole.out + skip, made - skip, 1);
        }
    }
    if (whole.out)
        say(o, whole.out + skip, made - skip);
    free(whole.out);
    free(raw);
}

size_t ew_joined(const ew_tokenizer *t, const char *const *pieces, const size_t *bytes, size_t count, char *out, size_t room)
{
    const uint32_t *op = (const uint32_t *)t->at[DECODER];
    text o = {out, 0, room};
    uint8_t *raw = NULL;
    size_t total = 0, n = 0;
    for (size_t i = 0; i < count; i++)
        total += bytes[i];
    if (op[0] == 2 && !(raw = malloc(total + 1)))
        return 0;
    for (size_t i = 0; op[0] != 4 && i < count; i++) {
        if (op[0] == 1) {
            say_piece(&o, t, op, pieces[i], bytes[i], i == 0);
        } else if (op[0] == 2) {
            n += bytes_of_piece(t, pieces[i], bytes[i], raw + n);
        } else if (op[0] == 3) {
            for (size_t at = 0; at < bytes[i];) {
                uint8_t one[4];
                uint32_t c = decode_char((const uint8_t *)pieces[i], bytes[i], &at);
                if (c != op[1])
                    say(&o, one, encode_char(c, one));
                else if (i || !op[2] || at > encode_char(c, one))
                    say(&o, " ", 1);
            }
        } else {
            if (i)
                say(&o, " ", 1);
            say(&o, pieces[i], bytes[i]);
        }
    }
    if (op[0] == 4)
        say_steps(&o, t, pieces, bytes, count);
    if (raw)
        say_bytes(&o, raw, n);
    free(raw);
    return o.n;
}

size_t ew_decode(const ew_tokenizer *t, const int32_t *ids, size_t count, int skip_special, char *out, size_t room)
{
    const char **pieces = malloc((count + 1) * sizeof *pieces);
    size_t *bytes = malloc((count + 1) * sizeof *bytes), n = 0;
    for (size_t i = 0; pieces && bytes && i < count; i++) {
        uint32_t flags = ids[i] >= 0 && (uint32_t)ids[i] < t->ids ? t->token_flags[ids[i]] : 0;
        if (!(flags & KNOWN) || (skip_special && flags & SPECIAL))
            continue;
        pieces[n] = ew_token_text(t, ids[i], &bytes[n]);
        n++;
    }
    n = pieces && bytes ? ew_joined(t, pieces, bytes, n, out, room) : 0;
    free(pieces);
    free(bytes);
    return n;
}
