/* What a device without Python runs: its disk, one operation a request, and LiteRT, one inference a request.
 *
 *     edgewright-run serve                              the operations of devices/_disk.py
 *     edgewright-run infer LIBRARY MODEL THREADS SECONDS  the signatures of a TFLite file; ends itself after so long
 *     edgewright-run probe LIBRARY                      loads the engine, and says so
 *
 * Requests come on standard input, answers go to standard output behind a line of hello. Each is four bytes of length,
 * little-endian, and so many bytes: a letter (or in an answer a status of four bytes: 0, an errno, or -1 for the
 * engine's own error), then fields, which are four bytes of length and so many bytes. Numbers are little-endian.
 *
 * LiteRT's C interface is declared after litert/c of its releases 2.1 to 2.3, and loaded with dlopen: to compile this,
 * nothing but a C library is needed. Whatever is read is checked before it is used.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 26, PIECE = 1 << 20, MOST_FIELDS = 1 << 14, MOST_HANDLES = 64, ENGINE = -1 };

/* ---- frames ---- */

struct slice { const uint8_t *data; size_t size; };
struct bytes { uint8_t *data; size_t size, room; };

static struct bytes request, answer;
static struct slice fields[MOST_FIELDS];
static size_t field_count;
static int out;

static void fatal(const char *words)
{
    fprintf(stderr, "edgewright-run: %s\n", words);
    exit(1);
}

static void reserve(struct bytes *bytes, size_t more)
{
    if (more > MOST_BYTES || bytes->size + more > MOST_BYTES)
        fatal("a message is too large");
    if (bytes->size + more <= bytes->room)
        return;
    bytes->room = 2 * (bytes->size + more);
    bytes->data = realloc(bytes->data, bytes->room);
    if (!bytes->data)
        fatal("no memory is left");
}

static void add(struct bytes *bytes, const void *data, size_t size)
{
    reserve(bytes, size);
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void add_number(struct bytes *bytes, uint64_t number, size_t width)
{
    uint8_t each[8];
    for (size_t i = 0; i < width; i++)
        each[i] = (uint8_t)(number >> (8 * i));
    add(bytes, each, width);
}

static void say(const void *data, size_t size)
{
    add_number(&answer, size, 4);
    add(&answer, data, size);
}

static void say_text(const char *text) { say(text ? text : "", text ? strlen(text) : 0); }

static void say_number(uint64_t number)
{
    add_number(&answer, 8, 4);
    add_number(&answer, number, 8);
}

static uint64_t number_of(const uint8_t *data, size_t width)
{
    uint64_t number = 0;
    for (size_t i = 0; i < width; i++)
        number |= (uint64_t)data[i] << (8 * i);
    return number;
}

static void write_all(int to, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t done = write(to, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            exit(1); /* nobody listens any more */
        data += done;
        size -= (size_t)done;
    }
}

/* Fill `size` bytes; false at the end of the input. */
static bool read_all(uint8_t *data, size_t size)
{
    while (size) {
        ssize_t done = read(0, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

static void begin(int status)
{
    answer.size = 0;
    add_number(&answer, (uint32_t)status, 4);
}

/* Begin an answer that is an error, in words. */
static int failed(const char *format, ...)
{
    char words[512];
    va_list given;
    va_start(given, format);
    vsnprintf(words, sizeof words, format, given);
    va_end(given);
    begin(ENGINE);
    say_text(words);
    return ENGINE;
}

static void send_answer(void)
{
    uint8_t head[4];
    for (size_t i = 0; i < 4; i++)
        head[i] = (uint8_t)(answer.size >> (8 * i));
    write_all(out, head, sizeof head);
    write_all(out, answer.data, answer.size);
}

/* Split the request into its fields. */
static bool split(void)
{
    size_t at = 1;
    field_count = 0;
    while (at < request.size) {
        if (request.size - at < 4 || field_count == MOST_FIELDS)
            return false;
        size_t size = (size_t)number_of(request.data + at, 4);
        at += 4;
        if (size > request.size - at)
            return false;
        fields[field_count++] = (struct slice){request.data + at, size};
        at += size;
    }
    return true;
}

static bool next_request(void)
{
    uint8_t head[4];
    if (!read_all(head, sizeof head))
        return false;
    size_t size = (size_t)number_of(head, 4);
    if (size < 1 || size > MOST_BYTES)
        fatal("a request has an impossible length");
    request.size = 0;
    reserve(&request, size);
    if (!read_all(request.data, size))
        fatal("a request is cut short");
    request.size = size;
    return true;
}

/* A field as text, in memory of its own; NULL where it holds a NUL or is not there. */
static char *text_of(size_t at)
{
    if (at >= field_count || memchr(fields[at].data, 0, fields[at].size))
        return NULL;
    char *text = malloc(fields[at].size + 1);
    if (!text)
        fatal("no memory is left");
    memcpy(text, fields[at].data, fields[at].size);
    text[fields[at].size] = 0;
    return text;
}

static bool number_at(size_t at, uint64_t *number)
{
    if (at >= field_count || fields[at].size != 8)
        return false;
    *number = number_of(fields[at].data, 8);
    return true;
}

/* Standard output is for answers alone: what a library prints there goes to standard error. */
static void hello(void)
{
    out = dup(1);
    if (out < 0 || dup2(2, 1) < 0)
        fatal("there is no standard output");
    const char *words = "\nedgewright-run 1\n";
    write_all(out, (const uint8_t *)words, strlen(words));
}

/* ---- SHA-256, after FIPS 180-4 ---- */

struct sha { uint32_t state[8]; uint64_t size; uint8_t block[64]; };

static const uint32_t ROUNDS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
};

static uint32_t turned(uint32_t word, int by) { return word >> by | word << (32 - by); }

static void sha_block(struct sha *sha)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)sha->block[4 * i] << 24 | (uint32_t)sha->block[4 * i + 1] << 16 |
               (uint32_t)sha->block[4 * i + 2] << 8 | sha->block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, sha->state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t one = s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) +
                       ((s[4] & s[5]) ^ (~s[4] & s[6])) + ROUNDS[i] + w[i];
        uint32_t two = (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) +
                       ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + one;
        s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        sha->state[i] += s[i];
}

static void sha_add(struct sha *sha, const uint8_t *data, size_t size)
{
    while (size) {
        size_t at = sha->size % 64, part = size < 64 - at ? size : 64 - at;
        memcpy(sha->block + at, data, part);
        sha->size += part;
        data += part;
        size -= part;
        if (at + part == 64)
            sha_block(sha);
    }
}

static void sha_end(struct sha *sha, char *hex)
{
    uint64_t bits = sha->size * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha_add(sha, (const uint8_t *)"\x80", 1);
    while (sha->size % 64 != 56)
        sha_add(sha, (const uint8_t *)"", 1);
    sha_add(sha, length, 8);
    for (int i = 0; i < 8; i++)
        snprintf(hex + 8 * i, 9, "%08x", sha->state[i]);
}

/* ---- the disk ---- */

static int handles[MOST_HANDLES];
static size_t handle_count;

static int keep(int handle)
{
    if (handle < 0)
        return errno;
    if (handle_count == MOST_HANDLES) {
        close(handle);
        return EMFILE;
    }
    handles[handle_count++] = handle;
    begin(0);
    say_number((uint64_t)handle);
    return 0;
}

/* The handle in a field, one of ours, and where it stands among them; -1 for any other. */
static int handle_at(size_t at, size_t *place)
{
    uint64_t number;
    if (number_at(at, &number))
        for (size_t i = 0; i < handle_count; i++)
            if ((uint64_t)handles[i] == number) {
                if (place)
                    *place = i;
                return handles[i];
            }
    return -1;
}

static int checked(int done)
{
    if (done < 0)
        return errno;
    begin(0);
    return 0;
}

static int open_plain(const char *path, int how)
{
    int handle = open(path, how | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
    struct stat facts;
    if (handle >= 0 && (fstat(handle, &facts) || !S_ISREG(facts.st_mode))) {
        close(handle);
        errno = EINVAL;
        return -1;
    }
    return handle;
}

static int do_open(const char *path, const char *how)
{
    bool reads = !strcmp(how, "read"), writes = !strcmp(how, "write");
    if (!reads && !writes && strcmp(how, "append"))
        return EINVAL;
    int flags = reads ? O_RDONLY : writes ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY | O_CREAT | O_APPEND;
    int handle = open_plain(path, flags);
    if (handle >= 0 && !reads && fchmod(handle, 0644)) { /* whatever the umask is: an app of another user reads it */
        int error = errno;
        close(handle);
        return error;
    }
    return keep(handle);
}

static int do_read(int handle)
{
    static uint8_t piece[PIECE];
    uint64_t most;
    if (handle < 0 || !number_at(1, &most))
        return EBADF;
    ssize_t done = read(handle, piece, most < PIECE ? (size_t)most : PIECE);
    if (done < 0)
        return errno;
    begin(0);
    say(piece, (size_t)done);
    return 0;
}

static int do_write(int handle)
{
    if (handle < 0 || field_count != 2)
        return EBADF;
    ssize_t done = write(handle, fields[1].data, fields[1].size);
    if (done < 0)
        return errno;
    begin(0);
    say_number((uint64_t)done);
    return 0;
}

static int do_close(void)
{
    size_t place = 0;
    int handle = handle_at(0, &place);
    if (handle < 0)
        return EBADF;
    handles[place] = handles[--handle_count];
    return checked(close(handle));
}

static int do_sync_dir(const char *path)
{
    int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0)
        return errno;
    int error = fsync(handle) ? errno : 0;
    close(handle);
    if (error && error != EINVAL) /* some file systems know no such thing, and write names through */
        return error;
    begin(0);
    return 0;
}

static int do_readlink(const char *path)
{
    char target[4096];
    ssize_t size = readlink(path, target, sizeof target);
    if (size < 0)
        return errno;
    begin(0);
    say(target, (size_t)size);
    return 0;
}

static int do_mkdir(const char *path)
{
    uint64_t mode;
    if (!number_at(1, &mode))
        return EINVAL;
    if (mkdir(path, 0700))
        return errno;
    return checked(chmod(path, (mode_t)(mode & 07777))); /* whatever the umask is */
}

static int do_chmod(const char *path)
{
    uint64_t mode;
    return number_at(1, &mode) ? checked(chmod(path, (mode_t)(mode & 07777))) : EINVAL;
}

static int do_list(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return errno;
    begin(0);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            say_text(entry->d_name);
    closedir(folder);
    return 0;
}

static int do_stat(const char *path)
{
    struct stat facts;
    if (lstat(path, &facts))
        return errno;
    mode_t mode = facts.st_mode;
    begin(0);
    say_text(S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "dir" : S_ISLNK(mode) ? "link" : "other");
    say_number((uint64_t)facts.st_size);
    say_number((uint64_t)facts.st_nlink);
    say_number(mode & 07777);
    say_number((uint64_t)facts.st_mtime);
    say_number((uint64_t)facts.st_mtim.tv_nsec);
    say_number(facts.st_uid == geteuid());
    return 0;
}

static int do_free(const char *path)
{
    struct statvfs facts;
    if (statvfs(path, &facts))
        return errno;
    begin(0);
    say_number((uint64_t)facts.f_bavail * facts.f_frsize);
    say_number(facts.f_files ? (uint64_t)facts.f_favail : UINT64_MAX);
    return 0;
}

static int do_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    begin(0);
    say_number((uint64_t)now.tv_sec);
    say_number((uint64_t)now.tv_nsec);
    return 0;
}

static int do_lock(const char *path)
{
    int handle = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    struct stat facts;
    if (handle < 0)
        return errno;
    int error = flock(handle, LOCK_EX | LOCK_NB) || fstat(handle, &facts) ? errno : 0;
    if (!error && !facts.st_nlink)
        error = EAGAIN; /* removed by whoever had it */
    if (error) {
        close(handle);
        return error;
    }
    return keep(handle);
}

static int do_hash(const char *path)
{
    static uint8_t piece[PIECE];
    struct sha sha = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                      0, {0}};
    char hex[65];
    uint64_t sync;
    if (!number_at(1, &sync))
        return EINVAL;
    int handle = open_plain(path, O_RDONLY);
    if (handle < 0)
        return errno;
    int error = sync && fsync(handle) ? errno : 0;
    ssize_t done = 0;
    while (!error && (done = read(handle, piece, sizeof piece)) > 0)
        sha_add(&sha, piece, (size_t)done);
    error = error ? error : done < 0 ? errno : 0;
    close(handle);
    if (error)
        return error;
    sha_end(&sha, hex);
    begin(0);
    say_text(hex);
    return 0;
}

static int pour(int from, int to)
{
    static uint8_t piece[PIECE];
    for (;;) {
        ssize_t size = read(from, piece, sizeof piece);
        if (size <= 0)
            return size < 0 ? errno : 0;
        for (ssize_t at = 0; at < size;) {
            ssize_t done = write(to, piece + at, (size_t)(size - at));
            if (done <= 0)
                return done < 0 ? errno : ENOSPC;
            at += done;
        }
    }
}

/* A whole second file, on the disk when this returns, where two names for one are not allowed. */
static int do_copy(const char *path, const char *to)
{
    struct stat facts;
    int from = open_plain(path, O_RDONLY), into = -1, error = from < 0 || fstat(from, &facts) ? errno : 0;
    if (!error) {
        into = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        error = into < 0 ? errno : pour(from, into);
    }
    if (!error && (fchmod(into, facts.st_mode & 0777) || fsync(into)))
        error = errno;
    if (from >= 0)
        close(from);
    if (into >= 0 && close(into) && !error)
        error = errno;
    if (!error)
        begin(0);
    return error;
}

static int two_paths(char letter, const char *path, const char *to)
{
    switch (letter) {
    case 'o': return do_open(path, to);
    case 'n': return checked(rename(path, to));
    case 'l': return checked(link(path, to));
    case 'y': return checked(symlink(path, to));
    default: return do_copy(path, to);
    }
}

static int one_path(char letter, const char *path)
{
    switch (letter) {
    case 'd': return do_sync_dir(path);
    case 'k': return do_readlink(path);
    case 'u': return checked(unlink(path));
    case 'm': return do_mkdir(path);
    case 'x': return checked(rmdir(path));
    case 'h': return do_chmod(path);
    case 'a': return do_list(path);
    case 's': return do_stat(path);
    case 'v': return do_free(path);
    case 'L': return do_lock(path);
    default: return do_hash(path);
    }
}

static int disk_op(char letter)
{
    if (letter == 'r')
        return do_read(handle_at(0, NULL));
    if (letter == 'w')
        return do_write(handle_at(0, NULL));
    if (letter == 'f')
        return checked(fsync(handle_at(0, NULL)));
    if (letter == 'c')
        return do_close();
    if (letter == 't')
        return do_now();
    bool two = letter && strchr("onlyC", letter);
    if (!letter || (!two && !strchr("dkumxhasvLH", letter)))
        return ENOSYS;
    char *path = text_of(0), *to = two ? text_of(1) : NULL;
    int error = !path || (two && !to) ? EINVAL : two ? two_paths(letter, path, to) : one_path(letter, path);
    free(path);
    free(to);
    return error;
}

static int serve(void)
{
    hello();
    while (next_request()) {
        int error = split() ? disk_op((char)request.data[0]) : EINVAL;
        if (error)
            begin(error);
        send_answer();
    }
    return 0;
}

/* ---- LiteRT ---- */

enum { CPU = 1, READ = 0, WRITE = 1, MOST_RANK = 8, MOST_TENSORS = 64, MOST_SIGNATURES = 256, PER_TENSOR = 1 };
enum { MOST_RUNS = 100000, MOST_FEEDS = 4096, MOST_THREADS = 1024 };

struct ranked { /* LiteRtRankedTensorType: its layout is part of LiteRT's stable interface */
    int type;
    unsigned int rank : 7, has_strides : 1;
    int32_t dims[MOST_RANK];
    uint32_t strides[MOST_RANK];
};
struct scale { float scale; int64_t zero_point; }; /* LiteRtQuantizationPerTensor */

struct tensor { const char *name; struct ranked kind; struct scale scale; size_t size; void *buffer; };
struct signature {
    const char *key;
    size_t inputs, outputs;
    struct tensor input[MOST_TENSORS], output[MOST_TENSORS];
    bool ready;
};

static struct {
    void *library, *environment, *model, *options, *compiled;
    struct signature *signatures;
    size_t count;
    uint64_t load_ns;
} engine;

typedef void (*anything)(void); /* cast to its own type before it is called */

static anything found(const char *name)
{
    void *symbol = dlsym(engine.library, name);
    if (!symbol) {
        fprintf(stderr, "edgewright-run: this engine has no %s; LiteRT 2.1 to 2.3 are known to work\n", name);
        exit(2);
    }
    anything function;
    memcpy(&function, &symbol, sizeof function); /* ISO C has no cast from an object to a function */
    return function;
}

/* Call a function of the library, with its own types; end the process, in words, where it fails. */
#define CALL(name, types, ...) (((int(*) types)found(name))(__VA_ARGS__))
#define MUST(name, types, ...) must(name, CALL(name, types, __VA_ARGS__))

static void must(const char *name, int status)
{
    if (!status)
        return;
    fprintf(stderr, "edgewright-run: %s gave status %d\n", name, status);
    exit(3);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void load(const char *library)
{
    engine.library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!engine.library) {
        fprintf(stderr, "edgewright-run: cannot load the engine: %s\n", dlerror());
        exit(2);
    }
    MUST("LiteRtCreateEnvironment", (int, const void *, void **), 0, NULL, &engine.environment);
}

static void drop(void *payload) { (void)payload; }

static void open_model(const char *path, int threads)
{
    static char text[128];
    void *opaque = NULL;
    if (dlsym(engine.library, "LiteRtCreateModelFromFd")) /* LiteRT 2.1 has not that, and gives no environment here */
        MUST("LiteRtCreateModelFromFile", (void *, const char *, void **), engine.environment, path, &engine.model);
    else
        MUST("LiteRtCreateModelFromFile", (const char *, void **), path, &engine.model);
    MUST("LiteRtCreateOptions", (void **), &engine.options);
    MUST("LiteRtSetOptionsHardwareAccelerators", (void *, int), engine.options, CPU);
    /* Without a cache of packed weights each signature packs them anew; ":memory" is XNNPACK's name for one in memory */
    snprintf(text, sizeof text, "num_threads = %d\nweight_cache_file_path = \":memory\"\n", threads);
    MUST("LiteRtCreateOpaqueOptions", (const char *, void *, void (*)(void *), void **), "xnnpack", text, drop, &opaque);
    MUST("LiteRtAddOpaqueOptions", (void *, void *), engine.options, opaque);
    MUST("LiteRtCreateCompiledModel", (void *, void *, void *, void **), engine.environment, engine.model,
         engine.options, &engine.compiled);
}

static size_t width_of(int type)
{
    switch (type) { /* LiteRtElementType */
    case 1: case 2: return 4;                 /* float32, int32 */
    case 3: case 6: case 9: return 1;         /* uint8, bool, int8 */
    case 4: case 11: return 8;                /* int64, float64 */
    case 7: case 10: return 2;                /* int16, float16 */
    default: return 0;
    }
}

static void describe(void *handle, const char *name, struct tensor *tensor)
{
    int quantized = 0;
    tensor->name = name ? name : "";
    MUST("LiteRtGetRankedTensorType", (void *, struct ranked *), handle, &tensor->kind);
    MUST("LiteRtGetQuantizationTypeId", (void *, int *), handle, &quantized);
    if (quantized == PER_TENSOR)
        MUST("LiteRtGetPerTensorQuantization", (void *, struct scale *), handle, &tensor->scale);
    tensor->size = width_of(tensor->kind.type);
    if (!tensor->size || tensor->kind.rank > MOST_RANK)
        fatal("the model has a tensor of a kind that is not known here");
    for (unsigned i = 0; i < tensor->kind.rank; i++) {
        int32_t dim = tensor->kind.dims[i];
        if (dim > 0 && tensor->size > (size_t)MOST_BYTES / (size_t)dim)
            fatal("the model has a tensor of more than 64 MiB");
        tensor->size *= dim > 0 ? (size_t)dim : 0; /* a free dimension: such a signature is described, and not run */
    }
}

static void describe_signature(size_t at, struct signature *signature)
{
    void *handle = NULL, *tensor = NULL;
    const char *name = NULL;
    MUST("LiteRtGetModelSignature", (void *, size_t, void **), engine.model, at, &handle);
    MUST("LiteRtGetSignatureKey", (void *, const char **), handle, &signature->key);
    MUST("LiteRtGetNumSignatureInputs", (void *, size_t *), handle, &signature->inputs);
    MUST("LiteRtGetNumSignatureOutputs", (void *, size_t *), handle, &signature->outputs);
    if (signature->inputs > MOST_TENSORS || signature->outputs > MOST_TENSORS)
        fatal("the model has a signature of more than 64 tensors");
    for (size_t i = 0; i < signature->inputs; i++) {
        MUST("LiteRtGetSignatureInputName", (void *, size_t, const char **), handle, i, &name);
        MUST("LiteRtGetSignatureInputTensorByIndex", (void *, size_t, void **), handle, i, &tensor);
        describe(tensor, name, &signature->input[i]);
    }
    for (size_t i = 0; i < signature->outputs; i++) {
        MUST("LiteRtGetSignatureOutputName", (void *, size_t, const char **), handle, i, &name);
        MUST("LiteRtGetSignatureOutputTensorByIndex", (void *, size_t, void **), handle, i, &tensor);
        describe(tensor, name, &signature->output[i]);
    }
}

static void describe_all(void)
{
    MUST("LiteRtGetNumModelSignatures", (void *, size_t *), engine.model, &engine.count);
    if (engine.count > MOST_SIGNATURES)
        fatal("the model has more than 256 signatures");
    engine.signatures = calloc(engine.count ? engine.count : 1, sizeof *engine.signatures);
    if (!engine.signatures)
        fatal("no memory is left");
    for (size_t i = 0; i < engine.count; i++)
        describe_signature(i, &engine.signatures[i]);
}

static void make_buffer(size_t at, size_t i, const char *wanted, struct tensor *tensor)
{
    void *wants = NULL;
    size_t room = 0;
    must(wanted, CALL(wanted, (void *, size_t, size_t, void **), engine.compiled, at, i, &wants));
    MUST("LiteRtCreateManagedTensorBufferFromRequirements", (void *, const struct ranked *, void *, void **),
         engine.environment, &tensor->kind, wants, &tensor->buffer);
    MUST("LiteRtGetTensorBufferSize", (void *, size_t *), tensor->buffer, &room);
    if (room < tensor->size)
        fatal("the engine's buffer is smaller than the tensor");
}

static void make_ready(size_t at, struct signature *signature)
{
    if (signature->ready)
        return;
    for (size_t i = 0; i < signature->inputs; i++)
        make_buffer(at, i, "LiteRtGetCompiledModelInputBufferRequirements", &signature->input[i]);
    for (size_t i = 0; i < signature->outputs; i++)
        make_buffer(at, i, "LiteRtGetCompiledModelOutputBufferRequirements", &signature->output[i]);
    signature->ready = true;
}

/* The functions of an inference, found once: between two readings of the clock there is nothing but the work. */
static struct {
    int (*lock)(void *, void **, int);
    int (*unlock)(void *);
    int (*run)(void *, size_t, size_t, void **, size_t, void **);
} hot;

static void find_hot(void)
{
    hot.lock = (int (*)(void *, void **, int))found("LiteRtLockTensorBuffer");
    hot.unlock = (int (*)(void *))found("LiteRtUnlockTensorBuffer");
    hot.run = (int (*)(void *, size_t, size_t, void **, size_t, void **))found("LiteRtRunCompiledModel");
}

/* One inference of a signature that is ready: inputs written, outputs made; their bytes go to `into` unless NULL. */
static int run_once(size_t at, const struct slice *given, struct bytes *into)
{
    struct signature *signature = &engine.signatures[at];
    void *inputs[MOST_TENSORS], *outputs[MOST_TENSORS], *there = NULL;
    for (size_t i = 0; i < signature->inputs; i++) {
        inputs[i] = signature->input[i].buffer;
        if (hot.lock(inputs[i], &there, WRITE))
            return failed("LiteRT does not lock input %zu", i);
        memcpy(there, given[i].data, given[i].size);
        hot.unlock(inputs[i]);
    }
    for (size_t i = 0; i < signature->outputs; i++)
        outputs[i] = signature->output[i].buffer;
    int status = hot.run(engine.compiled, at, signature->inputs, inputs, signature->outputs, outputs);
    if (status)
        return failed("LiteRT's inference gave status %d", status);
    for (size_t i = 0; i < signature->outputs; i++) {
        if (hot.lock(outputs[i], &there, READ))
            return failed("LiteRT does not lock output %zu", i);
        if (into) {
            add_number(into, signature->output[i].size, 4);
            add(into, there, signature->output[i].size);
        }
        hot.unlock(outputs[i]);
    }
    return 0;
}

/* The signature that a field names, checked with the inputs that follow it: sizes, and ids and masks not negative. */
static int signature_at(size_t field, size_t *at)
{
    uint64_t number;
    if (!number_at(field, &number) || number >= engine.count)
        return failed("the model has %zu signatures, and not the one that was asked", engine.count);
    *at = (size_t)number;
    struct signature *signature = &engine.signatures[*at];
    if (field_count - field - 1 < signature->inputs)
        return failed("%zu inputs came, the signature has %zu", field_count - field - 1, signature->inputs);
    for (size_t i = 0; i < signature->inputs; i++) {
        struct slice given = fields[field + 1 + i];
        size_t width = width_of(signature->input[i].kind.type);
        if (!signature->input[i].size || given.size != signature->input[i].size)
            return failed("input %zu has %zu bytes, %zu are wanted", i, given.size, signature->input[i].size);
        bool integers = signature->input[i].kind.type == 2 || signature->input[i].kind.type == 4;
        for (size_t j = width; integers && j <= given.size; j += width)
            if (given.data[j - 1] & 0x80)
                return failed("input %zu has a negative number at %zu", i, j / width - 1);
    }
    for (size_t i = 0; i < signature->outputs; i++)
        if (!signature->output[i].size)
            return failed("output %zu has a free dimension", i);
    make_ready(*at, signature);
    return 0;
}

static int infer_once(void)
{
    size_t at = 0;
    struct bytes made = {NULL, 0, 0};
    int error = signature_at(0, &at);
    if (!error && field_count - 1 != engine.signatures[at].inputs)
        error = failed("more inputs came than the signature has");
    uint64_t began = now_ns();
    error = error ? error : run_once(at, fields + 1, &made);
    uint64_t took = now_ns() - began;
    if (!error) {
        begin(0);
        say_number(took);
        add(&answer, made.data, made.size);
    }
    free(made.data);
    return error;
}

/* The high-water mark of resident memory in KiB, as proc(5) has it. */
static uint64_t peak_kib(void)
{
    char line[256];
    unsigned long long found = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %llu", &found) == 1)
            break;
    if (file)
        fclose(file);
    return found;
}

struct plan { uint64_t runs, warmup_runs, warmup_ms, least_ms, most_runs; };

static int measure(const struct plan *plan, const size_t *at, const size_t *where, size_t feeds)
{
    uint64_t began = now_ns(), done = 0, total = 0, target = plan->runs > feeds ? plan->runs : feeds;
    for (; done < plan->warmup_runs || now_ns() - began < plan->warmup_ms * 1000000u; done++)
        if (run_once(at[done % feeds], fields + where[done % feeds], NULL))
            return ENGINE;
    struct bytes samples = {NULL, 0, 0};
    int error = 0;
    for (done = 0; !error && done < plan->most_runs && (done < target || total < plan->least_ms * 1000000u); done++) {
        uint64_t start = now_ns();
        error = run_once(at[done % feeds], fields + where[done % feeds], NULL);
        uint64_t took = now_ns() - start;
        total += took;
        add_number(&samples, took, 8);
    }
    if (!error) {
        begin(0);
        say(samples.data, samples.size);
        say_number(peak_kib());
    }
    free(samples.data);
    return error;
}

/* Fields: runs, warm-up runs, warm-up ms, least ms, most runs; then for each feed its signature and its inputs. */
static int bench(void)
{
    static size_t at[MOST_FEEDS], where[MOST_FEEDS];
    struct plan plan;
    size_t feeds = 0;
    uint64_t *numbers[] = {&plan.runs, &plan.warmup_runs, &plan.warmup_ms, &plan.least_ms, &plan.most_runs};
    for (size_t i = 0; i < 5; i++)
        if (!number_at(i, numbers[i]) || *numbers[i] > MOST_RUNS)
            return failed("a number of runs or milliseconds is missing, or above %d", MOST_RUNS);
    for (size_t field = 5; field < field_count; feeds++) {
        if (feeds == MOST_FEEDS)
            return failed("more than %d feeds came", MOST_FEEDS);
        if (signature_at(field, &at[feeds]))
            return ENGINE;
        where[feeds] = field + 1;
        field += 1 + engine.signatures[at[feeds]].inputs;
    }
    if (!feeds || !plan.most_runs)
        return failed("nothing came to be measured");
    return measure(&plan, at, where, feeds);
}

static void say_tensor(const struct tensor *tensor)
{
    uint64_t scale = 0;
    uint32_t bits;
    memcpy(&bits, &tensor->scale.scale, sizeof bits);
    scale = bits;
    say_text(tensor->name);
    say_number((uint64_t)tensor->kind.type);
    say_number(scale);
    say_number((uint64_t)tensor->scale.zero_point);
    say(tensor->kind.dims, tensor->kind.rank * sizeof *tensor->kind.dims);
}

static int tell(void)
{
    begin(0);
    say_number(engine.load_ns);
    say_number(peak_kib());
    say_number(engine.count);
    for (size_t i = 0; i < engine.count; i++) {
        struct signature *signature = &engine.signatures[i];
        say_text(signature->key);
        say_number(signature->inputs);
        say_number(signature->outputs);
        for (size_t j = 0; j < signature->inputs; j++)
            say_tensor(&signature->input[j]);
        for (size_t j = 0; j < signature->outputs; j++)
            say_tensor(&signature->output[j]);
    }
    return 0;
}

static long whole(const char *text, long least, long most)
{
    char *end = NULL;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < least || number > most)
        fatal("a number among the arguments cannot be meant");
    return number;
}

static int infer(char **words)
{
    int threads = (int)whole(words[2], 1, MOST_THREADS);
    unsigned limit_s = (unsigned)whole(words[3], 1, 86400);
    alarm(limit_s); /* a hanging inference does not outlive its host */
    hello();
    uint64_t began = now_ns();
    load(words[0]);
    open_model(words[1], threads);
    describe_all();
    find_hot();
    engine.load_ns = now_ns() - began;
    while (next_request()) {
        alarm(limit_s);
        if (!split())
            failed("the request is cut short");
        else if (request.data[0] == 'R')
            infer_once();
        else if (request.data[0] == 'B')
            bench();
        else if (request.data[0] == 'T')
            tell();
        else
            failed("no such request");
        send_answer();
    }
    _exit(0); /* LiteRT's own end may hang or print; the system takes everything back */
}

int main(int count, char **words)
{
    if (count == 2 && !strcmp(words[1], "serve"))
        return serve();
    if (count == 6 && !strcmp(words[1], "infer"))
        return infer(words + 2);
    if (count == 3 && !strcmp(words[1], "probe")) {
        load(words[2]);
        puts("edgewright-run 1");
        fflush(stdout);
        _exit(0);
    }
    fprintf(stderr, "usage: edgewright-run serve | infer LIBRARY MODEL THREADS SECONDS | probe LIBRARY\n");
    return 2;
}
