/* A part of ew_tokenizer.c: from pieces to tokens. */
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
