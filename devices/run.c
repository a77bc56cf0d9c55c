/* What a device without Python runs: its disk, one operation a request, and LiteRT, one inference or some tokens a request.
 *
 *     edgewright-run serve                              the operations of devices/_onboard/disk.py
 *     edgewright-run infer LIBRARY MODEL THREADS SECONDS  the signatures of a TFLite file; ends itself after so long
 *     edgewright-run probe LIBRARY                      loads the engine, and says so
 *
 * Requests come on standard input, answers go to standard output behind a line of hello. Each is four bytes of length,
 * little-endian, and so many bytes: a letter (or in an answer a status of four bytes: 0, an errno, or -1 for the
 * engine's own error), then fields, which are four bytes of length and so many bytes. Numbers are little-endian.
 *
 * To compile this, nothing is needed but a C library and the sources of the C core, which stand in exporting/c_project of the
 * package, and for an Android device the NDK's compiler:
 *
 *     aarch64-linux-android28-clang -O2 -I C_PROJECT -o edgewright-run run.c -ldl
 */
#define _GNU_SOURCE
#include "run_frames.h"

#include "run_disk.h"
#include "run_engine.h"

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
    load(words[0]);
    open_model(words[1], threads);
    while (next_request()) {
        alarm(limit_s);
        if (!split())
            failed("the request is cut short");
        else if (request.data[0] == 'R')
            infer_once();
        else if (request.data[0] == 'B')
            bench();
        else if (request.data[0] == 'L')
            read_tokens();
        else if (request.data[0] == 'W')
            write_answer();
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
