//! What time it is, by the clock or by the one that a test has set, and how far from UTC the place is.

const std = @import("std");
const py = @import("py.zig");
const clock = @import("clock.zig");
const O = py.O;

const ns_per_s = clock.ns_per_s;

/// A callable that gives the time instead of the clock.
var python_clock: ?O = null;
/// utc_offset(second) -> seconds east of UTC, and its last answer.
var utc_offset: ?O = null;
var zone = Zone{};
const Zone = struct {
    second: i64 = no_second,
    offset_s: i64 = 0,
    const no_second = std.math.minInt(i64);
};
/// When the module was made: what `elapsed` counts from.
pub var start_ns: i64 = 0;

/// Nanoseconds since 1970-01-01 UTC. A clock of Python's that fails is not believed.
pub inline fn now_ns(fault: *py.Fault) i64 {
    if (python_clock) |callable| return ask(callable, fault);
    return @intCast(clock.now_ns());
}
noinline fn ask(callable: O, fault: *py.Fault) i64 {
    py.Py_IncRef(callable);
    defer py.Py_DecRef(callable);
    if (py.PyObject_CallNoArgs(callable)) |answer| {
        defer py.Py_DecRef(answer);
        const number = py.PyLong_AsLongLong(answer);
        if (number != -1 or py.PyErr_Occurred() == null) return number;
    }
    fault.absorb();
    return @intCast(clock.now_ns());
}

/// Seconds east of UTC at a second of time; null: a Python error is set.
pub inline fn offset_s(second: i64) ?i64 {
    if (second == zone.second) return zone.offset_s;
    return read_offset(second);
}
noinline fn read_offset(second: i64) ?i64 {
    const callable = py.new_ref(utc_offset orelse {
        py.PyErr_SetString(py.PyExc_RuntimeError, "set_event_makers was not called");
        return null;
    });
    defer py.Py_DecRef(callable);
    const argument = py.PyLong_FromLongLong(second) orelse return null;
    defer py.Py_DecRef(argument);
    const end: ?O = null;
    const answer = py.PyObject_CallFunctionObjArgs(callable, argument, end) orelse return null;
    defer py.Py_DecRef(answer);
    const offset = py.PyLong_AsLongLong(answer);
    if (offset == -1 and py.PyErr_Occurred() != null) return null;
    if (offset < -86_400 or offset > 86_400) {
        py.PyErr_SetString(py.PyExc_ValueError, "utc_offset must be within a day");
        return null;
    }
    // While a clock of Python's is set its zone may change with it.
    zone = .{ .second = if (python_clock == null) second else Zone.no_second, .offset_s = offset };
    return offset;
}

pub fn set_utc_offset(callable: O) void {
    const old = utc_offset;
    utc_offset = py.new_ref(callable);
    zone = .{};
    py.Py_DecRef(old);
}

/// set_clock(callable or None)
pub fn module_set_clock(_: O, callable: O) callconv(.c) ?O {
    if (!py.is_none(callable) and py.PyCallable_Check(callable) == 0)
        return py.type_error("set_clock takes a callable or None");
    const old = python_clock;
    python_clock = if (py.is_none(callable)) null else py.new_ref(callable);
    zone = .{};
    py.Py_DecRef(old);
    return py.none();
}
/// now_ns() -> int
pub fn module_now_ns(_: O, _: ?O) callconv(.c) ?O {
    var fault = py.Fault{};
    const time_ns = now_ns(&fault);
    if (fault.restore()) return null;
    return py.PyLong_FromLongLong(time_ns);
}
