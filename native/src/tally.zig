//! How many log records of each level there were, by the level's name. Counts, and knows nothing of metrics.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const shared = @import("state.zig");
const O = py.O;
const Text = otlp.Text;

/// Beyond so many names of the user's the rest is counted together.
const name_count_max = 64;

pub const Tally = struct {
    /// By Level.index.
    own: [shared.level_count]u64 = @splat(0),
    names: [name_count_max][]const u8 = undefined,
    named: [name_count_max]u64 = @splat(0),
    name_count: usize = 0,
    other: u64 = 0,

    /// Count a level that was read from record["level"]: (name, number, icon).
    pub fn count(tally: *Tally, level: O) void {
        const name = py.PyTuple_GetItem(level, 0) orelse return py.PyErr_Clear();
        for (&tally.own, shared.level_names) |*number, own| {
            if (own == name) {
                number.* += 1;
                return;
            }
        }
        tally.place(name).* += 1;
    }
    fn place(tally: *Tally, name: O) *u64 {
        if (!py.has_flag(py.type_of(name), py.subclass_unicode)) return &tally.other;
        const text = Text.of(name);
        defer text.release();
        for (&tally.own, &shared.levels) |*number, *level| {
            if (std.mem.eql(u8, level.name, text.bytes)) return number;
        }
        for (tally.names[0..tally.name_count], 0..) |known, i| {
            if (std.mem.eql(u8, known, text.bytes)) return &tally.named[i];
        }
        if (tally.name_count == name_count_max) return &tally.other;
        tally.names[tally.name_count] = wire.duplicate(text.bytes) orelse return &tally.other;
        tally.name_count += 1;
        return &tally.named[tally.name_count - 1];
    }

    /// {name: number} of those that are not zero; null: a Python error is set.
    pub fn dict(tally: *const Tally) ?O {
        const result = py.PyDict_New() orelse return null;
        var is_whole = true;
        for (&shared.levels, tally.own) |*level, number| is_whole = is_whole and put(result, level.name, number);
        var i: usize = 0; // names may come or go between two objects that are made
        while (i < tally.name_count) : (i += 1) is_whole = is_whole and put(result, tally.names[i], tally.named[i]);
        if (is_whole and put(result, "_OTHER", tally.other)) return result;
        py.Py_DecRef(result);
        return null;
    }
    fn put(result: O, name: []const u8, number: u64) bool {
        if (number == 0) return true;
        const key = py.PyUnicode_FromStringAndSize(name.ptr, @intCast(name.len)) orelse return false;
        defer py.Py_DecRef(key);
        const value = py.PyLong_FromUnsignedLongLong(number) orelse return false;
        defer py.Py_DecRef(value);
        return py.PyDict_SetItem(result, key, value) >= 0;
    }

    /// Back to zero, with no names of the user's.
    pub fn reset(tally: *Tally) void {
        for (tally.names[0..tally.name_count]) |name| wire.free(@ptrCast(@constCast(name.ptr)));
        tally.* = .{};
    }
};
