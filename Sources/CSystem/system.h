/* What glibc tells of a program's own memory, which Swift's Glibc module leaves out. */
#include <elf.h>
#include <malloc.h>
#include <stddef.h>

/* A loaded file: the program or a library. The fields of dl_phdr_info that every glibc has. */
struct loaded_file {
    Elf64_Addr address;
    const char *name;
    const Elf64_Phdr *segments;
    Elf64_Half segment_count;
};

/* dl_iterate_phdr, which <link.h> declares for _GNU_SOURCE alone: with that Swift's Glibc module would not fit. */
int visit_loaded_files(int (*visit)(const struct loaded_file *, size_t, void *), void *data)
    __asm__("dl_iterate_phdr");
