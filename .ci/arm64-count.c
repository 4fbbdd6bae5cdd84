// Counts the instructions that an emulated program executes, in all and per function: a plugin for the
// emulator's interface version 1, whose header no Debian package has, so what is used is declared here.
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void on_translation(plugin_id, struct qemu_plugin_tb *);
typedef void on_execution(unsigned thread, void *data);
typedef void on_exit_of_program(plugin_id, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation *);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_execution *, int flags, void *data);
void qemu_plugin_register_atexit_cb(plugin_id, on_exit_of_program *, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);
void qemu_plugin_outs(const char *);

#define SHOWN __attribute__((visibility("default")))
SHOWN int qemu_plugin_version = 1;

enum { THREADS = 64, LINES = 20 };

struct function {
    struct function *next;
    char *name;
    uint64_t instructions;
};

/// A run of instructions without a branch; each thread counts its own entries, so none is lost.
struct block {
    struct block *next;
    struct function *function;
    uint64_t instructions, entries[THREADS];
};

static struct function *functions;
static struct block *blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *cleared(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) {
        abort();
    }
    return memory;
}

static struct function *function_named(const char *name) {
    for (struct function *f = functions; f; f = f->next) {
        if (!strcmp(f->name, name)) {
            return f;
        }
    }
    struct function *f = cleared(sizeof *f);
    f->name = strdup(name);
    f->next = functions;
    return functions = f;
}

static void entered(unsigned thread, void *data) {
    ((struct block *)data)->entries[thread % THREADS]++;
}

static void translated(plugin_id id, struct qemu_plugin_tb *code) {
    (void)id;
    const char *name = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(code, 0));
    struct block *block = cleared(sizeof *block);
    block->instructions = qemu_plugin_tb_n_insns(code);
    pthread_mutex_lock(&lock);
    block->function = function_named(name && *name ? name : "(libraries)");
    block->next = blocks;
    blocks = block;
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_cb(code, entered, 0, block);
}

static int most_first(const void *a, const void *b) {
    uint64_t x = (*(struct function *const *)a)->instructions;
    uint64_t y = (*(struct function *const *)b)->instructions;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void finished(plugin_id id, void *data) {
    (void)id;
    (void)data;
    uint64_t total = 0;
    size_t count = 0;
    for (struct block *b = blocks; b; b = b->next) {
        uint64_t entries = 0;
        for (size_t i = 0; i < THREADS; i++) {
            entries += b->entries[i];
        }
        b->function->instructions += entries * b->instructions;
        total += entries * b->instructions;
    }
    for (struct function *f = functions; f; f = f->next) {
        count++;
    }
    struct function **order = cleared((count + 1) * sizeof *order);
    size_t at = 0;
    for (struct function *f = functions; f; f = f->next) {
        order[at++] = f;
    }
    qsort(order, count, sizeof *order, most_first);
    char line[256];
    snprintf(line, sizeof line, "%16llu instructions\n", (unsigned long long)total);
    qemu_plugin_outs(line);
    for (size_t i = 0; i < count && i < LINES && order[i]->instructions; i++) {
        snprintf(line, sizeof line, "%16llu  %5.1f %%  %.200s\n",
                 (unsigned long long)order[i]->instructions,
                 100.0 * (double)order[i]->instructions / (double)total, order[i]->name);
        qemu_plugin_outs(line);
    }
}

SHOWN int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
