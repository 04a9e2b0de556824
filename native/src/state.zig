//! What all loggers of a process share: levels, counters, caches, and the records that wait.
//! Only touched with the GIL.

const std = @import("std");
const py = @import("py.zig");
const otlp = @import("otlp.zig");
const limits = @import("limits.zig");
const segment = @import("segment.zig");
const site = @import("site.zig");
const context = @import("context.zig");
const fork = @import("fork.zig");
const random = @import("random.zig");
const redaction = @import("redaction.zig");
const Tally = @import("tally.zig").Tally;
const Dispatcher = @import("dispatcher.zig").Dispatcher;
const O = py.O;

pub const Level = struct {
    name: [:0]const u8,
    method: [:0]const u8,
    no: i64,
    /// Fields severity_number and severity_text, encoded.
    severity: []const u8,

    /// Where it stands among our levels.
    index: usize,

    fn init(comptime index: usize, comptime name: [:0]const u8, comptime method: [:0]const u8, no: i64, comptime number: u8) Level {
        const severity = "\x10" ++ [_]u8{number} ++ "\x1a" ++ [_]u8{name.len} ++ name;
        return .{ .index = index, .name = name, .method = method, .no = no, .severity = severity };
    }
};

/// loguru's levels. Their numbers cannot be changed, so a disabled call compares two integers.
pub const levels = [_]Level{
    .init(0, "TRACE", "trace", 5, 1),
    .init(1, "DEBUG", "debug", 10, 5),
    .init(2, "INFO", "info", 20, 9),
    .init(3, "SUCCESS", "success", 25, 10),
    .init(4, "WARNING", "warning", 30, 13),
    .init(5, "ERROR", "error", 40, 17),
    .init(6, "CRITICAL", "critical", 50, 21),
};
pub const level_count = levels.len;
pub const level_error = &levels[5];
pub const level_off = std.math.maxInt(i64);

/// The levels' names as interned Python strings; set when the module is made.
pub var level_names: [levels.len]?O = @splat(null);

pub fn level_name(level: *const Level) O {
    return level_names[level.index].?;
}

pub const Export = enum { off, on, shutdown };

pub const State = struct {
    mode: Export = .off,
    /// The level number from which OTLP wants a record.
    otlp_level: i64 = level_off,
    /// All dispatchers of this core, each linked to the next: their thresholds follow otlp_level.
    dispatchers: ?*Dispatcher = null,
    format_raises: bool = false,
    limits: limits.Limits = .{},
    policy: redaction.Policy = .{},
    /// ContextVar of the AttrSet that contextualize blocks set.
    context_var: ?O = null,
    wake: ?O = null,
    wake_count: usize = level_off,
    wake_size: usize = level_off,
    /// The worker of this process was asked for; it was told of a full batch since the last take.
    started: bool = false,
    told: bool = false,
    counters: Counters = .{},
    /// Records that were made for OTLP or for a sink, whatever became of them.
    tally: Tally = .{},
    /// Of this process: one more after each fork.
    generation: u64 = 0,
    pending: segment.Segment = .{},
    trace: context.TraceCache = .{},
    threads: context.ThreadCache = .{},
    sites: site.Cache = .{},
    fork: fork.Mark = .{},

    pub fn set_otlp_level(state: *State, level_no: i64) void {
        state.otlp_level = level_no;
        var next = state.dispatchers;
        while (next) |dispatcher| : (next = dispatcher.next) dispatcher.set_threshold();
    }

    /// A forked child: what waits is its parent's to send, and there is no worker.
    pub fn after_fork(state: *State) void {
        state.pending.reset();
        state.counters = .{};
        state.tally.reset();
        state.generation += 1;
        state.threads.reset();
        random.forget();
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

    /// Count a record, once whatever ways it goes.
    pub inline fn count(state: *State, level: *const Level) void {
        if (state.fork.happened()) state.after_fork();
        state.tally.own[level.index] += 1;
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
