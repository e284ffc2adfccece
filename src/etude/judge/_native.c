/* The zygote's hot path: memory that is cheap to fork, and the step itself.
 *
 * Optional. Without it `steps.py` does the same in Python, with the same verdicts and the same
 * isolation, slower. Nothing here looks at what a candidate wrote: a child is forked, locked up,
 * watched and buried.
 *
 * What a fork costs is page tables, and after it a fault and a copy for each page that the child
 * writes to. Hence two things, both for speed alone:
 *  - until the interpreter is frozen, its small objects lie in one region of huge pages, and so
 *    does malloc's heap: their page table is copied in one entry each instead of 512. For that this
 *    library is preloaded, and takes the place of mmap;
 *  - a child's own small objects are packed into fresh pages ("slab"), instead of into the holes
 *    between the zygote's, and an inherited object that dies there is left where it lies.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef __linux__
#error "only Linux has what this needs"
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Preloaded into a program that is no Python, a shell that starts one for example, this must load
 * all the same. */
#pragma weak PyExc_OSError
#pragma weak _Py_NoneStruct
#pragma weak _Py_TrueStruct
#pragma weak _Py_FalseStruct

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* ------------------------------------------------------------------ the zygote's own memory */

#define HUGE ((uintptr_t)2 << 20)
#define ARENA_REGION ((size_t)64 << 20)

static char *arena_start, *arena_next, *arena_end;
static char *heap_start;
static int gathering = 1;

static int in_arenas(const void *block) {
    return (const char *)block >= arena_start && (const char *)block < arena_end;
}

static char *next_huge(char *p) { return (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1)); }

/* Room for arenas, and malloc's heap moved to where a huge page begins. */
static int gather_memory(void) {
    long region = syscall(SYS_mmap, NULL, ARENA_REGION + HUGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == -1)
        return -1;
    arena_start = arena_next = next_huge((char *)region);
    arena_end = arena_start + ARENA_REGION;
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TOP_PAD, (int)HUGE);
    char *top = sbrk(0);
    heap_start = next_huge(top);
    if (sbrk(heap_start - top) == (void *)-1)
        heap_start = NULL;
    return 0;
}

/* Takes libc's place when this library is preloaded, so that the interpreter's very first arena
 * lies with all others. */
#define ARENA_LEAST ((size_t)256 << 10)
#define ARENA_MOST ((size_t)1 << 20)

void *mmap(void *place, size_t size, int protection, int flags, int file, off_t offset) {
    int arena = gathering && !place && size >= ARENA_LEAST && size <= ARENA_MOST && !(size & (size - 1))
                && protection == (PROT_READ | PROT_WRITE) && flags == (MAP_PRIVATE | MAP_ANONYMOUS);
    if (arena && !arena_start && gather_memory() < 0)
        gathering = 0;
    if (arena && arena_start && (size_t)(arena_end - arena_next) >= size) {
        void *given = arena_next;
        arena_next += size;
        return given;
    }
    return (void *)syscall(SYS_mmap, place, size, protection, flags, file, offset);
}

static void *arena_alloc(void *context, size_t size) {
    (void)context;
    void *arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return arena == MAP_FAILED ? NULL : arena;
}

static void arena_free(void *context, void *arena, size_t size) {
    (void)context;
    if (in_arenas(arena))
        madvise(arena, size, MADV_DONTNEED);
    else
        munmap(arena, size);
}

static int prepare_slab(void);

static PyObject *native_gather(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    if (!arena_start)
        Py_RETURN_FALSE; /* not preloaded: some arenas lie elsewhere already */
    PyObjectArenaAllocator arenas = {NULL, arena_alloc, arena_free};
    PyObject_SetArenaAllocator(&arenas);
    if (prepare_slab() < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_TRUE;
}

/* Pages that stay untouched stay so: a child that grows into them gets small ones. */
static void collapse(char *start, char *end) {
    char *last = next_huge(end);
    madvise(start, (size_t)(last - start), MADV_COLLAPSE);
}

static PyObject *native_freeze(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    gathering = 0;
    if (!arena_start)
        Py_RETURN_NONE;
    collapse(arena_start, arena_next);
    if (heap_start) {
        /* It grows by huge pages, and has to end with one. */
        char *top = sbrk(0);
        mallopt(M_TRIM_THRESHOLD, 64 << 20);
        mallopt(M_TOP_PAD, (int)(next_huge(top) - top));
        free(malloc((size_t)(top - heap_start)));
        collapse(heap_start, sbrk(0));
    }
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TOP_PAD, 128 << 10);
    Py_RETURN_NONE;
}

/* A fork copies every mapping, for about a microsecond each and three where it was written to.
 * A library has five; two are enough. What is lost, constants that could be executed and tables
 * of addresses that could be written to, would protect this process from its own code: a
 * candidate that gets that far has to be held by the locks around the process. */
typedef struct {
    char *start, *end;
    unsigned long offset, inode;
    int protection;
} Mapping;

#define MOST_MAPPINGS 1024

static int read_mappings(Mapping *found) {
    char line[512], rights[8];
    FILE *maps = fopen("/proc/self/maps", "re");
    int count = 0;
    while (maps && count < MOST_MAPPINGS && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        Mapping *m = &found[count];
        if (sscanf(line, "%lx-%lx %7s %lx %*s %lu", &start, &end, rights, &m->offset, &m->inode) != 5)
            continue;
        m->start = (char *)start;
        m->end = (char *)end;
        m->protection = (rights[0] == 'r' ? PROT_READ : 0) | (rights[1] == 'w' ? PROT_WRITE : 0)
                        | (rights[2] == 'x' ? PROT_EXEC : 0);
        count += m->inode != 0 && rights[3] == 'p';
    }
    if (maps)
        fclose(maps);
    return count;
}

static int follows(const Mapping *a, const Mapping *b) {
    return a->inode == b->inode && a->end == b->start
           && a->offset + (unsigned long)(a->end - a->start) == b->offset;
}

/* The interpreter's own code, in huge pages: a child would look up each of its small ones. */
static void move_to_huge_pages(char *start, char *end) {
    size_t size = (size_t)(end - start);
    char *from = next_huge(start);
    if (from + HUGE > end)
        return;
    /* a copy at the same distance from a huge page's start, put in the place of the original */
    char *room = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return;
    char *copy = next_huge(room) + ((uintptr_t)start & (HUGE - 1));
    if (copy + size > room + size + HUGE)
        copy -= HUGE;
    memcpy(copy, start, size);
    if (!mprotect(copy, size, PROT_READ | PROT_EXEC))
        mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start);
    char *last = (char *)((uintptr_t)end & ~(HUGE - 1));
    madvise(from, (size_t)(last - from), MADV_COLLAPSE);
}

static PyObject *native_compact(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    static Mapping all[MOST_MAPPINGS];
    int count = read_mappings(all);
    for (int i = 0; i + 1 < count; i++) {
        Mapping *a = &all[i], *b = &all[i + 1];
        if (a->protection == PROT_READ && b->protection == (PROT_READ | PROT_WRITE) && follows(a, b))
            mprotect(a->start, (size_t)(a->end - a->start), b->protection);
        if (b->protection != (PROT_READ | PROT_EXEC))
            continue;
        char *start = b->start, *end = b->end;
        if (a->protection == PROT_READ && follows(a, b))
            start = a->start;
        if (i + 2 < count && all[i + 2].protection == PROT_READ && follows(b, &all[i + 2]))
            end = all[i + 2].end;
        if ((size_t)(end - start) >= HUGE && next_huge(start) + HUGE <= end)
            move_to_huge_pages(start, end);
        else
            mprotect(start, (size_t)(end - start), PROT_READ | PROT_EXEC);
    }
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- a child's small objects */

#define PAGE 4096
#define SMALL 512
#define GRAIN 16
#define FIRST_PAGES 256
#define MOST_PAGES (1 << 18)
#define GROWTH_PAGES 256

static char *slab_start, *slab_next, *slab_end;
static int slab_full;       /* then malloc gives small blocks too, as far as the limit allows */
static uint8_t *slab_class; /* of each page, in grains */
static void *slab_free_list[SMALL / GRAIN + 1];
static char *slab_open[SMALL / GRAIN + 1]; /* where the next block of a class is cut from */
static PyMemAllocatorEx inherited;

static int in_slab(const void *p) {
    return (const char *)p >= slab_start && (const char *)p < slab_next;
}

static unsigned class_of(const void *p) {
    return slab_class[((const char *)p - slab_start) / PAGE];
}

static char *slab_page(unsigned class) {
    if (slab_next == slab_end) {
        if (slab_next == slab_start + (size_t)MOST_PAGES * PAGE) {
            slab_full = 1;
            return NULL;
        }
        void *more = mmap(slab_end, GROWTH_PAGES * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (more != slab_end) {
            if (more != MAP_FAILED)
                munmap(more, GROWTH_PAGES * PAGE);
            slab_full = 1;
            return NULL;
        }
        slab_end += GROWTH_PAGES * PAGE;
    }
    char *page = slab_next;
    slab_next += PAGE;
    slab_class[(page - slab_start) / PAGE] = (uint8_t)class;
    return page;
}

/* NULL when the slab is full. */
static void *slab_alloc(size_t size) {
    unsigned class = size ? (unsigned)((size + GRAIN - 1) / GRAIN) : 1;
    void *block = slab_free_list[class];
    if (block) {
        slab_free_list[class] = *(void **)block;
        return block;
    }
    char *at = slab_open[class];
    if (!at && !(at = slab_page(class)))
        return NULL;
    char *next = at + class * GRAIN;
    /* The page's end, if no further block fits in. */
    slab_open[class] = ((uintptr_t)next & (PAGE - 1)) + class * GRAIN <= PAGE
                               && ((uintptr_t)next & (PAGE - 1)) != 0 ? next : NULL;
    return at;
}

static void *child_malloc(void *context, size_t size) {
    (void)context;
    void *block = size <= SMALL && !slab_full ? slab_alloc(size) : NULL;
    if (block)
        return block;
    return size > PY_SSIZE_T_MAX ? NULL : malloc(size ? size : 1);
}

static void *child_calloc(void *context, size_t count, size_t each) {
    (void)context;
    if (each && count > (size_t)PY_SSIZE_T_MAX / each)
        return NULL;
    if (count * each > SMALL)
        return calloc(count, each);
    void *block = child_malloc(NULL, count * each);
    return block ? memset(block, 0, count * each) : NULL;
}

static void child_free(void *context, void *block) {
    (void)context;
    if (!block || in_arenas(block))
        return;
    if (!in_slab(block)) {
        free(block);
        return;
    }
    unsigned class = class_of(block);
    *(void **)block = slab_free_list[class];
    slab_free_list[class] = block;
}

static void *child_realloc(void *context, void *block, size_t size) {
    if (!block)
        return child_malloc(context, size);
    if (size > PY_SSIZE_T_MAX)
        return NULL;
    if (!size)
        size = 1; /* libc's would free the block, and say that there is no memory */
    if (in_arenas(block)) {
        /* Not through the inherited allocator while there is another way: what it gives may lie in a
         * new arena, which `child_free` would take for malloc's. The block's size is not known, but
         * arenas hold small ones alone, and what follows one can be read. */
        size_t most = (size_t)(arena_end - (char *)block);
        most = most < SMALL ? most : SMALL;
        void *moved = child_malloc(context, size);
        return moved ? memcpy(moved, block, size < most ? size : most)
                     : inherited.realloc(inherited.ctx, block, size);
    }
    if (!in_slab(block))
        return realloc(block, size);
    size_t room = class_of(block) * GRAIN;
    if (size <= room && 4 * size > 3 * room)
        return block;
    void *copy = child_malloc(context, size);
    if (!copy)
        return size <= room ? block : NULL;
    memcpy(copy, block, size < room ? size : room);
    child_free(context, block);
    return copy;
}

static int prepare_slab(void) {
    size_t table = MOST_PAGES;
    slab_class = mmap(NULL, table, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    /* A place with room to grow: found by asking for all of it, and giving it back. */
    size_t all = (size_t)MOST_PAGES * PAGE;
    char *room = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab_class == MAP_FAILED || room == MAP_FAILED)
        return -1;
    munmap(room, all);
    slab_start = mmap(room, FIRST_PAGES * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (slab_start != room)
        return -1;
    slab_next = slab_start;
    slab_end = slab_start + FIRST_PAGES * PAGE;
    return 0;
}

static void use_slab(void) {
    if (!slab_start || !arena_start)
        return;
    PyMemAllocatorEx own = {NULL, child_malloc, child_calloc, child_realloc, child_free};
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &inherited);
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &own);
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &own);
}

/* ------------------------------------------------------------------------------ one step */

static int channel;
static int in_namespaces;
static struct sock_fprog child_filter;

static PyObject *native_prepare(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer filter;
    if (!PyArg_ParseTuple(args, "iy*p", &channel, &filter, &in_namespaces))
        return NULL;
    child_filter.len = (unsigned short)(filter.len / 8);
    child_filter.filter = malloc((size_t)filter.len);
    if (child_filter.filter)
        memcpy(child_filter.filter, filter.buf, (size_t)filter.len);
    PyBuffer_Release(&filter);
    if (!child_filter.filter)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    return clock_gettime(clock, &now) ? 0.0 : (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* In the child: the last locks. A lock that does not close ends the child. */
static void lock_child(double cpu_seconds) {
    struct rlimit cpu;
    cpu.rlim_cur = cpu.rlim_max = (rlim_t)cpu_seconds + 2;
    int open = close(channel) | setrlimit(RLIMIT_CPU, &cpu);
    if (!in_namespaces)
        open |= prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    open |= (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &child_filter);
    if (open)
        kill(getpid(), SIGUSR1);
    use_slab();
}

static int supervisor_is_gone(void) {
    struct pollfd end = {channel, POLLRDHUP | POLLHUP, 0};
    return poll(&end, 1, 0) > 0 && (end.revents & (POLLRDHUP | POLLHUP));
}

/* `ended.py` knows these by the same numbers. */
enum cause { LEFT, CPU_LIMIT, WALL_LIMIT, NOT_STARTED, ORPHANED = -1 };

#define HEARTBEAT 0.5

/* Until the child is dead. `progress`, where given, counts answers: each has the limits to
 * itself. Waits first: what the zygote touches while the child lives has to be copied. */
static enum cause watch(pid_t pid, const uint32_t *progress, uint32_t parts, double cpu_limit,
                        double wall_limit, int *status, struct rusage *usage) {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    clockid_t clock = (clockid_t)((~(unsigned)pid << 3) | 2);
    uint32_t seen = 0;
    double cpu_start = 0, wall_end = seconds_of(CLOCK_MONOTONIC) + wall_limit;
    double wait = cpu_limit < wall_limit ? cpu_limit : wall_limit;
    for (;;) {
        double pause = wait + 0.001 < HEARTBEAT ? wait + 0.001 : HEARTBEAT;
        struct timespec most = {(time_t)pause, (long)((pause - (double)(time_t)pause) * 1e9)};
        int ended = sigtimedwait(&children, NULL, &most);
        if (wait4(pid, status, WNOHANG, usage) == pid)
            return LEFT;
        enum cause cause = LEFT;
        if (ended < 0 && supervisor_is_gone())
            cause = ORPHANED;
        double cpu = seconds_of(clock), now = seconds_of(CLOCK_MONOTONIC);
        /* Only forward, and only so far: a hostile child writes what it likes there. */
        uint32_t count = progress ? *(volatile const uint32_t *)progress : 0;
        if (seen < count && count <= parts) {
            seen = count;
            cpu_start = cpu;
            wall_end = now + wall_limit;
        }
        double cpu_left = cpu_limit - (cpu - cpu_start);
        if (cpu_left <= 0)
            cause = CPU_LIMIT;
        else if (now >= wall_end)
            cause = WALL_LIMIT;
        if (cause != LEFT) {
            kill(pid, SIGKILL);
            while (wait4(pid, status, 0, usage) < 0 && errno == EINTR)
                ;
            return cause;
        }
        wait = cpu_left < wall_end - now ? cpu_left : wall_end - now;
    }
}

/* Nothing that the step started outlives it. */
static void bury_strays(void) {
    if (in_namespaces && kill(-1, SIGKILL) == 0)
        while (waitpid(-1, NULL, 0) >= 0 || errno == EINTR)
            ;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + 1e-6 * (double)t.tv_usec; }

static double cpu_of(const struct rusage *usage) {
    return seconds(usage->ru_utime) + seconds(usage->ru_stime);
}

static PyObject *native_step(PyObject *self, PyObject *args) {
    (void)self;
    double cpu_limit, wall_limit;
    if (!PyArg_ParseTuple(args, "dd", &cpu_limit, &wall_limit))
        return NULL;
    /* Not os.fork: there are no threads to reinitialise, and nothing is registered. */
    pid_t pid = fork();
    if (pid < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (pid == 0) {
        lock_child(cpu_limit);
        Py_RETURN_NONE;
    }
    int status = 0;
    struct rusage usage = {0};
    enum cause cause = watch(pid, NULL, 1, cpu_limit, wall_limit, &status, &usage);
    bury_strays();
    return Py_BuildValue("iidl", (int)cause, status, cpu_of(&usage), usage.ru_maxrss);
}

/* --------------------------------------------------------------- steps from the supervisor */

/* The frames of `wire.py`, and the memory of `exchange.py`. Both sides are this machine. */
#define MAGIC "etu2"
#define MOST_BYTES ((uint32_t)64 << 20)
#define DETAIL_BYTES 400
#define START 64

typedef struct __attribute__((packed)) {
    char magic[4];
    uint32_t body, results, room;
    double cpu, wall;
} StepHead;

typedef struct __attribute__((packed)) {
    char magic[4];
    int32_t cause, status;
    uint32_t results, detail, payload;
    uint64_t cpu, peak;
} EndHead;

typedef struct {
    uint32_t count, detail, payload; /* the child's word */
    uint32_t body, results, room;    /* for the child to know; ours are in the head */
} State;

/* All of it, or the end of this process: without its supervisor it has nothing to do. */
static void receive(void *memory, size_t size) {
    while (size) {
        ssize_t got = recv(channel, memory, size, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            _exit(0);
        if (got > 0) {
            memory = (char *)memory + got;
            size -= (size_t)got;
        }
    }
}

/* From where it lies: a copy, wherever it was made, the next child would inherit. */
static void answer(EndHead *head, const char *results, const char *detail, const char *payload) {
    memcpy(head->magic, MAGIC, 4);
    struct iovec pieces[4] = {
        {head, sizeof *head},
        {(char *)results, head->results},
        {(char *)detail, head->detail},
        {(char *)payload, head->payload},
    };
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 4};
    while (message.msg_iovlen) {
        ssize_t sent = sendmsg(channel, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            _exit(0);
        size_t left = sent > 0 ? (size_t)sent : 0;
        while (message.msg_iovlen && left >= message.msg_iov->iov_len) {
            left -= message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + left;
            message.msg_iov->iov_len -= left;
        }
    }
}

static uint32_t at_most(uint32_t said, uint32_t most) { return said < most ? said : most; }

/* One step after the other. Returns only in a child, with its piece of memory. */
static PyObject *native_serve(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    for (;;) {
        StepHead step;
        receive(&step, sizeof step);
        if (memcmp(step.magic, MAGIC, 4) || step.body > MOST_BYTES || step.results > MOST_BYTES
            || step.room > MOST_BYTES)
            _exit(0);
        size_t size = (size_t)START + step.body + step.results + DETAIL_BYTES + step.room;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        EndHead end = {.cause = NOT_STARTED};
        if (memory == MAP_FAILED) {
            end.status = errno;
            char scratch[4096];
            for (uint32_t left = step.body; left;) {
                uint32_t piece = at_most(left, sizeof scratch);
                receive(scratch, piece);
                left -= piece;
            }
            explicit_bzero(scratch, sizeof scratch);
            answer(&end, NULL, NULL, NULL);
            continue;
        }
        State *state = (State *)memory;
        state->body = step.body;
        state->results = step.results;
        state->room = step.room;
        receive(memory + START, step.body);
        pid_t pid = fork();
        if (pid == 0) {
            lock_child(step.cpu * step.results);
            return PyMemoryView_FromMemory(memory, (Py_ssize_t)size, PyBUF_WRITE);
        }
        end.status = errno;
        if (pid > 0) {
            struct rusage usage = {0};
            int status = 0;
            end.cause = watch(pid, &state->count, step.results, step.cpu, step.wall, &status, &usage);
            bury_strays();
            if (end.cause == ORPHANED)
                _exit(0);
            end.status = status;
            end.cpu = (uint64_t)(1e6 * cpu_of(&usage));
            end.peak = (uint64_t)usage.ru_maxrss;
            end.results = at_most(state->count, step.results);
            end.detail = at_most(state->detail, DETAIL_BYTES);
            end.payload = at_most(state->payload, step.room);
        }
        const char *results = memory + START + step.body, *detail = results + step.results;
        answer(&end, results, detail, detail + DETAIL_BYTES);
        munmap(memory, size);
    }
}

static PyMethodDef methods[] = {
    {"gather", native_gather, METH_NOARGS,
     "Before anything is imported: keep what is made from now on together."},
    {"compact", native_compact, METH_NOARGS,
     "After everything is imported: fewer mappings, and the interpreter in huge pages."},
    {"freeze", native_freeze, METH_NOARGS, "Put what was gathered into huge pages."},
    {"prepare", native_prepare, METH_VARARGS,
     "The channel, the children's seccomp filter, whether this is the first of its namespace."},
    {"step", native_step, METH_VARARGS,
     "Fork a child, for which this returns None, and bury it: cause, status, CPU s, peak KiB."},
    {"serve", native_serve, METH_NOARGS,
     "Answer steps from the channel; returns only in a child, with the memory of its step."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", "The zygote's hot path.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
