/* Texts to token ids and back, from a tokenizer.bin that is mapped into memory. C99 and a POSIX system.
 *
 * A tokenizer never changes once it is open: threads may share it. What a text needs lies in an ew_encoding, of which a
 * thread has its own and uses it again. Offsets count characters (code points) of the text. A byte that is no UTF-8
 * counts as one U+FFFD, as does what is left of a cut character, so that every text has a result.
 */
#ifndef EW_TOKENIZER_H
#define EW_TOKENIZER_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { EW_OK, EW_FILE, EW_ALTERED, EW_MEMORY, EW_TOO_LONG, EW_ARGUMENT, EW_ENGINE, EW_UNKNOWN_TASK, EW_NO_ROOM, EW_BUSY };
/* What a code says, in words. */
const char *ew_words(int code);

#define EW_MOST_TEXT_BYTES (1u << 20) /* far more than a model reads at once; a longer text is EW_TOO_LONG */
#define EW_NO_WORD 0xFFFFFFFFu

typedef struct ew_tokenizer ew_tokenizer;

typedef struct {
    int32_t id;
    uint32_t start, end; /* characters of its text */
    uint32_t word;       /* the number of its word, EW_NO_WORD of a token that was added */
    int8_t side;         /* 0 of the first text, 1 of the second, -1 of a token that was added */
    uint8_t type;        /* the type id that the model is given */
    uint8_t lead, tail;  /* of an added token, the spaces that it took along */
} ew_token;

typedef struct {
    ew_token *tokens;
    size_t count;
    struct ew_scratch *scratch;
} ew_encoding;

typedef struct {
    uint32_t limit;    /* tokens at which texts are cut, special ones included; 0 is no limit */
    uint8_t cut_first; /* of a pair cut the first text alone, not the longer one */
    uint8_t cut_left;  /* cut at the beginning */
    uint8_t bare;      /* add no special tokens */
    uint8_t literal;   /* special tokens that are written in a text are plain text */
} ew_ways;

int ew_tokenizer_open(ew_tokenizer **out, const char *path);
void ew_tokenizer_close(ew_tokenizer *);

/* Zero an ew_encoding before its first use. `pair` may be NULL. */
int ew_encode(const ew_tokenizer *, ew_encoding *, const char *text, size_t bytes, const char *pair, size_t pair_bytes, const ew_ways *);
/* The windows of a pair whose second text is long: all of the first before each stretch of the second, `stride` tokens of
 * which two neighbours share. `next` is the window to make, from 0 on; EW_NO_ROOM behind the last one. `begin` makes what
 * the windows are cut from. */
int ew_windows_begin(const ew_tokenizer *, ew_encoding *, const char *text, size_t bytes, const char *pair, size_t pair_bytes, uint32_t limit);
size_t ew_windows_count(const ew_tokenizer *, const ew_encoding *, uint32_t limit, uint32_t *stride);
int ew_window(const ew_tokenizer *, ew_encoding *, size_t next, uint32_t limit, uint32_t stride);
void ew_encoding_free(ew_encoding *);

/* Ids to text, special tokens left out or not: the bytes that there are, of which at most `room` are written. */
size_t ew_decode(const ew_tokenizer *, const int32_t *ids, size_t count, int skip_special, char *out, size_t room);
/* The tokens of a text as pieces of a vocabulary, joined: as ew_decode, of texts. */
size_t ew_joined(const ew_tokenizer *, const char *const *pieces, const size_t *bytes, size_t count, char *out, size_t room);
/* A token as the vocabulary has it; not ended by NUL. */
const char *ew_token_text(const ew_tokenizer *, int32_t id, size_t *bytes);
int32_t ew_token_id(const ew_tokenizer *, const char *text, size_t bytes);
int32_t ew_unknown_id(const ew_tokenizer *);
size_t ew_added_count(const ew_tokenizer *, int pair); /* special tokens of a text, or of a pair */
int ew_marks_pieces(const ew_tokenizer *);             /* whether tokens that go on with a word are marked */
size_t ew_vocabulary(const ew_tokenizer *);            /* one more than the largest id */
/* The ids of special tokens, of which at most `room` are written: how many there are. */
size_t ew_special(const ew_tokenizer *, int32_t *ids, size_t room);
uint32_t ew_next_char(const char *text, size_t bytes, size_t *at); /* a character as offsets count them */

#ifdef __cplusplus
}
#endif
#endif
