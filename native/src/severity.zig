//! OpenTelemetry's SeverityNumber of a level number, as otelbridge/levels.py has it. Knows nothing of Python.

const std = @import("std");

const Anchor = struct { no: i64, number: i64 };
/// Between loguru's own levels numbers are interpolated.
const anchors = [_]Anchor{
    .{ .no = 0, .number = 1 },   .{ .no = 5, .number = 1 },   .{ .no = 10, .number = 5 },  .{ .no = 20, .number = 9 },  .{ .no = 25, .number = 10 },
    .{ .no = 30, .number = 13 }, .{ .no = 40, .number = 17 }, .{ .no = 50, .number = 21 }, .{ .no = 80, .number = 24 },
};

pub fn number_of(no: i64) i64 {
    if (no < anchors[0].no) return anchors[0].number;
    for (anchors[0 .. anchors.len - 1], anchors[1..]) |low, high| {
        if (no < high.no) return low.number + @divFloor((no - low.no) * (high.number - low.number), high.no - low.no);
    }
    return anchors[anchors.len - 1].number;
}

test "loguru's levels, and numbers between and beyond them" {
    const expected = [_][2]i64{
        .{ -5, 1 }, .{ 0, 1 }, .{ 5, 1 }, .{ 10, 5 }, .{ 20, 9 }, .{ 25, 10 }, .{ 30, 13 }, .{ 35, 15 }, .{ 40, 17 }, .{ 50, 21 }, .{ 79, 23 }, .{ 80, 24 }, .{ 1 << 40, 24 },
    };
    for (expected) |pair| try std.testing.expectEqual(pair[1], number_of(pair[0]));
}
