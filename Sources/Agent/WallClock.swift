/// The wall clock, without Foundation.

import Glibc

enum WallClock {
    static var microseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    static var seconds: Int64 { microseconds / 1_000_000 }
}
