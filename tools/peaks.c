/* What the arithmetic of this machine can give at most: the widest instruction of multiply-accumulates, over and over, on
 * registers alone. No memory, no kernel of a library. Where AVX2 has no such instruction for int8, the three that make one.
 *
 *     cc -O2 -pthread tools/peaks.c -o build/peaks && build/peaks THREADS
 *
 * Prints {"threads", "fp32_gmac_s", "int8_gmac_s"}: 10^9 multiply-accumulates a second, of all threads together; 0 for
 * int8 where the processor has no instruction for it. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CHAINS = 12, STEPS = 2000000, TURNS = 7, MOST_THREADS = 256 };
/* Chains: more independent sums than latency times ports of any core here. Steps: some milliseconds, longer than a thread
 * takes to begin. Turns: the best counts, which nothing disturbed. */

/* `asm` keeps a sum alive and unknown, so that no step is left out or joined with another; unrolled, all sums are registers. */
#define EACH _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)
#define LOOP(TYPE, ZERO, STEP, REGISTER)                  \
    TYPE sums[CHAINS];                                    \
    EACH sums[i] = ZERO;                                  \
    for (long step = 0; step < STEPS; step++)             \
        EACH                                              \
        {                                                 \
            sums[i] = STEP;                               \
            __asm__ volatile("" : "+" REGISTER(sums[i])); \
        }

#if defined(__x86_64__)
#include <immintrin.h>
#define TARGET(WHAT) __attribute__((target(WHAT)))
TARGET("avx512f") static void fp32_512(void)
{
    __m512 one = _mm512_setzero_ps();
    LOOP(__m512, one, _mm512_fmadd_ps(one, one, sums[i]), "v")
}
TARGET("avx2,fma") static void fp32_256(void)
{
    __m256 one = _mm256_setzero_ps();
    LOOP(__m256, one, _mm256_fmadd_ps(one, one, sums[i]), "x")
}
TARGET("avx512f,avx512vnni") static void int8_512(void)
{
    __m512i one = _mm512_setzero_si512();
    LOOP(__m512i, one, _mm512_dpbusd_epi32(sums[i], one, one), "v")
}
TARGET("avxvnni") static void int8_256(void)
{
    __m256i one = _mm256_setzero_si256();
    LOOP(__m256i, one, _mm256_dpbusd_avx_epi32(sums[i], one, one), "x")
}
/* As text, since what never changes would be multiplied once before the loop. */
#define DOT(SUM, A, B, ONES)                                                                        \
    ({                                                                                              \
        __m256i pairs;                                                                              \
        __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(A), "x"(B));                   \
        _mm256_add_epi32(SUM, _mm256_madd_epi16(pairs, ONES));                                      \
    })
TARGET("avx2") static void int8_256_by_three(void)
{
    __m256i one = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
    LOOP(__m256i, one, DOT(sums[i], one, one, ones), "x")
}
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
static void fp32_128(void)
{
    float32x4_t one = vdupq_n_f32(0);
    LOOP(float32x4_t, one, vfmaq_f32(sums[i], one, one), "w")
}
__attribute__((target("arch=armv8.2-a+dotprod"))) static void int8_128(void)
{
    int8x16_t one = vdupq_n_s8(0);
    LOOP(int32x4_t, vdupq_n_s32(0), vdotq_s32(sums[i], one, one), "w")
}
#endif

typedef struct {
    void (*run)(void);
    int macs; /* of one instruction */
} Kernel;

static Kernel chosen(int integer)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (integer && __builtin_cpu_supports("avx512vnni")) return (Kernel){int8_512, 64};
    if (integer && __builtin_cpu_supports("avxvnni")) return (Kernel){int8_256, 32};
    if (integer && __builtin_cpu_supports("avx2")) return (Kernel){int8_256_by_three, 32};
    if (!integer && __builtin_cpu_supports("avx512f")) return (Kernel){fp32_512, 16};
    if (!integer && __builtin_cpu_supports("fma")) return (Kernel){fp32_256, 8};
#elif defined(__aarch64__)
    if (!integer) return (Kernel){fp32_128, 4};
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) return (Kernel){int8_128, 16};
#endif
    return (Kernel){0, 0};
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void *work(void *kernel)
{
    ((Kernel *)kernel)->run();
    return 0;
}

static double peak(Kernel kernel, int threads)
{
    double best = 0;
    for (int turn = 0; kernel.run && turn < TURNS; turn++) {
        pthread_t others[MOST_THREADS];
        double begin = now();
        for (int i = 1; i < threads; i++)
            if (pthread_create(&others[i], 0, work, &kernel)) exit(1);
        work(&kernel);
        for (int i = 1; i < threads; i++) pthread_join(others[i], 0);
        double rate = (double)threads * STEPS * CHAINS * kernel.macs / (now() - begin) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

int main(int count, char **words)
{
    int threads = count > 1 ? atoi(words[1]) : 1;
    if (threads < 1 || threads > MOST_THREADS) return fprintf(stderr, "threads: 1 to %d\n", MOST_THREADS), 2;
    printf("{\"threads\": %d, \"fp32_gmac_s\": %.1f, \"int8_gmac_s\": %.1f}\n", threads, peak(chosen(0), threads),
           peak(chosen(1), threads));
    return 0;
}
