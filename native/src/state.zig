//! What all loggers of a process share: levels, thresholds, counters, caches, and the records that wait.
//! Only touched with the GIL.

const std = @import("std");
const py = @import("py.zig");
const otlp = @import("otlp.zig");
const limits = @import("limits.zig");
const segment = @import("segment.zig");
const site = @import("site.zig");
const context = @import("context.zig");
const fork = @import("fork.zig");
const O = py.O;

pub const Level = struct {
    name: [:0]const u8,
    method: [:0]const u8,
    no: i64,
    /// Fields severity_number and severity_text, encoded.
    severity: []const u8,

    fn init(comptime name: [:0]const u8, comptime method_name: [:0]const u8, no: i64, comptime severity: u8) Level {
        const encoded = "\x10" ++ [_]u8{severity} ++ "\x1a" ++ [_]u8{name.len} ++ name;
        return .{ .name = name, .method = method_name, .no = no, .severity = encoded };
    }
};

/// loguru's levels. Their numbers cannot be changed, so a disabled call compares two integers.
pub const levels = [_]Level{
    .init("TRACE", "trace", 5, 1),         .init("DEBUG", "debug", 10, 5),      .init("INFO", "info", 20, 9),
    .init("SUCCESS", "success", 25, 10),   .init("WARNING", "warning", 30, 13), .init("ERROR", "error", 40, 17),
    .init("CRITICAL", "critical", 50, 21),
};
pub const level_error = &levels[5];
pub const level_off = std.math.maxInt(i64);

/// The levels' names as interned Python strings; set when the module is made.
pub var level_names: [levels.len]?O = @splat(null);

pub fn level_name(level: *const Level) O {
    const index = (@intFromPtr(level) - @intFromPtr(&levels)) / @sizeOf(Level);
    return level_names[index].?;
}

pub const Export = enum { off, on, shutdown };

pub const State = struct {
    mode: Export = .off,
    /// Numbers from which OTLP, any Python sink, and either of them want a record.
    otlp_level: i64 = level_off,
    sink_level: i64 = level_off,
    threshold: i64 = level_off,
    format_raises: bool = false,
    limits: limits.Limits = .{},
    /// Python's half of a call: dispatch(logger, level, message, args, kwargs, exception).
    dispatch: ?O = null,
    /// ContextVar of the AttrSet that contextualize blocks set.
    context_var: ?O = null,
    wake: ?O = null,
    wake_count: usize = level_off,
    wake_size: usize = level_off,
    /// The worker of this process was asked for; it was told of a full batch since the last take.
    started: bool = false,
    told: bool = false,
    counters: Counters = .{},
    pending: segment.Segment = .{},
    trace: context.TraceCache = .{},
    threads: context.ThreadCache = .{},
    sites: site.Cache = .{},
    fork: fork.Mark = .{},

    pub fn set_threshold(state: *State) void {
        state.threshold = @min(state.otlp_level, state.sink_level);
    }

    /// A forked child: what waits is its parent's to send, and there is no worker.
    pub fn after_fork(state: *State) void {
        state.pending.reset();
        state.counters = .{};
        state.threads.reset();
        state.started = false;
        state.told = false;
        state.fork.renew();
    }

    /// Store a finished record, and wake delivery when it is time.
    pub fn commit(state: *State, bytes: []const u8, fault: *py.Fault) void {
        if (state.fork.happened()) state.after_fork();
        state.counters.emitted += 1;
        if (!state.pending.commit(bytes)) {
            state.counters.dropped_buffer_full += 1;
            return;
        }
        const full = state.pending.count >= state.wake_count or state.pending.size >= state.wake_size;
        if (!state.started or (full and !state.told)) state.call_wake(full, fault);
    }
    noinline fn call_wake(state: *State, full: bool, fault: *py.Fault) void {
        const wake = state.wake orelse return;
        state.started = true;
        if (full) state.told = true;
        py.Py_IncRef(wake);
        defer py.Py_DecRef(wake);
        py.Py_DecRef(py.PyObject_CallNoArgs(wake));
        fault.absorb();
    }

    pub fn lose(state: *State, counter: *u64) void {
        if (state.fork.happened()) state.after_fork();
        state.counters.emitted += 1;
        counter.* += 1;
    }
};

/// In the order of otelbridge.types.CoreCounters, without the two that the segment knows.
const Counters = struct {
    emitted: u64 = 0,
    dropped_buffer_full: u64 = 0,
    dropped_too_large: u64 = 0,
    dropped_internal: u64 = 0,
    dropped_shutdown: u64 = 0,
};

/// The Python object around the state.
pub const Core = extern struct { head: py.Object, state: *State };
pub var core_type: ?*py.TypeObject = null;
