/* A plugin for qemu-user that counts instructions: how often each block of straight code ran, and with
 * `mark=ADDRESS` how many instructions lay between one arrival at that block and the next.
 *
 *     qemu-aarch64 -plugin ./count_blocks.so,out=FILE[,mark=0xADDRESS] PROGRAM …
 *
 * FILE gets lines of `block ADDRESS INSTRUCTIONS TIMES` and, in their order, `mark INSTRUCTIONS`. For programs
 * of one thread. Debian's qemu packages bring no header for plugins: the prototypes are those of version 1 of
 * the interface, as QEMU's documentation describes it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t Id;
struct qemu_plugin_tb;

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(Id id, void (*call)(Id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int add, void *to, uint64_t value);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*call)(unsigned, void *),
                                                 int registers, void *data);
extern void qemu_plugin_register_atexit_cb(Id id, void (*call)(Id, void *), void *data);

#define PUBLIC __attribute__((visibility("default")))
PUBLIC int qemu_plugin_version = 1;

enum { ADD_U64 = 0, NO_REGISTERS = 0 };

/* One translation; the same code may be translated again, and is then listed again. */
struct Block {
    struct Block *next;
    uint64_t address, instructions, times;
};

static struct Block *blocks;
static const char *out;
static uint64_t mark, total, marks_len, marks_room, *marks;

static void marked(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    if (marks_len == marks_room) {
        marks_room = marks_room ? 2 * marks_room : 1024;
        marks = realloc(marks, marks_room * sizeof *marks);
        if (!marks) abort();
    }
    marks[marks_len++] = total;
}

static void translated(Id id, struct qemu_plugin_tb *block) {
    (void)id;
    struct Block *it = malloc(sizeof *it);
    if (!it) abort();
    *it = (struct Block){blocks, qemu_plugin_tb_vaddr(block), qemu_plugin_tb_n_insns(block), 0};
    blocks = it;
    if (mark) {
        if (it->address == mark) qemu_plugin_register_vcpu_tb_exec_cb(block, marked, NO_REGISTERS, NULL);
        qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &total, it->instructions);
    }
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &it->times, 1);
}

static void finished(Id id, void *data) {
    (void)id, (void)data;
    FILE *file = fopen(out, "w");
    if (!file) perror(out), abort();
    for (struct Block *it = blocks; it; it = it->next)
        if (it->times)
            fprintf(file, "block %#" PRIx64 " %" PRIu64 " %" PRIu64 "\n", it->address, it->instructions, it->times);
    for (uint64_t i = 1; i < marks_len; i++) fprintf(file, "mark %" PRIu64 "\n", marks[i] - marks[i - 1]);
    if (fclose(file)) perror(out), abort();
}

PUBLIC int qemu_plugin_install(Id id, const void *info, int count, char **arguments) {
    (void)info;
    for (int i = 0; i < count; i++) {
        if (!strncmp(arguments[i], "out=", 4)) out = strdup(arguments[i] + 4);
        if (!strncmp(arguments[i], "mark=", 5)) mark = strtoull(arguments[i] + 5, NULL, 0);
    }
    if (!out) return fprintf(stderr, "count_blocks: out=FILE is missing\n"), 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
