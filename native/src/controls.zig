//! Characters that a text sink must not show as they are: C0 but for tab and newline, DEL, C1, and the controls of
//! writing direction (otelbridge/text/sanitise.py escapes the same ones). Knows nothing of Python.

const std = @import("std");

const lane_count = 16;
const Lanes = @Vector(lane_count, u8);

/// Whether there is none in `text`, which is valid UTF-8.
pub fn has_none(text: []const u8) bool {
    var i: usize = 0;
    while (i + lane_count <= text.len) : (i += lane_count) {
        if (is_suspicious(text[i..][0..lane_count].*) and !has_none_apart(text[i..], lane_count)) return false;
    }
    return has_none_apart(text[i..], text.len - i);
}

inline fn is_suspicious(lanes: Lanes) bool {
    const space: Lanes = @splat(0x20);
    const last: Lanes = @splat(0x7e);
    return @reduce(.Or, lanes < space) or @reduce(.Or, lanes > last);
}

/// The same, one character after the other, of those that begin in the first `count` bytes.
fn has_none_apart(text: []const u8, count: usize) bool {
    for (text[0..count], 0..) |byte, i| {
        if (byte < 0x20) {
            if (byte != '\n' and byte != '\t') return false;
        } else if (byte >= 0x7f and is_control(byte, text[i + 1 ..])) return false;
    }
    return true;
}

fn is_control(lead: u8, rest: []const u8) bool {
    const next: u8 = if (rest.len > 0) rest[0] else 0;
    const last: u8 = if (rest.len > 1) rest[1] else 0;
    return switch (lead) {
        0x7f => true,
        0xc2 => next < 0xa0, // U+0080 to U+009F
        0xd8 => next == 0x9c, // U+061C
        0xe2 => switch (next) {
            0x80 => last == 0x8e or last == 0x8f or (last >= 0xaa and last <= 0xae), // U+200E, U+200F, U+202A to U+202E
            0x81 => last >= 0xa6 and last <= 0xa9, // U+2066 to U+2069
            else => false,
        },
        else => false,
    };
}

test "exactly the characters that sanitise.py escapes" {
    const ranges = [_][2]u21{
        .{ 0x00, 0x08 }, .{ 0x0b, 0x1f }, .{ 0x7f, 0x9f }, .{ 0x61c, 0x61c }, .{ 0x200e, 0x200f }, .{ 0x202a, 0x202e }, .{ 0x2066, 0x2069 },
    };
    var code: u21 = 0;
    while (code < 0x11_0000) : (code += 1) {
        if (code >= 0xd800 and code < 0xe000) continue;
        var expected = true;
        for (ranges) |range| expected = expected and !(code >= range[0] and code <= range[1]);
        for ([_]usize{ 0, 7, 13, 14, 15, 16, 40 }) |before| {
            var buffer: [64]u8 = @splat('a');
            const size = try std.unicode.utf8Encode(code, buffer[before..]);
            try std.testing.expectEqual(expected, has_none(buffer[0 .. before + size]));
            try std.testing.expectEqual(expected, has_none(buffer[0 .. before + size + 18]));
        }
    }
}
