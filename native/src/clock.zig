//! The clock, and how a time is spelled. Knows nothing of Python; only moment.zig reads the clock.

const std = @import("std");
const builtin = @import("builtin");
const wire = @import("wire.zig");
const assert = std.debug.assert;

const Timespec = extern struct { sec: i64, nsec: c_long };
extern fn clock_gettime(clock: c_int, out: *Timespec) c_int;
extern "kernel32" fn GetSystemTimePreciseAsFileTime(*u64) callconv(.winapi) void;

/// 100 ns ticks between 1601-01-01, where Windows begins to count, and 1970-01-01.
const filetime_epoch = 116_444_736_000_000_000;
pub const ns_per_s = 1_000_000_000;

/// Wall clock, nanoseconds since 1970-01-01 UTC.
pub inline fn now_ns() u64 {
    if (builtin.os.tag == .windows) {
        var ticks: u64 = undefined;
        GetSystemTimePreciseAsFileTime(&ticks);
        return (ticks - filetime_epoch) * 100;
    }
    var time: Timespec = undefined;
    _ = clock_gettime(0, &time); // CLOCK_REALTIME is 0 everywhere
    return @as(u64, @intCast(time.sec)) * ns_per_s + @as(u64, @intCast(time.nsec));
}

pub const text_size = "YYYY-MM-DDTHH:MM:SS".len;
pub const text_size_max = text_size + 1 + 9;

/// The seconds part of the last formatted time: consecutive records mostly share it.
pub const Cache = struct { second: i64 = std.math.minInt(i64), text: [text_size]u8 = undefined };

/// Write `YYYY-MM-DD<separator>HH:MM:SS.<digits>` of `time_ns` shifted by `offset_s`; returns its size.
pub fn put_time(cache: *Cache, out: [*]u8, time_ns: i64, offset_s: i64, separator: u8, digits: usize) usize {
    assert(digits == 3 or digits == 6 or digits == 9);
    const second = @divFloor(time_ns, ns_per_s) + offset_s;
    if (second != cache.second) {
        put_second(&cache.text, second);
        cache.second = second;
    }
    @memcpy(out[0..text_size], &cache.text);
    out[10] = separator;
    out[text_size] = '.';
    var fraction: u64 = @intCast(@mod(time_ns, ns_per_s));
    fraction /= switch (digits) {
        3 => 1_000_000,
        6 => 1_000,
        else => 1,
    };
    var i = digits;
    while (i > 0) : (fraction /= 10) {
        i -= 1;
        out[text_size + 1 + i] = '0' + @as(u8, @intCast(fraction % 10));
    }
    return text_size + 1 + digits;
}

fn put_second(out: *[text_size]u8, second: i64) void {
    // Civil date from days since the epoch, with years that begin in March (Howard Hinnant's algorithm).
    const days = @divFloor(second, 86_400);
    const second_of_day: usize = @intCast(second - days * 86_400);
    const shifted = days + 719_468;
    const era = @divFloor(shifted, 146_097);
    const day_of_era = shifted - era * 146_097;
    const year_of_era = @divTrunc(
        day_of_era - @divTrunc(day_of_era, 1_460) + @divTrunc(day_of_era, 36_524) - @divTrunc(day_of_era, 146_096),
        365,
    );
    const day_of_year = day_of_era - (365 * year_of_era + @divTrunc(year_of_era, 4) - @divTrunc(year_of_era, 100));
    const month_from_march = @divTrunc(5 * day_of_year + 2, 153);
    const day: usize = @intCast(day_of_year - @divTrunc(153 * month_from_march + 2, 5) + 1);
    const month: usize = @intCast(if (month_from_march < 10) month_from_march + 3 else month_from_march - 9);
    const year: usize = @intCast(year_of_era + era * 400 + @intFromBool(month <= 2));
    wire.put_pair(out[0..].ptr, year / 100 % 100);
    wire.put_pair(out[2..].ptr, year % 100);
    out[4] = '-';
    wire.put_pair(out[5..].ptr, month);
    out[7] = '-';
    wire.put_pair(out[8..].ptr, day);
    out[10] = 'T';
    wire.put_pair(out[11..].ptr, second_of_day / 3_600);
    out[13] = ':';
    wire.put_pair(out[14..].ptr, second_of_day / 60 % 60);
    out[16] = ':';
    wire.put_pair(out[17..].ptr, second_of_day % 60);
}

fn expect_time(expected: []const u8, time_ns: i64, offset_s: i64, separator: u8, digits: usize) !void {
    var cache = Cache{};
    var out: [text_size_max]u8 = undefined;
    const size = put_time(&cache, &out, time_ns, offset_s, separator, digits);
    try std.testing.expectEqualStrings(expected, out[0..size]);
}

test "known instants" {
    try expect_time("1970-01-01T00:00:00.000000", 0, 0, 'T', 6);
    try expect_time("1970-01-01 00:00:00.999", 999_999_999, 0, ' ', 3);
    try expect_time("2000-02-29T23:59:59.123456789", 951_868_799 * ns_per_s + 123_456_789, 0, 'T', 9);
    try expect_time("2026-11-21T14:30:00.000001", 1_795_271_400 * ns_per_s + 1_000, 0, 'T', 6);
    try expect_time("2026-11-21T20:00:00.000001", 1_795_271_400 * ns_per_s + 1_000, 19_800, 'T', 6);
    try expect_time("2038-01-19T03:14:08.000", 2_147_483_648 * ns_per_s, 0, 'T', 3);
    try expect_time("1969-12-31T19:00:00.000", 0, -18_000, 'T', 3);
    try expect_time("1969-12-31T23:59:59.999999999", -1, 0, 'T', 9);
    try expect_time("2100-03-01T00:00:00.000", 4_107_542_400 * ns_per_s, 0, 'T', 3);
}

test "the cached second is not mistaken for another" {
    var cache = Cache{};
    var out: [text_size_max]u8 = undefined;
    _ = put_time(&cache, &out, 59 * ns_per_s, 0, 'T', 3);
    const size = put_time(&cache, &out, 60 * ns_per_s, 0, 'T', 3);
    try std.testing.expectEqualStrings("1970-01-01T00:01:00.000", out[0..size]);
}
