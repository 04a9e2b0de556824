//! Scratch memory and protobuf's wire format: varints, tags, lengths. Knows nothing of Python or OTLP.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;

// libc's symbols are resolved from the host process at load time, so the extension itself needs no libc (one file
// serves glibc and musl). Windows: the process heap, so no CRT either.
const libc = struct {
    extern fn malloc(usize) ?*anyopaque;
    extern fn realloc(?*anyopaque, usize) ?*anyopaque;
    extern fn free(?*anyopaque) void;
};
const kernel32 = struct {
    extern "kernel32" fn GetProcessHeap() callconv(.winapi) *anyopaque;
    extern "kernel32" fn HeapAlloc(*anyopaque, u32, usize) callconv(.winapi) ?*anyopaque;
    extern "kernel32" fn HeapReAlloc(*anyopaque, u32, *anyopaque, usize) callconv(.winapi) ?*anyopaque;
    extern "kernel32" fn HeapFree(*anyopaque, u32, ?*anyopaque) callconv(.winapi) c_int;
};
const on_windows = builtin.os.tag == .windows;

pub fn malloc(size: usize) ?*anyopaque {
    if (on_windows) return kernel32.HeapAlloc(kernel32.GetProcessHeap(), 0, size);
    return libc.malloc(size);
}
pub fn realloc(old: *anyopaque, size: usize) ?*anyopaque {
    if (on_windows) return kernel32.HeapReAlloc(kernel32.GetProcessHeap(), 0, old, size);
    return libc.realloc(old, size);
}
pub fn free(memory: ?*anyopaque) void {
    if (memory == null) return;
    if (on_windows) {
        _ = kernel32.HeapFree(kernel32.GetProcessHeap(), 0, memory);
    } else libc.free(memory);
}
pub fn create(comptime T: type) ?*T {
    return @ptrCast(@alignCast(malloc(@sizeOf(T)) orelse return null));
}
/// A copy of `bytes` that its owner frees with `free(copy.ptr)`; null when memory is short.
pub fn duplicate(bytes: []const u8) ?[]u8 {
    const memory: [*]u8 = @ptrCast(malloc(bytes.len + 1) orelse return null);
    @memcpy(memory[0..bytes.len], bytes);
    return memory[0..bytes.len];
}

/// @memcpy for the short runs that records are made of: without a call, by two moves that may overlap.
pub inline fn copy(out: [*]u8, bytes: []const u8) void {
    const len = bytes.len;
    const in = bytes.ptr;
    if (len > 64) return @memcpy(out[0..len], bytes);
    if (len > 32) {
        move(32, out, in);
        return move(32, out + len - 32, in + len - 32);
    }
    if (len >= 16) {
        move(16, out, in);
        return move(16, out + len - 16, in + len - 16);
    }
    if (len >= 8) {
        move(8, out, in);
        return move(8, out + len - 8, in + len - 8);
    }
    if (len >= 4) {
        move(4, out, in);
        return move(4, out + len - 4, in + len - 4);
    }
    if (len == 0) return;
    out[0] = in[0];
    out[len / 2] = in[len / 2];
    out[len - 1] = in[len - 1];
}
inline fn move(comptime size: usize, out: [*]u8, in: [*]const u8) void {
    out[0..size].* = in[0..size].*;
}

pub const varint_size_max = 10;

/// Bytes that `value` occupies as a varint.
pub inline fn varint_size(value: u64) usize {
    // Zero still takes one byte, hence `| 1`. (bits * 9 + 64) / 64 is ceil(bits / 7) for 1..64 bits.
    const bits: usize = 64 - @as(usize, @clz(value | 1));
    return (bits * 9 + 64) / 64;
}

pub const Error = error{
    /// Memory is short, or the text being written grew past `size_max`.
    TooLarge,
};

/// A place in memory that moves on as it is written to. By value, so that it stays in a register: the bytes written
/// might alias a Writer, whose fields would be loaded and stored again for each.
pub const Cursor = struct {
    at: [*]u8,

    pub inline fn byte(c: *Cursor, value: u8) void {
        c.at[0] = value;
        c.at += 1;
    }
    pub inline fn varint(c: *Cursor, number: u64) void {
        var rest = number;
        while (rest >= 0x80) {
            c.byte(@as(u8, @truncate(rest)) | 0x80);
            rest >>= 7;
        }
        c.byte(@truncate(rest));
    }
    pub inline fn raw(c: *Cursor, text: []const u8) void {
        copy(c.at, text);
        c.at += text.len;
    }
    pub inline fn fixed64(c: *Cursor, number: u64) void {
        std.mem.writeInt(u64, c.at[0..8], number, .little);
        c.at += 8;
    }
    pub inline fn fixed32(c: *Cursor, number: u32) void {
        std.mem.writeInt(u32, c.at[0..4], number, .little);
        c.at += 4;
    }
};

/// Append-only bytes: begins in memory the caller owns (its stack), moves to the heap when that is full.
pub const Writer = struct {
    bytes: [*]u8,
    len: usize = 0,
    capacity: usize,
    /// Nothing may grow past this; a container that holds itself many times over ends here.
    size_max: usize = std.math.maxInt(u32),
    /// Where raw_cut stops writing: a text that goes on is not needed beyond it.
    cut_at: usize = std.math.maxInt(u32),
    on_heap: bool = false,

    pub inline fn init(buffer: []u8) Writer {
        return .{ .bytes = buffer.ptr, .capacity = buffer.len };
    }
    pub inline fn deinit(w: *Writer) void {
        if (w.on_heap) free(w.bytes);
    }
    pub inline fn written(w: *const Writer) []u8 {
        return w.bytes[0..w.len];
    }

    /// Where the next byte goes, with room for at least `size`; `advance` to where it was left.
    pub inline fn cursor(w: *Writer, size: usize) Error!Cursor {
        try w.ensure(size);
        return .{ .at = w.bytes + w.len };
    }
    pub inline fn advance(w: *Writer, c: Cursor) void {
        w.len = @intFromPtr(c.at) - @intFromPtr(w.bytes);
        assert(w.len <= w.capacity);
    }

    /// Room for `size` more bytes; after it the `*_unchecked` functions may write that many.
    pub inline fn ensure(w: *Writer, size: usize) Error!void {
        if (w.capacity - w.len < size) return w.grow(size);
    }
    noinline fn grow(w: *Writer, size: usize) Error!void {
        if (w.len + size > w.size_max) return error.TooLarge;
        var capacity = w.capacity * 2;
        while (capacity - w.len < size) capacity *= 2;
        if (w.on_heap) {
            w.bytes = @ptrCast(realloc(w.bytes, capacity) orelse return error.TooLarge);
        } else {
            const bytes: [*]u8 = @ptrCast(malloc(capacity) orelse return error.TooLarge);
            @memcpy(bytes[0..w.len], w.bytes[0..w.len]);
            w.bytes = bytes;
            w.on_heap = true;
        }
        w.capacity = capacity;
    }

    pub inline fn byte_unchecked(w: *Writer, value: u8) void {
        assert(w.len < w.capacity);
        w.bytes[w.len] = value;
        w.len += 1;
    }
    pub inline fn varint_unchecked(w: *Writer, number: u64) void {
        var rest = number;
        while (rest >= 0x80) {
            w.byte_unchecked(@as(u8, @truncate(rest)) | 0x80);
            rest >>= 7;
        }
        w.byte_unchecked(@truncate(rest));
    }
    pub inline fn raw_unchecked(w: *Writer, text: []const u8) void {
        assert(w.capacity - w.len >= text.len);
        copy(w.bytes + w.len, text);
        w.len += text.len;
    }
    pub inline fn fixed64_unchecked(w: *Writer, number: u64) void {
        assert(w.capacity - w.len >= 8);
        std.mem.writeInt(u64, w.bytes[w.len..][0..8], number, .little);
        w.len += 8;
    }
    pub inline fn fixed32_unchecked(w: *Writer, number: u32) void {
        assert(w.capacity - w.len >= 4);
        std.mem.writeInt(u32, w.bytes[w.len..][0..4], number, .little);
        w.len += 4;
    }
    pub inline fn raw(w: *Writer, text: []const u8) Error!void {
        try w.ensure(text.len);
        w.raw_unchecked(text);
    }
    /// As much of `text` as fits before `cut_at`.
    pub inline fn raw_cut(w: *Writer, text: []const u8) Error!void {
        return w.raw(text[0..@min(text.len, w.cut_at -| w.len)]);
    }
    pub inline fn byte(w: *Writer, value: u8) Error!void {
        try w.ensure(1);
        w.byte_unchecked(value);
    }

    /// One byte was left free at `position` for the length of all that follows it: write it, moving the payload when
    /// the length needs more than a byte. The result is the canonical varint that protobuf itself writes.
    pub inline fn patch_length(w: *Writer, position: usize) Error!void {
        const size = w.len - position - 1;
        if (size < 0x80) {
            w.bytes[position] = @intCast(size);
            return;
        }
        return w.patch_length_wide(position, size);
    }
    noinline fn patch_length_wide(w: *Writer, position: usize, size: usize) Error!void {
        const extra = varint_size(size) - 1;
        try w.ensure(extra);
        const begin = position + 1;
        std.mem.copyBackwards(u8, w.bytes[begin + extra ..][0..size], w.bytes[begin..][0..size]);
        w.len = position;
        w.varint_unchecked(size);
        w.len += size;
    }

    /// Decimal digits of `number`.
    pub inline fn decimal(w: *Writer, number: i64) Error!void {
        try w.ensure(decimal_size_max);
        w.len += put_decimal(w.bytes + w.len, number);
    }
};

pub const decimal_size_max = 20;

const digit_pairs = pairs: {
    @setEvalBranchQuota(2000);
    var table: [200]u8 = undefined;
    for (0..100) |i| {
        table[2 * i] = '0' + i / 10;
        table[2 * i + 1] = '0' + i % 10;
    }
    break :pairs table;
};

pub inline fn put_pair(out: [*]u8, value: usize) void {
    assert(value < 100);
    out[0] = digit_pairs[2 * value];
    out[1] = digit_pairs[2 * value + 1];
}

/// Write `number` in decimal at `out` (room for decimal_size_max bytes), return the number of bytes.
pub fn put_decimal(out: [*]u8, number: i64) usize {
    var digits: [decimal_size_max]u8 = undefined;
    var begin: usize = digits.len;
    var rest: u64 = @abs(number);
    while (rest >= 100) {
        begin -= 2;
        put_pair(digits[begin..].ptr, @intCast(rest % 100));
        rest /= 100;
    }
    if (rest >= 10) {
        begin -= 2;
        put_pair(digits[begin..].ptr, @intCast(rest));
    } else {
        begin -= 1;
        digits[begin] = '0' + @as(u8, @intCast(rest));
    }
    if (number < 0) {
        begin -= 1;
        digits[begin] = '-';
    }
    const size = digits.len - begin;
    @memcpy(out[0..size], digits[begin..]);
    return size;
}

/// Longest prefix of `text` that is at most `size_max` bytes and ends between two UTF-8 characters.
pub fn utf8_prefix(text: []const u8, size_max: usize) []const u8 {
    if (text.len <= size_max) return text;
    var end = size_max;
    while (end > 0 and text[end] & 0xc0 == 0x80) end -= 1;
    return text[0..end];
}

test "varint_size at both sides of every boundary" {
    var bits: u6 = 7;
    var size: usize = 1;
    while (true) {
        const boundary = @as(u64, 1) << bits;
        try std.testing.expectEqual(size, varint_size(boundary - 1));
        try std.testing.expectEqual(size + 1, varint_size(boundary));
        size += 1;
        if (bits == 63) break;
        bits += 7;
    }
    try std.testing.expectEqual(@as(usize, 1), varint_size(0));
    try std.testing.expectEqual(@as(usize, 10), varint_size(std.math.maxInt(u64)));
}

test "varint_size is what varint_unchecked writes" {
    var random = std.Random.DefaultPrng.init(1);
    for (0..10_000) |_| {
        var buffer: [varint_size_max]u8 = undefined;
        var w = Writer.init(&buffer);
        const value = random.random().int(u64) >> random.random().int(u6);
        w.varint_unchecked(value);
        try std.testing.expectEqual(varint_size(value), w.len);
    }
}

test "copy moves exactly the bytes it is given" {
    var source: [200]u8 = undefined;
    for (&source, 0..) |*byte, i| byte.* = @truncate(i + 1);
    for (0..130) |size| {
        var target: [200]u8 = @splat(0);
        copy(target[8..].ptr, source[3..][0..size]);
        try std.testing.expectEqualSlices(u8, source[3..][0..size], target[8..][0..size]);
        for (target[0..8]) |byte| try std.testing.expectEqual(@as(u8, 0), byte);
        for (target[8 + size ..]) |byte| try std.testing.expectEqual(@as(u8, 0), byte);
    }
}

test "put_decimal agrees with std.fmt" {
    var random = std.Random.DefaultPrng.init(2);
    const edges = [_]i64{ 0, 1, -1, 9, 10, 99, 100, std.math.maxInt(i64), std.math.minInt(i64) };
    for (0..10_000) |i| {
        const value = if (i < edges.len) edges[i] else random.random().int(i64) >> random.random().int(u6);
        var out: [decimal_size_max]u8 = undefined;
        var expected: [32]u8 = undefined;
        const size = put_decimal(&out, value);
        try std.testing.expectEqualStrings(try std.fmt.bufPrint(&expected, "{d}", .{value}), out[0..size]);
    }
}

test "patch_length moves the payload only when it must, and keeps it whole" {
    for ([_]usize{ 0, 1, 127, 128, 16_383, 16_384, 70_000 }) |size| {
        var buffer: [64]u8 = undefined;
        var w = Writer.init(&buffer);
        defer w.deinit();
        try w.raw("head");
        const position = w.len;
        try w.byte(0);
        for (0..size) |i| try w.byte(@truncate(i));
        try w.patch_length(position);
        try std.testing.expectEqual(4 + varint_size(size) + size, w.len);
        for (0..size) |i| try std.testing.expectEqual(@as(u8, @truncate(i)), w.bytes[w.len - size + i]);
    }
}

test "a writer refuses to grow past its size_max" {
    var buffer: [16]u8 = undefined;
    var w = Writer.init(&buffer);
    defer w.deinit();
    w.size_max = 100;
    const text: [60]u8 = @splat('x');
    try w.raw(&text);
    try std.testing.expectError(error.TooLarge, w.raw(&text));
}

test "utf8_prefix never cuts a character" {
    try std.testing.expectEqualStrings("aé", utf8_prefix("aéz", 3));
    try std.testing.expectEqualStrings("a", utf8_prefix("aéz", 2));
    try std.testing.expectEqualStrings("", utf8_prefix("é", 1));
    try std.testing.expectEqualStrings("short", utf8_prefix("short", 100));
}
