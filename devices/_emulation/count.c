/* A plugin of qemu's user mode: counts the aarch64 instructions that are executed between two marks.

   The marks are system calls, prctl(0x45444745, 0) to begin and prctl(0x45444745, k) with k > 0 to end; no kernel knows
   that option, so elsewhere they do nothing. At each end a line goes to the file named by `out=`:

       k instructions dot_products matrix_products multiply_adds

   It needs none of qemu's headers; API is the version of the interface (1: qemu 6 to 8, 2: 9.0, 3: 9.1 and newer). */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define MARK 0x45444745u
#define PRCTL 167

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t,
        uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
#if API < 3
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#else
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#endif

PUBLIC int qemu_plugin_version = API;

struct tally { uint64_t instructions, dot_products, matrix_products, multiply_adds; };

static struct tally sum;
static int counting;
static FILE *out;

static uint32_t word(const struct qemu_plugin_insn *insn)
{
    uint32_t code = 0;
#if API < 3
    memcpy(&code, qemu_plugin_insn_data(insn), sizeof code);
#else
    qemu_plugin_insn_data(insn, &code, sizeof code);
#endif
    return code;
}

/* The encodings are those of the Arm Architecture Reference Manual, C4.1 (Advanced SIMD): vector, or by element. */
static void classify(struct tally *block, uint32_t code)
{
    block->dot_products += (code & 0x9f20fc00u) == 0x0e009400u || (code & 0x9f00f400u) == 0x0f00e000u;
    block->matrix_products += (code & 0xdf20fc00u) == 0x4e00a400u;
    block->multiply_adds += (code & 0xbfa0fc00u) == 0x0e20cc00u || (code & 0xbf80f400u) == 0x0f801000u;
}

static void executed(unsigned vcpu, void *given)
{
    const struct tally *block = given;
    (void)vcpu;
    if (!counting)
        return;
    __atomic_fetch_add(&sum.instructions, block->instructions, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sum.dot_products, block->dot_products, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sum.matrix_products, block->matrix_products, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sum.multiply_adds, block->multiply_adds, __ATOMIC_RELAXED);
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    struct tally *block = calloc(1, sizeof *block); /* lives as long as the translation, that is to the end */
    (void)id;
    if (!block)
        abort();
    block->instructions = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < block->instructions; i++)
        classify(block, word(qemu_plugin_tb_get_insn(tb, i)));
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, block);
}

static void called(plugin_id id, unsigned vcpu, int64_t number, uint64_t option, uint64_t mark, uint64_t a3, uint64_t a4,
        uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != PRCTL || (uint32_t)option != MARK)
        return;
    counting = mark == 0;
    if (counting) {
        memset(&sum, 0, sizeof sum);
        return;
    }
    fprintf(out, "%llu %llu %llu %llu %llu\n", (unsigned long long)mark, (unsigned long long)sum.instructions,
            (unsigned long long)sum.dot_products, (unsigned long long)sum.matrix_products,
            (unsigned long long)sum.multiply_adds);
    fflush(out);
}

PUBLIC int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
    if (!out)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
