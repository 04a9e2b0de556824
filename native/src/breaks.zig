//! Line breaks, as a terminal or a log file sees them: LF, CR, U+0085, U+2028, U+2029. Knows nothing of Python.

const std = @import("std");

pub const Marks = struct {
    breaks: usize = 0,
    /// U+FFFD, which may stand for what UTF-8 cannot say.
    has_replacement: bool = false,
};

pub fn count(text: []const u8) Marks {
    var marks = Marks{};
    var has_lead = false;
    for (text) |byte| {
        marks.breaks += @intFromBool(byte == '\n') + @as(usize, @intFromBool(byte == '\r'));
        has_lead = has_lead or byte == 0xc2 or byte == 0xe2 or byte == 0xef;
    }
    if (has_lead) count_wide(text, &marks);
    return marks;
}
noinline fn count_wide(text: []const u8, marks: *Marks) void {
    for (text, 0..) |byte, i| {
        const rest = text[i..];
        switch (byte) {
            0xc2 => marks.breaks += @intFromBool(std.mem.startsWith(u8, rest, "\u{85}")),
            0xe2 => marks.breaks += @intFromBool(std.mem.startsWith(u8, rest, "\u{2028}") or std.mem.startsWith(u8, rest, "\u{2029}")),
            0xef => marks.has_replacement = marks.has_replacement or std.mem.startsWith(u8, rest, "\u{fffd}"),
            else => {},
        }
    }
}

test "every break is counted, and nothing that begins like one" {
    try std.testing.expectEqual(@as(usize, 6), count("a\nb\r\nc\u{85}d\u{2028}e\u{2029}").breaks);
    try std.testing.expectEqual(Marks{}, count("é \u{a0} \u{2013} \u{2027} \u{feff} \u{fffc} \xe2"));
    try std.testing.expect(count("a\u{fffd}").has_replacement);
}
