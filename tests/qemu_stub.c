/* As much of qemu as its counting plugin talks to: blocks of instructions from standard input, each executed once.

   Each block is a count of four bytes and as many words; a count of 2^32 - 1 is a mark, and its number follows. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_insn { uint32_t code; };
struct qemu_plugin_tb { size_t count; struct qemu_plugin_insn *each; };

typedef uint64_t plugin_id;
typedef void (*translated_cb)(plugin_id, struct qemu_plugin_tb *);
typedef void (*executed_cb)(unsigned, void *);
typedef void (*called_cb)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
        uint64_t, uint64_t);

extern int qemu_plugin_install(plugin_id, const void *, int, char **);

static translated_cb translated;
static called_cb called;
static executed_cb executed;
static void *given;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translated_cb callback) { (void)id; translated = callback; }
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id, called_cb callback) { (void)id; called = callback; }
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb) { return tb->count; }

void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, executed_cb callback, int flags, void *data)
{
    (void)tb, (void)flags;
    executed = callback, given = data;
}

struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t at) { return tb->each + at; }

#if API < 3
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn) { return &insn->code; }
#else
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t size)
{
    memcpy(to, &insn->code, size);
    return size;
}
#endif

int main(int argc, char **argv)
{
    uint32_t count, mark;
    if (qemu_plugin_install(1, NULL, argc - 1, argv + 1))
        return 1;
    while (fread(&count, sizeof count, 1, stdin) == 1) {
        if (count == UINT32_MAX) {
            if (fread(&mark, sizeof mark, 1, stdin) != 1)
                return 2;
            called(1, 0, 167, 0x45444745u, mark, 0, 0, 0, 0, 0, 0);
            continue;
        }
        struct qemu_plugin_tb block = {count, malloc(count * sizeof(struct qemu_plugin_insn) + 1)};
        if (!block.each || fread(block.each, sizeof *block.each, count, stdin) != count)
            return 2;
        translated(1, &block);
        free(block.each); /* qemu keeps none of them either */
        executed(0, given);
        free(given); /* qemu ends with them; a sanitizer would call that a leak */
    }
    return 0;
}
