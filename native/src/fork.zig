//! Notices that this process is a fork of the one that made the mark, however it was forked (os.fork's hooks do not
//! run for a fork in C). Linux: a page that the kernel wipes in the child. Elsewhere only os.register_at_fork tells.

const builtin = @import("builtin");

const linux = struct {
    extern fn mmap(?*anyopaque, usize, c_int, c_int, c_int, i64) ?*anyopaque;
    extern fn munmap(*anyopaque, usize) c_int;
    extern fn madvise(*anyopaque, usize, c_int) c_int;
    const read_write = 1 | 2; // PROT_READ | PROT_WRITE
    const private_anonymous = 0x02 | 0x20; // MAP_PRIVATE | MAP_ANONYMOUS
    const wipe_on_fork = 18; // MADV_WIPEONFORK, Linux 4.14
};

/// The kernel rounds it up to its page.
const page_size = 4096;

pub const Mark = struct {
    page: ?*volatile u8 = null,

    pub inline fn happened(mark: *const Mark) bool {
        const page = mark.page orelse return false;
        return page.* == 0;
    }

    /// From now on the current process is the one that counts.
    pub fn renew(mark: *Mark) void {
        if (comptime builtin.os.tag != .linux) return;
        if (mark.page == null) mark.page = map();
        if (mark.page) |page| page.* = 1;
    }

    pub fn deinit(mark: *Mark) void {
        if (comptime builtin.os.tag != .linux) return;
        if (mark.page) |page| _ = linux.munmap(@ptrCast(@volatileCast(page)), page_size);
        mark.page = null;
    }

    fn map() ?*volatile u8 {
        const failed = ~@as(usize, 0); // MAP_FAILED
        const memory = linux.mmap(null, page_size, linux.read_write, linux.private_anonymous, -1, 0);
        if (@intFromPtr(memory) == failed) return null;
        if (linux.madvise(memory.?, page_size, linux.wipe_on_fork) == 0) return @ptrCast(memory.?);
        _ = linux.munmap(memory.?, page_size); // an older kernel
        return null;
    }
};
