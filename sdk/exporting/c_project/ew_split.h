/* A part of ew_tokenizer.c: from a text to pieces. */
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
