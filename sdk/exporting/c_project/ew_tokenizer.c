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

#include "ew_tables.h"
#include "ew_normalize.h"
#include "ew_split.h"
#include "ew_models.h"

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

#include "ew_decode.h"
