/* What C programs share that measure a peer when told: each line of standard input is a number of runs, each
 * answer one line of JSON, as `edgerun bench --on-request` gives it. Each run is timed by itself.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Fills `bytes` with the whole file at `path`, which must have exactly `size` bytes. */
static void read_input(const char *path, void *bytes, size_t size) {
    FILE *file = fopen(path, "rb");
    if (!file || fread(bytes, 1, size, file) != size || fgetc(file) != EOF) fail("an input file has another size");
    fclose(file);
}

static void write_output(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) fail("cannot write an output");
}

/* Answers until standard input ends; `run` is the model once, 0 when good. */
static void answer(int (*run)(void)) {
    char line[64];
    puts("{\"ready\": true}");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        long runs = atol(line);
        if (runs < 1) fail("standard input: no number of runs");
        int64_t *times = malloc(runs * sizeof *times), sum = 0;
        if (!times) fail("no memory");
        for (long i = 0; i < runs; i++) {
            int64_t start = nanoseconds();
            if (run()) fail("a run failed");
            times[i] = nanoseconds() - start;
            sum += times[i];
        }
        qsort(times, runs, sizeof *times, ascending);
        printf("{\"runs\": %ld, \"min_ns\": %lld, \"p50_ns\": %lld, \"mean_ns\": %lld}\n", runs, (long long)times[0],
               (long long)times[(runs + 1) / 2 - 1], (long long)(sum / runs));
        fflush(stdout);
        free(times);
    }
}
