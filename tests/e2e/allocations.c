/* tests/e2e/allocations.c -- for LD_PRELOAD into a program that is built with a sanitizer: counts
 * what it and all that it starts allocate, in the first eight bytes of the file
 * REPORTD_SEAMS_ALLOCATIONS. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* sanitizer/allocator_interface.h, which does not come with gcc */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static _Atomic(uint64_t) *allocations;

static void count(const volatile void *pointer, size_t size)
{
    (void)pointer, (void)size;
    atomic_fetch_add(allocations, 1);
}

static void ignore(const volatile void *pointer)
{
    (void)pointer;
}

__attribute__((constructor)) static void begin(void)
{
    int fd = open(getenv("REPORTD_SEAMS_ALLOCATIONS"), O_RDWR | O_CLOEXEC);

    allocations = mmap(NULL, sizeof(*allocations), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    /* A count of 0 would pass for a good one. */
    if (allocations == MAP_FAILED || !__sanitizer_install_malloc_and_free_hooks(count, ignore))
        abort();
    close(fd);
}
