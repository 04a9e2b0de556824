//! The log record on the wire: OTLP's LogRecord message, its field numbers and the names of the attributes that are
//! ours. Knows nothing of call sites, contexts or where a record goes.

const std = @import("std");
const wire = @import("wire.zig");
const limits = @import("limits.zig");
const Writer = wire.Writer;
const Error = wire.Error;

/// Field 6 (attributes) of LogRecord, length-delimited.
pub const attribute_tag = 0x32;
/// A record that needs more is not stored: receivers refuse messages over 4 MiB.
pub const size_max = 3 << 20;

pub const name_template = "message.template";
pub const name_arguments = "message.args";
pub const name_format_error = "otelbridge.format_error";
pub const name_file = "code.file.path";
pub const name_function = "code.function.name";
pub const name_line = "code.line.number";
pub const name_exception_type = "exception.type";
pub const name_exception_message = "exception.message";
pub const name_exception_stacktrace = "exception.stacktrace";
pub const name_thread_id = "thread.id";
pub const name_thread_name = "thread.name";

const reserved = [_][]const u8{
    name_template,       name_arguments,         name_format_error,         name_file,      name_function,    name_line,
    name_exception_type, name_exception_message, name_exception_stacktrace, name_thread_id, name_thread_name,
};

/// Whether the name is one we give ourselves: a user's attribute of that name replaces ours.
pub fn is_reserved(name: []const u8) bool {
    for (reserved) |other| {
        if (std.mem.eql(u8, name, other)) return true;
    }
    return false;
}

/// One bit that stands for the name; two sets of names with no common bit have no common name.
pub fn name_bit(name: []const u8) u64 {
    var hash: u64 = 0xcbf2_9ce4_8422_2325;
    for (name) |byte| hash = (hash ^ byte) *% 0x0000_0100_0000_01b3;
    return @as(u64, 1) << @as(u6, @truncate(hash >> 58));
}

/// Fields 1 to 3. `severity` is what `severity_field` wrote.
pub inline fn put_head(w: *Writer, time_ns: u64, severity: []const u8) Error!void {
    var c = try w.cursor(9 + severity.len);
    c.byte(0x09);
    c.fixed64(time_ns);
    c.raw(severity);
    w.advance(c);
}

/// OTel's SeverityNumber goes from 1 (TRACE) to 24 (FATAL4).
const severity_max = 24;

/// Fields 2 and 3: severity_number (omitted when it is none) and severity_text.
pub fn put_severity(w: *Writer, number: u8, text: []const u8) Error!void {
    try w.ensure(2 + 1 + wire.varint_size_max + text.len);
    if (number != 0 and number <= severity_max) {
        w.byte_unchecked(0x10);
        w.byte_unchecked(number);
    }
    if (text.len == 0) return;
    w.byte_unchecked(0x1a);
    w.varint_unchecked(text.len);
    w.raw_unchecked(text);
}

/// Tag and length of the body and of its string, when both lengths take one byte.
const body_head_short = 4;

/// Begin field 5 (body); the text follows, by raw_cut. Returns what `end_body` needs.
pub inline fn begin_body(w: *Writer) Error!usize {
    try w.ensure(body_head_short);
    const begin = w.len;
    w.len += body_head_short;
    w.cut_at = w.len + limits.text_size_max + 1; // one more than is kept, so that end_body sees that it was cut
    return begin;
}
/// The body's text, between begin_body and end_body.
pub inline fn body_text(w: *const Writer, begin: usize) []const u8 {
    return w.bytes[begin + body_head_short .. w.len];
}
/// Write the lengths of the body, moving the text when they need more than a byte each; cut a text that is too long.
pub inline fn end_body(w: *Writer, begin: usize) Error!void {
    var size = w.len - begin - body_head_short;
    if (size > limits.text_size_max) {
        const cut = limits.cut_text(body_text(w, begin));
        w.len = begin + body_head_short + cut.text.len;
        try w.raw(cut.mark);
        size = w.len - begin - body_head_short;
    }
    const any = 1 + wire.varint_size(size) + size;
    const head = 2 + wire.varint_size(any) + wire.varint_size(size);
    if (head != body_head_short) {
        try w.ensure(head - body_head_short);
        const text = w.bytes[begin + body_head_short ..][0..size];
        std.mem.copyBackwards(u8, w.bytes[begin + head ..][0..size], text);
    }
    var c = wire.Cursor{ .at = w.bytes + begin };
    c.byte(0x2a);
    c.varint(any);
    c.byte(0x0a);
    c.varint(size);
    w.len = begin + head + size;
}

/// Fields 7 to 12: what was dropped, the ids, the observed time, the event's name.
pub inline fn put_tail(w: *Writer, dropped: usize, trace: []const u8, time_ns: u64, event: []const u8) Error!void {
    var c = try w.cursor(1 + wire.varint_size_max + trace.len + 9 + 1 + wire.varint_size_max + event.len);
    if (dropped > 0) {
        c.byte(0x38);
        c.varint(dropped);
    }
    c.raw(trace);
    c.byte(0x59);
    c.fixed64(time_ns);
    if (event.len > 0) {
        c.byte(0x62);
        c.varint(event.len);
        c.raw(event);
    }
    w.advance(c);
}

test "names with different bits differ, and a name keeps its bit" {
    try std.testing.expectEqual(name_bit("user_id"), name_bit("user_id"));
    var bits: u64 = 0;
    for (reserved) |name| bits |= name_bit(name);
    try std.testing.expect(@popCount(bits) > reserved.len / 2);
}

test "a body over the cap is cut and marked, however it was written" {
    var buffer: [64]u8 = undefined;
    var w = Writer.init(&buffer);
    defer w.deinit();
    const text = try std.testing.allocator.alloc(u8, 700_000);
    defer std.testing.allocator.free(text);
    @memset(text, 'a');
    const begin = try begin_body(&w);
    for (0..8) |_| try w.raw_cut(text);
    try end_body(&w, begin);
    try std.testing.expect(std.mem.endsWith(u8, w.written(), limits.cut_mark));
    try std.testing.expect(w.len < limits.text_size_max + 64);
}

test "a body of any size has canonical lengths" {
    for ([_]usize{ 0, 1, 120, 123, 124, 125, 126, 127, 128, 16_000, 16_378, 16_383, 16_384, 100_000 }) |size| {
        var buffer: [64]u8 = undefined;
        var w = Writer.init(&buffer);
        defer w.deinit();
        const begin = try begin_body(&w);
        for (0..size) |i| try w.byte('a' + @as(u8, @intCast(i % 26)));
        try end_body(&w, begin);
        const any = 1 + wire.varint_size(size) + size;
        try std.testing.expectEqual(1 + wire.varint_size(any) + any, w.len);
        try std.testing.expectEqual(@as(u8, 0x2a), w.bytes[0]);
        for (0..size) |i| try std.testing.expectEqual('a' + @as(u8, @intCast(i % 26)), w.bytes[w.len - size + i]);
    }
}
