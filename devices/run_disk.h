/* The disk of the runner's device: each request is one operation of devices/_onboard/disk.py, by the same system calls. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

enum { MOST_HANDLES = 64 };

/* SHA-256, after FIPS 180-4. */
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


/* The operations. */
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

static int do_read_at(int handle)
{
    static uint8_t piece[PIECE];
    uint64_t at, most;
    if (handle < 0 || !number_at(1, &at) || !number_at(2, &most))
        return EBADF;
    if ((off_t)at < 0 || (uint64_t)(off_t)at != at)
        return EOVERFLOW;
    ssize_t done = pread(handle, piece, most < PIECE ? (size_t)most : PIECE, (off_t)at);
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
    errno = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            say_text(entry->d_name);
        errno = 0;
    }
    int error = errno; /* where the listing ends too early: names that are missing from it would be lost */
    closedir(folder);
    return error;
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
    if (letter == 'p')
        return do_read_at(handle_at(0, NULL));
    if (letter == 'w')
        return do_write(handle_at(0, NULL));
    if (letter == 'f')
        return checked(fsync(handle_at(0, NULL)));
    if (letter == 'c')
        return do_close();
    if (letter == 't')
        return do_now();
    if (letter == 'S') {
        sync();
        begin(0);
        return 0;
    }
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
