//! JSON's spelling of strings and numbers, as orjson writes them. Knows nothing of Python.

const std = @import("std");
const wire = @import("wire.zig");
const Writer = wire.Writer;
const Error = wire.Error;

const hex = "0123456789abcdef";
/// What one byte of text may become: `\u001f`.
const escaped_size_max = 6;
const lane_count = 16;
const Lanes = @Vector(lane_count, u8);

/// The text in quotes, with control characters, quotes and backslashes escaped.
pub fn put_string(w: *Writer, text: []const u8) Error!void {
    try w.ensure(text.len + 2 + lane_count);
    w.byte_unchecked('"');
    try put_escaped(w, text);
    try w.byte('"');
}

/// The same without quotes.
pub fn put_escaped(w: *Writer, text: []const u8) Error!void {
    var rest = text;
    while (true) {
        const clean = clean_prefix(rest);
        try w.raw(rest[0..clean]);
        if (clean == rest.len) return;
        try put_escape(w, rest[clean]);
        rest = rest[clean + 1 ..];
    }
}

/// How many bytes at the beginning stay as they are.
fn clean_prefix(text: []const u8) usize {
    var i: usize = 0;
    while (i + lane_count <= text.len) : (i += lane_count) {
        const lanes: Lanes = text[i..][0..lane_count].*;
        const space: Lanes = @splat(0x20);
        const quote: Lanes = @splat('"');
        const backslash: Lanes = @splat('\\');
        const found: u16 = @as(u16, @bitCast(lanes < space)) | @as(u16, @bitCast(lanes == quote)) |
            @as(u16, @bitCast(lanes == backslash));
        if (found != 0) return i + @ctz(found);
    }
    while (i < text.len) : (i += 1) {
        if (text[i] < 0x20 or text[i] == '"' or text[i] == '\\') return i;
    }
    return i;
}

fn put_escape(w: *Writer, byte: u8) Error!void {
    const short: u8 = switch (byte) {
        '"', '\\' => byte,
        0x08 => 'b',
        '\t' => 't',
        '\n' => 'n',
        0x0c => 'f',
        '\r' => 'r',
        else => 0,
    };
    try w.ensure(escaped_size_max);
    w.byte_unchecked('\\');
    if (short != 0) return w.byte_unchecked(short);
    w.raw_unchecked("u00");
    w.byte_unchecked(hex[byte >> 4]);
    w.byte_unchecked(hex[byte & 15]);
}

/// The shortest digits that read back as `number`; null for what is no number in JSON.
pub fn put_float(w: *Writer, number: f64) Error!void {
    if (!std.math.isFinite(number)) return w.raw("null");
    try w.ensure(64);
    var buffer: [64]u8 = undefined;
    const shown = std.fmt.float.render(&buffer, number, .{ .mode = .scientific }) catch return error.TooLarge; // d.dde-d
    const mark = std.mem.indexOfScalar(u8, shown, 'e').?;
    const exponent = std.fmt.parseInt(i32, shown[mark + 1 ..], 10) catch return error.TooLarge;
    var digit_room: [32]u8 = undefined;
    var digits: []u8 = digit_room[0..0];
    for (shown[0..mark]) |byte| {
        if (byte == '-') w.byte_unchecked('-');
        if (!std.ascii.isDigit(byte)) continue;
        digits = digit_room[0 .. digits.len + 1];
        digits[digits.len - 1] = byte;
    }
    while (digits.len > 1 and digits[digits.len - 1] == '0') digits.len -= 1;
    if (exponent < -5 or exponent > 15) return put_scientific(w, digits, exponent);
    if (exponent < 0) {
        w.raw_unchecked("0.");
        for (1..@intCast(-exponent)) |_| w.byte_unchecked('0');
        return w.raw_unchecked(digits);
    }
    const whole: usize = @intCast(exponent + 1);
    for (0..whole) |i| w.byte_unchecked(if (i < digits.len) digits[i] else '0');
    w.byte_unchecked('.');
    if (digits.len <= whole) return w.byte_unchecked('0');
    w.raw_unchecked(digits[whole..]);
}

const us_per_s = 1_000_000;

/// The double nearest to so many millionths, as put_float writes it.
pub fn put_millionths(w: *Writer, us: i64) Error!void {
    // From 2**32 on doubles lie further apart than millionths; below 1e-5 they have an exponent.
    if (us < 10 or us >= us_per_s << 32) return put_float(w, @as(f64, @floatFromInt(us)) / us_per_s);
    const total: u64 = @intCast(us);
    var fraction = total % us_per_s;
    var digit_count: usize = 6;
    while (digit_count > 1 and fraction % 10 == 0) : (digit_count -= 1) fraction /= 10;
    try w.ensure(wire.decimal_size_max + 8);
    w.len += wire.put_decimal(w.bytes + w.len, @intCast(total / us_per_s));
    w.byte_unchecked('.');
    var i = digit_count;
    while (i > 0) : (fraction /= 10) {
        i -= 1;
        w.bytes[w.len + i] = '0' + @as(u8, @intCast(fraction % 10));
    }
    w.len += digit_count;
}

fn put_scientific(w: *Writer, digits: []const u8, exponent: i32) void {
    w.byte_unchecked(digits[0]);
    if (digits.len > 1) {
        w.byte_unchecked('.');
        w.raw_unchecked(digits[1..]);
    }
    w.raw_unchecked(if (exponent < 0) "e-" else "e+");
    w.len += wire.put_decimal(w.bytes + w.len, @abs(exponent));
}

fn expect_string(expected: []const u8, text: []const u8) !void {
    var buffer: [8]u8 = undefined;
    var w = Writer.init(&buffer);
    defer w.deinit();
    try put_string(&w, text);
    try std.testing.expectEqualStrings(expected, w.written());
}

test "strings" {
    try expect_string("\"\"", "");
    try expect_string("\"plain, longer than sixteen bytes, é 日本\"", "plain, longer than sixteen bytes, é 日本");
    try expect_string("\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\x7f\"", "\x00\x08\t\n\x0b\x0c\r\x1f \"\\/\x7f");
    try expect_string("\"0123456789abcdef\\n0123456789abcde\\\"\"", "0123456789abcdef\n0123456789abcde\"");
}

fn expect_float(expected: []const u8, number: f64) !void {
    var buffer: [8]u8 = undefined;
    var w = Writer.init(&buffer);
    defer w.deinit();
    try put_float(&w, number);
    try std.testing.expectEqualStrings(expected, w.written());
}

test "numbers" {
    try expect_float("0.0", 0.0);
    try expect_float("-0.0", -0.0);
    try expect_float("1.0", 1.0);
    try expect_float("0.1", 0.1);
    try expect_float("-123.456", -123.456);
    try expect_float("1000000000000000.0", 1e15);
    try expect_float("1e+16", 1e16);
    try expect_float("1.2345678901234568e+17", 1.2345678901234568e17);
    try expect_float("0.00001", 1e-5);
    try expect_float("0.000015", 1.5e-5);
    try expect_float("1e-6", 1e-6);
    try expect_float("5e-324", 5e-324);
    try expect_float("1.7976931348623157e+308", std.math.floatMax(f64));
    try expect_float("null", std.math.nan(f64));
    try expect_float("null", -std.math.inf(f64));
}

test "millionths are spelled as the double that they are" {
    var random = std.Random.DefaultPrng.init(5);
    const edges = [_]i64{ 0, 1, 9, 10, 99, 100, 999_999, 1_000_000, 1_000_001, 1_795_276_388_386_210, us_per_s << 32, -1, -1_500_000 };
    for (0..50_000) |i| {
        const us = if (i < edges.len) edges[i] else random.random().int(i64) >> (8 + random.random().uintLessThan(u6, 50));
        var expected_room: [64]u8 = undefined;
        var room: [64]u8 = undefined;
        var expected = Writer.init(&expected_room);
        var w = Writer.init(&room);
        try put_float(&expected, @as(f64, @floatFromInt(us)) / us_per_s);
        try put_millionths(&w, us);
        try std.testing.expectEqualStrings(expected.written(), w.written());
    }
}
