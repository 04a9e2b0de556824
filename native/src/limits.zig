//! How much of a user's text goes on the wire. Knows nothing of Python.

const std = @import("std");
const wire = @import("wire.zig");

/// A longer text (bytes of UTF-8) is cut and marked: one value must not fill a batch.
pub const text_size_max = 1 << 20;
pub const cut_mark = "… [truncated]";

pub const Limits = struct {
    /// OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT
    attribute_count: usize = 128,
    /// OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT, in characters; 0 is none.
    value_length: usize = 0,
};

pub const Cut = struct { text: []const u8, mark: []const u8 = "" };

/// The part of an attribute's text that the limits allow.
pub inline fn cut_value(text: []const u8, limits: *const Limits) Cut {
    if (limits.value_length == 0 and text.len <= text_size_max) return .{ .text = text };
    return cut_value_rare(text, limits);
}
noinline fn cut_value_rare(text: []const u8, limits: *const Limits) Cut {
    if (limits.value_length != 0) {
        var characters: usize = 0;
        for (text, 0..) |byte, i| {
            if (byte & 0xc0 == 0x80) continue;
            if (characters == limits.value_length) return cut_text(text[0..i]);
            characters += 1;
        }
    }
    return cut_text(text);
}
/// The part of any text that fits a record.
pub fn cut_text(text: []const u8) Cut {
    if (text.len <= text_size_max) return .{ .text = text };
    return .{ .text = wire.utf8_prefix(text, text_size_max), .mark = cut_mark };
}

test "a value is cut after so many characters, not bytes" {
    const three = Limits{ .value_length = 3 };
    try std.testing.expectEqualStrings("aéz", cut_value("aézb", &three).text);
    try std.testing.expectEqualStrings("aé", cut_value("aé", &three).text);
    const none = Limits{};
    try std.testing.expectEqualStrings("aézb", cut_value("aézb", &none).text);
}

test "a text over the cap is cut at a character and marked" {
    const text = try std.testing.allocator.alloc(u8, text_size_max + 10);
    defer std.testing.allocator.free(text);
    @memset(text, 'a');
    @memcpy(text[text_size_max - 1 ..][0..2], "é");
    const cut = cut_text(text);
    try std.testing.expectEqual(@as(usize, text_size_max - 1), cut.text.len);
    try std.testing.expectEqualStrings(cut_mark, cut.mark);
    try std.testing.expectEqual(@as(usize, 0), cut_text(text[0..text_size_max]).mark.len);
}
