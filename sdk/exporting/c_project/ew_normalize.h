/* A part of ew_tokenizer.c: normalizers, and the matcher of expressions. */
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

/* Canonical ordering of marks, stable: by counting, so that no text of marks takes long. */
static void order(scratch *s, const ew_tokenizer *t, size_t from, size_t to)
{
    size_t begins[65] = {0}, n = to - from; /* ranks have six bits */
    uint32_t *kept = room_for(s, &s->places, 2 * n, sizeof *kept);
    memcpy(kept, s->next.c + from, n * sizeof *kept);
    memcpy(kept + n, s->next.from + from, n * sizeof *kept);
    for (size_t i = 0; i < n; i++)
        begins[rank_of(t, kept[i]) + 1]++;
    for (size_t i = 1; i < 65; i++)
        begins[i] += begins[i - 1];
    for (size_t i = 0; i < n; i++) {
        size_t at = from + begins[rank_of(t, kept[i])]++;
        s->next.c[at] = kept[i], s->next.from[at] = kept[n + i];
    }
}

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
    for (size_t i = 0, j; i < next->n; i = j + 1) {
        for (j = i; j < next->n && rank_of(t, next->c[j]); j++)
            ;
        if (j - i > 1)
            order(s, t, i, j);
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
