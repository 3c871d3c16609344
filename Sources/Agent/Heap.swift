/// Keeps the process small although it reads large answers now and then.

import CMalloc

/// glibc keeps what was freed, one heap a thread, and raises the size above which memory is mapped apart. Good for speed;
/// but this program rests nearly always, on a host with little memory.
enum Heap {
    /// Bytes from which an allocation is mapped on its own and given back when it is freed.
    private static let mapped: Int32 = 128 << 10

    /// Called once, before there are threads.
    static func keepSmall() {
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, mapped)
    }

    /// Hands free pages back to the system.
    static func giveBack() { malloc_trim(0) }
}
