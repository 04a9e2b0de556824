//! Where encoded records wait for delivery: bounded, oldest out first. Knows nothing of Python, nor what a record is.
//!
//! A record is stored as one `ScopeLogs.log_records` field (tag, length, bytes), so that a batch is a header and a
//! copy. Records lie in blocks of fixed size, filled one after the other; a record never spans two. Only `commit` and
//! `take` touch the blocks: a block can become a mapped file without their callers noticing.
//!
//! No lock: every function is called with the GIL and runs no Python code.

const std = @import("std");
const wire = @import("wire.zig");
const assert = std.debug.assert;

/// Field 2 (log_records) of ScopeLogs, length-delimited.
const record_tag = 0x12;
pub const block_size = 1 << 20;
/// Emptied blocks that are kept, so that a steady load touches no fresh memory.
const spare_count_max = 4;

const Block = struct {
    next: ?*Block,
    begin: usize,
    end: usize,
    capacity: usize,

    fn bytes(block: *Block) [*]u8 {
        return @as([*]u8, @ptrCast(block)) + @sizeOf(Block);
    }
};

pub const Segment = struct {
    first: ?*Block = null,
    last: ?*Block = null,
    spare: ?*Block = null,
    spare_count: usize = 0,
    /// Records and their bytes (framing included) that wait.
    count: usize = 0,
    size: usize = 0,
    size_max: usize = 64 << 20,

    /// Store one record; false when it would exceed size_max or memory is short, and then nothing has changed.
    pub inline fn commit(segment: *Segment, record: []const u8) bool {
        const need = 1 + wire.varint_size(record.len) + record.len;
        if (segment.size + need > segment.size_max) return false;
        var block = segment.last orelse segment.add_block(need) orelse return false;
        if (block.capacity - block.end < need) block = segment.add_block(need) orelse return false;
        var c = wire.Cursor{ .at = block.bytes() + block.end };
        c.byte(record_tag);
        c.varint(record.len);
        c.raw(record);
        block.end += need;
        assert(c.at == block.bytes() + block.end);
        segment.count += 1;
        segment.size += need;
        return true;
    }

    noinline fn add_block(segment: *Segment, need: usize) ?*Block {
        const block = block: {
            if (need <= block_size) {
                if (segment.spare) |spare| {
                    segment.spare = spare.next;
                    segment.spare_count -= 1;
                    break :block spare;
                }
            }
            const capacity = @max(block_size, need);
            const fresh: *Block = @ptrCast(@alignCast(wire.malloc(@sizeOf(Block) + capacity) orelse return null));
            fresh.capacity = capacity;
            break :block fresh;
        };
        block.next = null;
        block.begin = 0;
        block.end = 0;
        if (segment.last) |last| last.next = block else segment.first = block;
        segment.last = block;
        return block;
    }

    pub const Batch = struct { size: usize, count: usize };

    /// How many of the oldest records fit in size_max bytes and count_max records (at least one, if any waits).
    pub fn measure(segment: *const Segment, size_max: usize, count_max: usize) Batch {
        var batch = Batch{ .size = 0, .count = 0 };
        var block = segment.first;
        while (block) |current| : (block = current.next) {
            var position = current.begin;
            while (position < current.end) {
                const size = framed_size(current.bytes()[position..current.end]);
                if (batch.count > 0 and (batch.size + size > size_max or batch.count >= count_max)) return batch;
                batch.size += size;
                batch.count += 1;
                position += size;
            }
        }
        return batch;
    }

    /// Move the oldest records, exactly those that `measure` counted, to `out`.
    pub fn take(segment: *Segment, batch: Batch, out: []u8) void {
        assert(out.len == batch.size);
        assert(batch.count <= segment.count);
        var done: usize = 0;
        while (done < batch.size) {
            const block = segment.first.?;
            const size = @min(block.end - block.begin, batch.size - done);
            @memcpy(out[done..][0..size], block.bytes()[block.begin..][0..size]);
            block.begin += size;
            done += size;
            if (block.begin == block.end) segment.retire_first();
        }
        segment.count -= batch.count;
        segment.size -= batch.size;
    }

    /// Forget every record (a forked child: they are its parent's to send).
    pub fn reset(segment: *Segment) void {
        while (segment.first != null) segment.retire_first();
        segment.count = 0;
        segment.size = 0;
    }

    pub fn deinit(segment: *Segment) void {
        segment.reset();
        while (segment.spare) |spare| {
            segment.spare = spare.next;
            wire.free(spare);
        }
        segment.spare_count = 0;
    }

    fn retire_first(segment: *Segment) void {
        const block = segment.first.?;
        segment.first = block.next;
        if (segment.first == null) segment.last = null;
        if (block.capacity == block_size and segment.spare_count < spare_count_max) {
            block.next = segment.spare;
            segment.spare = block;
            segment.spare_count += 1;
        } else wire.free(block);
    }
};

/// Size of the framed record that `bytes` begins with.
fn framed_size(bytes: []const u8) usize {
    assert(bytes[0] == record_tag);
    var length: usize = 0;
    var shift: u6 = 0;
    var position: usize = 1;
    while (true) {
        const byte = bytes[position];
        length |= @as(usize, byte & 0x7f) << shift;
        position += 1;
        if (byte < 0x80) break;
        shift += 7;
    }
    return position + length;
}

const testing = std.testing;

fn take_all(segment: *Segment, size_max: usize, count_max: usize) ![]u8 {
    const batch = segment.measure(size_max, count_max);
    const out = try testing.allocator.alloc(u8, batch.size);
    segment.take(batch, out);
    return out;
}

test "records come out once, whole and in order, whatever the batch size" {
    var random = std.Random.DefaultPrng.init(3);
    for ([_]usize{ 1, 100, 5_000, 4 << 20 }) |size_max| {
        var segment = Segment{};
        defer segment.deinit();
        var record: [3_000]u8 = undefined;
        const total = 2_000;
        for (0..total) |i| {
            const size = 4 + random.random().uintLessThan(usize, record.len - 4);
            std.mem.writeInt(u32, record[0..4], @intCast(i), .little);
            try testing.expect(segment.commit(record[0..size]));
        }
        var expected: u32 = 0;
        while (segment.count > 0) {
            const out = try take_all(&segment, size_max, 300);
            defer testing.allocator.free(out);
            var position: usize = 0;
            while (position < out.len) : (expected += 1) {
                const size = framed_size(out[position..]);
                const body = 1 + wire.varint_size(size - 2);
                const at = if (size - 2 < 0x80) 2 else body;
                try testing.expectEqual(expected, std.mem.readInt(u32, out[position + at ..][0..4], .little));
                position += size;
            }
        }
        try testing.expectEqual(@as(u32, total), expected);
        try testing.expectEqual(@as(usize, 0), segment.size);
    }
}

test "a full segment refuses, and takes again once emptied" {
    var segment = Segment{ .size_max = 1_000 };
    defer segment.deinit();
    const record: [98]u8 = @splat('x');
    for (0..10) |_| try testing.expect(segment.commit(&record));
    try testing.expect(!segment.commit(&record));
    try testing.expectEqual(@as(usize, 10), segment.count);
    testing.allocator.free(try take_all(&segment, 100, 100));
    try testing.expect(segment.commit(&record));
}

test "a record larger than a block has a block of its own" {
    var segment = Segment{};
    defer segment.deinit();
    const large = try testing.allocator.alloc(u8, block_size * 2);
    defer testing.allocator.free(large);
    @memset(large, 'y');
    try testing.expect(segment.commit("small"));
    try testing.expect(segment.commit(large));
    try testing.expect(segment.commit("small"));
    try testing.expectEqual(@as(usize, 1), segment.measure(100, 100).count);
    const out = try take_all(&segment, 16 << 20, 100);
    defer testing.allocator.free(out);
    try testing.expectEqual(2 * 7 + 1 + wire.varint_size(large.len) + large.len, out.len);
}

test "reset forgets every record and reuses its blocks" {
    var segment = Segment{};
    defer segment.deinit();
    for (0..100) |_| try testing.expect(segment.commit("record"));
    segment.reset();
    try testing.expectEqual(@as(usize, 0), segment.measure(1 << 20, 100).count);
    try testing.expectEqual(@as(usize, 1), segment.spare_count);
    try testing.expect(segment.commit("record"));
    try testing.expectEqual(@as(usize, 0), segment.spare_count);
}
