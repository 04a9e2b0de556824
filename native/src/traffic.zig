//! Traffic: what HTTP requests add up to, as the OpenTelemetry SDK would sum them up: one set of counts, sums and
//! exemplars for each combination of words. Knows no names of instruments: metrics/aggregated.py makes points of it.
//!
//! A set is one piece of memory, made at its first request and kept, so that all further ones allocate nothing. No
//! lock: only touched with the GIL, and Python code may run (and come back here) wherever a Python object is made.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const moment = @import("moment.zig");
const context = @import("context.zig");
const access = @import("access.zig");
const shared = @import("state.zig");
const O = py.O;
const Ids = context.Ids;
const Text = otlp.Text;
const Writer = wire.Writer;

/// Which measurements may become exemplars; OTEL_METRICS_EXEMPLAR_FILTER's words.
const Filter = enum { trace_based, always_on, always_off };

/// When, and in which span, something is measured.
const Instant = struct {
    time_ns: i64,
    is_exemplar: bool,
    ids: ?Ids,
};

/// Where an instrument's new sets begin while it shows differences: at the last collection after its first measurement.
const Origin = struct {
    is_known: bool = false,
    collected_ns: i64 = 0,

    fn of(origin: *const Origin, instant: *const Instant) i64 {
        return if (origin.collected_ns != 0) origin.collected_ns else instant.time_ns;
    }
    fn collect(origin: *Origin, is_delta: bool, time_ns: i64) void {
        if (is_delta and origin.is_known) origin.collected_ns = time_ns;
    }
};

fn Exemplar(comptime Number: type) type {
    return struct {
        const Self = @This();
        is_set: bool = false,
        has_ids: bool = false,
        value: Number = 0,
        time_ns: i64 = 0,
        trace: [16]u8 = @splat(0),
        span: [8]u8 = @splat(0),

        fn set(exemplar: *Self, value: Number, instant: *const Instant) void {
            exemplar.* = .{ .is_set = true, .value = value, .time_ns = instant.time_ns };
            const ids = instant.ids orelse return;
            exemplar.has_ids = true;
            exemplar.trace = ids.trace;
            exemplar.span = ids.span orelse @splat(0);
        }

        /// Append (value, time, trace id, span id) to a list, and forget it. False: a Python error is set.
        fn move_to(exemplar: *Self, list: O) bool {
            if (!exemplar.is_set) return true;
            const taken = exemplar.*;
            exemplar.* = .{};
            const item = py.tuple(&.{
                number_object(taken.value),
                py.PyLong_FromLongLong(taken.time_ns),
                if (taken.has_ids) py.PyBytes_FromStringAndSize(&taken.trace, taken.trace.len) else py.none(),
                if (taken.has_ids) py.PyBytes_FromStringAndSize(&taken.span, taken.span.len) else py.none(),
            });
            return append(list, item);
        }
    };
}

fn number_object(value: anytype) ?O {
    return if (@TypeOf(value) == f64) py.PyFloat_FromDouble(value) else py.PyLong_FromLongLong(value);
}
/// Takes `item` over. False: a Python error is set.
fn append(list: O, item: ?O) bool {
    defer py.Py_DecRef(item);
    return py.PyList_Append(list, item orelse return false) >= 0;
}

/// A histogram with explicit bounds.
fn Histogram(comptime Number: type) type {
    return struct {
        const Self = @This();
        const Sums = struct {
            sum: Number = 0,
            min: Number = if (Number == f64) std.math.inf(f64) else std.math.maxInt(Number),
            max: Number = if (Number == f64) -std.math.inf(f64) else std.math.minInt(Number),
        };

        has_begun: bool = false,
        /// Whether anything was measured since the last collection.
        is_touched: bool = false,
        begun_ns: i64 = 0,
        collected_ns: i64 = 0,
        /// Since the last collection, and what a collection shows: that, or (cumulative) all there ever was.
        sums: Sums = .{},
        shown: Sums = .{},
        counts: []u64,
        shown_counts: []u64,
        shown_begin_ns: i64 = 0,
        /// The last measurement in each bucket.
        exemplars: []Exemplar(Number),

        fn record(h: *Self, bounds: []const f64, value: Number, instant: *const Instant, origin: *Origin) void {
            if (value < 0) return; // as the SDK: such a measurement is none
            origin.is_known = true;
            if (!h.has_begun) {
                h.has_begun = true;
                h.begun_ns = instant.time_ns;
                h.collected_ns = origin.of(instant);
            }
            h.is_touched = true;
            const place: f64 = if (Number == f64) value else @floatFromInt(value);
            var bucket: usize = 0;
            while (bucket < bounds.len and bounds[bucket] < place) bucket += 1;
            h.counts[bucket] += 1;
            h.sums.sum = plus(h.sums.sum, value);
            h.sums.min = @min(h.sums.min, value);
            h.sums.max = @max(h.sums.max, value);
            if (instant.is_exemplar) h.exemplars[bucket].set(value, instant);
        }
        fn plus(a: Number, b: Number) Number {
            return if (Number == f64) a + b else a +| b;
        }

        /// Close the interval; whether there is a point to show. Runs no Python code.
        fn fold(h: *Self, is_delta: bool, time_ns: i64) bool {
            if (!h.has_begun) return false;
            h.shown_begin_ns = if (is_delta) h.collected_ns else h.begun_ns;
            h.collected_ns = time_ns;
            if (is_delta) {
                if (!h.is_touched) return false;
                h.shown = .{};
                @memset(h.shown_counts, 0);
            }
            for (h.shown_counts, h.counts) |*shown, count| shown.* += count;
            h.shown.sum = plus(h.sums.sum, h.shown.sum);
            h.shown.min = @min(h.shown.min, h.sums.min);
            h.shown.max = @max(h.shown.max, h.sums.max);
            h.sums = .{};
            @memset(h.counts, 0);
            h.is_touched = false;
            return true;
        }

        /// (begin, counts, sum, min, max, exemplars) of the last fold
        fn point(h: *Self) ?O {
            const counts = py.PyTuple_New(@intCast(h.shown_counts.len)) orelse return null;
            for (h.shown_counts, 0..) |count, i| {
                const object = py.PyLong_FromUnsignedLongLong(count) orelse {
                    py.Py_DecRef(counts);
                    return null;
                };
                _ = py.PyTuple_SetItem(counts, @intCast(i), object);
            }
            return py.tuple(&.{
                py.PyLong_FromLongLong(h.shown_begin_ns),
                counts,
                number_object(h.shown.sum),
                number_object(h.shown.min),
                number_object(h.shown.max),
                h.exemplar_list(),
            });
        }
        fn exemplar_list(h: *Self) ?O {
            const list = py.PyList_New(0) orelse return null;
            for (h.exemplars) |*exemplar| {
                if (exemplar.move_to(list)) continue;
                py.Py_DecRef(list);
                return null;
            }
            return list;
        }

        fn reset(h: *Self) void {
            const fresh = Self{ .counts = h.counts, .shown_counts = h.shown_counts, .exemplars = h.exemplars };
            h.* = fresh;
            @memset(h.counts, 0);
            @memset(h.shown_counts, 0);
            @memset(h.exemplars, .{});
        }
    };
}

/// A sum of whole numbers.
const Counter = struct {
    has_begun: bool = false,
    is_touched: bool = false,
    begun_ns: i64 = 0,
    collected_ns: i64 = 0,
    total: i64 = 0,
    collected: i64 = 0,
    shown: i64 = 0,
    shown_begin_ns: i64 = 0,
    /// The last measurement. (The SDK keeps one as well, by chance.)
    exemplar: Exemplar(i64) = .{},

    fn add(c: *Counter, amount: i64, instant: *const Instant, origin: *Origin) void {
        origin.is_known = true;
        if (!c.has_begun) {
            c.has_begun = true;
            c.begun_ns = instant.time_ns;
            c.collected_ns = origin.of(instant);
        }
        c.is_touched = true;
        c.total +|= amount;
        if (instant.is_exemplar) c.exemplar.set(amount, instant);
    }

    fn fold(c: *Counter, is_delta: bool, time_ns: i64) bool {
        if (!c.has_begun) return false;
        c.shown_begin_ns = if (is_delta) c.collected_ns else c.begun_ns;
        c.shown = if (is_delta) c.total - c.collected else c.total;
        c.collected_ns = time_ns;
        c.collected = c.total;
        defer c.is_touched = false;
        return c.is_touched or !is_delta;
    }

    /// (begin, value, exemplars) of the last fold
    fn point(c: *Counter) ?O {
        const list = py.PyList_New(0) orelse return null;
        if (!c.exemplar.move_to(list)) {
            py.Py_DecRef(list);
            return null;
        }
        return py.tuple(&.{ py.PyLong_FromLongLong(c.shown_begin_ns), py.PyLong_FromLongLong(c.shown), list });
    }
};

/// Which kinds of points show what happened since the last collection, instead of all there ever was.
const Deltas = struct { histograms: bool, counters: bool, active: bool };

/// What requests with the same words have added up to.
const Requests = struct {
    next: ?*Requests = null,
    hash: u64,
    /// See Key; empty: the set of all requests whose words came too late to have a set of their own.
    key: []const u8,
    duration: Histogram(f64),
    request_size: Histogram(i64),
    response_size: Histogram(i64),
    count: Counter = .{},

    fn create(hash: u64, key: []const u8, body: *const Body) ?*Requests {
        const times = body.duration_bounds.len + 1;
        const sizes = body.size_bounds.len + 1;
        const kept: usize = if (body.filter == .always_off) 0 else 1;
        const Parts = struct { times: usize, sizes: usize };
        const exemplars = Parts{ .times = times * kept, .sizes = sizes * kept };
        const size = @sizeOf(Requests) + 2 * (times + 2 * sizes) * @sizeOf(u64) +
            exemplars.times * @sizeOf(Exemplar(f64)) + 2 * exemplars.sizes * @sizeOf(Exemplar(i64)) + key.len;
        const memory: [*]u8 = @ptrCast(wire.malloc(size) orelse return null);
        var rest = memory + @sizeOf(Requests);
        const set: *Requests = @ptrCast(@alignCast(memory));
        set.* = .{
            .hash = hash,
            .duration = .{
                .counts = carve(u64, &rest, times),
                .shown_counts = carve(u64, &rest, times),
                .exemplars = carve(Exemplar(f64), &rest, exemplars.times),
            },
            .request_size = .{
                .counts = carve(u64, &rest, sizes),
                .shown_counts = carve(u64, &rest, sizes),
                .exemplars = carve(Exemplar(i64), &rest, exemplars.sizes),
            },
            .response_size = .{
                .counts = carve(u64, &rest, sizes),
                .shown_counts = carve(u64, &rest, sizes),
                .exemplars = carve(Exemplar(i64), &rest, exemplars.sizes),
            },
            .key = rest[0..key.len],
        };
        @memcpy(rest[0..key.len], key);
        set.reset();
        return set;
    }
    fn carve(comptime T: type, rest: *[*]u8, count: usize) []T {
        comptime std.debug.assert(@alignOf(T) <= @alignOf(Requests) and @sizeOf(T) % @alignOf(Requests) == 0);
        const items: [*]T = @ptrCast(@alignCast(rest.*));
        rest.* += count * @sizeOf(T);
        return items[0..count];
    }

    /// Append (words, duration, request size, response size, count), each a point or None. False: a Python error.
    fn show(set: *Requests, list: O, deltas: Deltas, time_ns: i64) bool {
        // All four are closed before the first object is made, so that they tell of the same requests.
        const has_duration = set.duration.fold(deltas.histograms, time_ns);
        const has_request_size = set.request_size.fold(deltas.histograms, time_ns);
        const has_response_size = set.response_size.fold(deltas.histograms, time_ns);
        const has_count = set.count.fold(deltas.counters, time_ns);
        if (!(has_duration or has_request_size or has_response_size or has_count)) return true;
        return append(list, py.tuple(&.{
            Key.request_words(set.key),
            if (has_duration) set.duration.point() else py.none(),
            if (has_request_size) set.request_size.point() else py.none(),
            if (has_response_size) set.response_size.point() else py.none(),
            if (has_count) set.count.point() else py.none(),
        }));
    }

    /// Whether nothing was measured since the last collection.
    fn is_quiet(set: *const Requests) bool {
        return !(set.duration.is_touched or set.request_size.is_touched or set.response_size.is_touched or
            set.count.is_touched);
    }

    fn reset(set: *Requests) void {
        set.duration.reset();
        set.request_size.reset();
        set.response_size.reset();
        set.count = .{};
    }
};

/// Requests of one method and scheme that are under way.
const Active = struct {
    next: ?*Active = null,
    hash: u64,
    key: []const u8,
    count: Counter = .{},

    fn create(hash: u64, key: []const u8, _: *const Body) ?*Active {
        const memory: [*]u8 = @ptrCast(wire.malloc(@sizeOf(Active) + key.len) orelse return null);
        const own = memory[@sizeOf(Active)..][0..key.len];
        @memcpy(own, key);
        const set: *Active = @ptrCast(@alignCast(memory));
        set.* = .{ .hash = hash, .key = own };
        return set;
    }

    /// Append (words, point). False: a Python error is set.
    fn show(set: *Active, list: O, deltas: Deltas, time_ns: i64) bool {
        if (!set.count.fold(deltas.active, time_ns)) return true;
        return append(list, py.tuple(&.{ Key.active_words(set.key), set.count.point() }));
    }

    fn reset(set: *Active) void {
        set.count = .{};
    }
};

/// The words of a set as bytes: each with its length before it, the status last. What Active is told apart by is how
/// the key of Requests begins.
const Key = struct {
    const absent = std.math.maxInt(u32);

    fn put_word(w: *Writer, word: O) !void {
        if (py.is_none(word)) {
            try w.ensure(4);
            return w.fixed32_unchecked(absent);
        }
        if (!py.has_flag(py.type_of(word), py.subclass_unicode)) return error.NoText;
        const text = Text.of(word);
        defer text.release();
        try w.ensure(4 + text.bytes.len);
        w.fixed32_unchecked(@intCast(text.bytes.len));
        w.raw_unchecked(text.bytes);
    }
    fn put_status(w: *Writer, status: ?i64) !void {
        try w.ensure(9);
        w.byte_unchecked(@intFromBool(status != null));
        w.fixed64_unchecked(@bitCast(status orelse 0));
    }

    fn take_word(rest: *[]const u8) ?O {
        const size = std.mem.readInt(u32, rest.*[0..4], .little);
        rest.* = rest.*[4..];
        if (size == absent) return py.none();
        defer rest.* = rest.*[size..];
        return py.PyUnicode_FromStringAndSize(rest.ptr, size);
    }

    /// (method, scheme, status, route, version, error type); None for the overflow set
    fn request_words(key: []const u8) ?O {
        if (key.len == 0) return py.none();
        var rest = key;
        const method, const scheme = .{ take_word(&rest), take_word(&rest) };
        const route, const version, const error_type = .{ take_word(&rest), take_word(&rest), take_word(&rest) };
        const status: i64 = @bitCast(std.mem.readInt(u64, rest[1..9], .little));
        return py.tuple(&.{
            method, scheme, if (rest[0] == 1) py.PyLong_FromLongLong(status) else py.none(), route, version, error_type,
        });
    }
    /// (method, scheme); None for the overflow set
    fn active_words(key: []const u8) ?O {
        if (key.len == 0) return py.none();
        var rest = key;
        return py.tuple(&.{ take_word(&rest), take_word(&rest) });
    }
};

/// Sets by their keys: a hash table, and a list in the order in which they were made.
fn Table(comptime Set: type) type {
    return struct {
        const Self = @This();
        slots: []?*Set = &.{},
        /// Without the overflow set.
        count: usize = 0,
        first: ?*Set = null,
        last: ?*Set = null,
        overflow: ?*Set = null,

        /// The set of a key, made if need be; the overflow set once there are enough; null: memory is short.
        fn get(table: *Self, key: []const u8, body: *const Body) ?*Set {
            const hash = std.hash.Wyhash.hash(0, key);
            if (table.slots.len > 0) {
                if (table.slots[table.place(hash, key)]) |set| return set;
            }
            return table.add(hash, key, body);
        }

        /// Where a key is, or would be. There always is an empty slot.
        fn place(table: *const Self, hash: u64, key: []const u8) usize {
            const mask = table.slots.len - 1;
            var i: usize = @intCast(hash & mask);
            while (table.slots[i]) |set| : (i = (i + 1) & mask) {
                if (set.hash == hash and std.mem.eql(u8, set.key, key)) break;
            }
            return i;
        }

        noinline fn add(table: *Self, hash: u64, key: []const u8, body: *const Body) ?*Set {
            if (table.count >= body.sets_max) {
                if (table.overflow == null) table.overflow = table.make(0, "", body);
                return table.overflow;
            }
            if (2 * (table.count + 1) > table.slots.len and !table.grow()) return null;
            const set = table.make(hash, key, body) orelse return null;
            table.slots[table.place(hash, key)] = set;
            table.count += 1;
            return set;
        }
        fn make(table: *Self, hash: u64, key: []const u8, body: *const Body) ?*Set {
            const set = Set.create(hash, key, body) orelse return null;
            if (table.last) |last| last.next = set else table.first = set;
            table.last = set;
            return set;
        }
        fn grow(table: *Self) bool {
            const size = @max(16, 2 * table.slots.len);
            const memory: [*]?*Set = @ptrCast(@alignCast(wire.malloc(size * @sizeOf(?*Set)) orelse return false));
            const old = table.slots;
            table.slots = memory[0..size];
            @memset(table.slots, null);
            for (old) |slot| {
                if (slot) |set| table.slots[table.place(set.hash, set.key)] = set;
            }
            if (old.len > 0) wire.free(@ptrCast(old.ptr));
            return true;
        }

        /// A list of what each set shows; null: a Python error is set.
        fn show(table: *Self, deltas: Deltas, time_ns: i64) ?O {
            const list = py.PyList_New(0) orelse return null;
            var next = table.first;
            while (next) |set| : (next = set.next) {
                if (set.show(list, deltas, time_ns)) continue;
                py.Py_DecRef(list);
                return null;
            }
            return list;
        }

        /// Forget the sets that a collection has shown whole: what comes next has room again.
        fn prune(table: *Self) void {
            var next = table.first;
            table.first = null;
            table.last = null;
            table.count = 0;
            @memset(table.slots, null);
            while (next) |set| {
                next = set.next;
                if (set.is_quiet()) {
                    if (table.overflow == set) table.overflow = null;
                    wire.free(@ptrCast(set));
                    continue;
                }
                set.next = null;
                if (table.last) |last| last.next = set else table.first = set;
                table.last = set;
                if (table.overflow == set) continue;
                table.slots[table.place(set.hash, set.key)] = set;
                table.count += 1;
            }
        }
        fn reset(table: *Self) void {
            var next = table.first;
            while (next) |set| : (next = set.next) set.reset();
        }
        fn deinit(table: *Self) void {
            var next = table.first;
            while (next) |set| {
                next = set.next;
                wire.free(@ptrCast(set));
            }
            if (table.slots.len > 0) wire.free(@ptrCast(table.slots.ptr));
        }
    };
}

const Origins = struct {
    duration: Origin = .{},
    request_size: Origin = .{},
    response_size: Origin = .{},
    count: Origin = .{},
    active: Origin = .{},
};

const Body = struct {
    core: O,
    /// Lives as long as `core`.
    state: *shared.State,
    /// The state's when the sets were last emptied.
    generation: u64,
    filter: Filter,
    sets_max: usize,
    duration_bounds: []const f64,
    size_bounds: []const f64,
    /// frozensets of str: what is told apart; null: records are Python's to take apart.
    schemes: ?O = null,
    versions: ?O = null,
    is_collecting: bool = false,
    origins: Origins = .{},
    requests: Table(Requests) = .{},
    active: Table(Active) = .{},

    /// Now, and the span of an OpenTelemetry context (null: the current one). Python code may run: a clock, or what a span's context is.
    fn instant(body: *const Body, where: ?O, fault: *py.Fault) Instant {
        var now = Instant{ .time_ns = moment.now_ns(fault), .is_exemplar = false, .ids = null };
        if (body.filter == .always_off) return now;
        var room: context.TraceField = .{};
        now.ids = Ids.of(body.state.trace.read_in(where, &room, null, fault));
        const is_sampled = if (now.ids) |ids| ids.flags & 1 != 0 else false;
        now.is_exemplar = is_sampled or body.filter == .always_on;
        return now;
    }

    /// A forked child starts from zero. The sets stay: a collection may be under way.
    fn follow_fork(body: *Body) void {
        if (body.state.fork.happened()) body.state.after_fork();
        if (body.generation == body.state.generation) return;
        body.generation = body.state.generation;
        body.origins = .{};
        body.requests.reset();
        body.active.reset();
    }

    fn deinit(body: *Body) void {
        body.requests.deinit();
        body.active.deinit();
        wire.free(@ptrCast(@constCast(body.duration_bounds.ptr)));
        wire.free(@ptrCast(@constCast(body.size_bounds.ptr)));
        for ([_]?O{ body.core, body.schemes, body.versions }) |object| py.Py_DecRef(object);
        wire.free(body);
    }
};

pub const Traffic = extern struct { head: py.Object, body: ?*Body };
pub var traffic_type: ?*py.TypeObject = null;

fn body_of(self: O) *Body {
    return @as(*Traffic, @ptrCast(self)).body.?;
}

/// started(method, scheme)
fn started(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("started takes (method, scheme)");
    const body = body_of(self);
    var scratch: [256]u8 = undefined;
    var key = Writer.init(&scratch);
    defer key.deinit();
    put_words(&key, arguments[0..2]) catch |err| return refuse(err);
    return if (begin(body, key.written())) py.none() else null;
}
/// False: a Python error is set.
fn begin(body: *Body, key: []const u8) bool {
    var fault = py.Fault{};
    const now = body.instant(null, &fault);
    body.follow_fork();
    const active = body.active.get(key, body) orelse {
        _ = py.PyErr_NoMemory();
        return false;
    };
    active.count.add(1, &now, &body.origins.active);
    return !fault.restore();
}

/// ended(method, scheme, status, route, version, error_type, duration_ns, request_size, response_size, counted)
fn ended(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 10) return py.type_error("ended takes (method, scheme, status, route, version, error_type, " ++
        "duration_ns, request_size, response_size, counted)");
    const body = body_of(self);
    const status = if (py.is_none(arguments[2])) null else py.integer(arguments[2]) orelse return null;
    const duration_ns = py.integer(arguments[6]) orelse return null;
    const request_size = py.integer(arguments[7]) orelse return null;
    const response_size = py.integer(arguments[8]) orelse return null;
    const counted = py.PyObject_IsTrue(arguments[9]);
    if (counted < 0) return null;
    var scratch: [512]u8 = undefined;
    var key = Writer.init(&scratch);
    defer key.deinit();
    put_words(&key, arguments[0..2]) catch |err| return refuse(err);
    const active_size = key.len;
    put_words(&key, arguments[3..6]) catch |err| return refuse(err);
    Key.put_status(&key, status) catch |err| return refuse(err);
    const numbers = Numbers{ .duration_ns = duration_ns, .request_size = request_size, .response_size = response_size };
    return if (finish(body, key.written(), if (counted == 1) active_size else null, numbers, null)) py.none() else null;
}
const Numbers = struct { duration_ns: i64, request_size: i64, response_size: i64 };

/// `active_size`: how much of the key tells the requests under way apart, if this was one. False: a Python error is set.
fn finish(body: *Body, key: []const u8, active_size: ?usize, numbers: Numbers, where: ?O) bool {
    var fault = py.Fault{};
    const now = body.instant(where, &fault);
    body.follow_fork();
    if (active_size) |size| {
        const active = body.active.get(key[0..size], body) orelse return out_of_memory();
        // In a forked child, those that its parent had counted in end as well.
        if (active.count.total > 0) active.count.add(-1, &now, &body.origins.active);
    }
    const set = body.requests.get(key, body) orelse return out_of_memory();
    set.duration.record(body.duration_bounds, @as(f64, @floatFromInt(numbers.duration_ns)) / 1e9, &now, &body.origins.duration);
    set.request_size.record(body.size_bounds, numbers.request_size, &now, &body.origins.request_size);
    set.response_size.record(body.size_bounds, numbers.response_size, &now, &body.origins.response_size);
    set.count.add(1, &now, &body.origins.count);
    return !fault.restore();
}
fn out_of_memory() bool {
    _ = py.PyErr_NoMemory();
    return false;
}

// ---------------------------------------------------------------------------------------------------- records

/// started_record(record) -> whether it was counted in
fn started_record(self: O, record: O) callconv(.c) ?O {
    const r = access.of(record) orelse return py.boolean(false);
    return py.boolean(start(@ptrCast(self), r) orelse return null);
}
/// ended_record(record, counted) -> whether it was added
fn ended_record(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("ended_record takes (record, counted)");
    const counted = py.PyObject_IsTrue(arguments[1]);
    if (counted < 0) return null;
    const r = access.of(arguments[0]) orelse return py.boolean(false);
    return py.boolean(end(@ptrCast(self), r, counted == 1, null) orelse return null);
}

/// Count a request in; false: Python has to; null: a Python error is set.
pub fn start(traffic: *Traffic, r: *const access.Record) ?bool {
    const body = traffic.body.?;
    var scratch: [256]u8 = undefined;
    var key = Writer.init(&scratch);
    defer key.deinit();
    put_active(&key, body, r) catch return false;
    return if (begin(body, key.written())) true else null;
}
/// Add a finished request, measured in an OpenTelemetry context (null: the current one); as `start`.
pub fn end(traffic: *Traffic, r: *const access.Record, counted: bool, where: ?O) ?bool {
    const body = traffic.body.?;
    var scratch: [512]u8 = undefined;
    var key = Writer.init(&scratch);
    defer key.deinit();
    put_active(&key, body, r) catch return false;
    const active_size = key.len;
    put_rest(&key, body, r) catch return false;
    const numbers = Numbers{
        .duration_ns = r.number(.duration_ns).?,
        .request_size = r.number(.request_body_size).?,
        .response_size = r.number(.response_body_size).?,
    };
    return if (finish(body, key.written(), if (counted) active_size else null, numbers, where)) true else null;
}

const Unusual = error{ NoText, TooLarge, Unusual };

/// As metrics.instruments.request_words bounds them; what is not plain is left to it.
fn put_active(key: *Writer, body: *const Body, r: *const access.Record) Unusual!void {
    try Key.put_word(key, r.get(.known_method).?);
    try Key.put_word(key, try known(r.get(.scheme).?, body.schemes));
}
fn put_rest(key: *Writer, body: *const Body, r: *const access.Record) Unusual!void {
    try Key.put_word(key, try bounded(r.get(.route)));
    try Key.put_word(key, try known(r.get(.http_version).?, body.versions));
    try Key.put_word(key, try known_error(r.get(.error_type)));
    const status = r.number(.status);
    const is_status = if (status) |number| number >= 100 and number <= 599 else false;
    try Key.put_status(key, if (is_status) status else null);
}
fn known(word: O, words: ?O) Unusual!O {
    const contains = py.PySet_Contains(words orelse return error.Unusual, word);
    if (contains >= 0) return if (contains == 1) word else access.other_name();
    py.PyErr_Clear();
    return error.Unusual;
}
const word_size_max = 255;
/// None stands for null.
fn bounded(maybe: ?O) Unusual!O {
    const word = maybe orelse return &py._Py_NoneStruct;
    if (py.PyUnicode_GetLength(word) > word_size_max or otlp.utf8(word) == null) return error.Unusual;
    return word;
}
/// An exception's name; a number only if it is one that a server or a WebSocket means.
fn known_error(maybe: ?O) Unusual!O {
    const word = try bounded(maybe);
    if (py.is_none(word)) return word;
    const bytes = otlp.utf8(word) orelse return error.Unusual;
    var are_digits = bytes.len > 0;
    for (bytes) |byte| {
        if (byte >= 0x80) return error.Unusual; // there are other digits than ASCII's
        are_digits = are_digits and std.ascii.isDigit(byte);
    }
    const is_meant = (bytes.len == 3 and bytes[0] == '5') or std.mem.eql(u8, bytes, "1011");
    return if (are_digits and !is_meant) access.other_name() else word;
}

inline fn put_words(key: *Writer, words: []const O) !void {
    for (words) |word| try Key.put_word(key, word);
}
fn refuse(err: error{ NoText, TooLarge }) ?O {
    return switch (err) {
        error.NoText => py.type_error("method, scheme, route, version and error_type must be str or None"),
        error.TooLarge => py.PyErr_NoMemory(),
    };
}

/// snapshot(histograms_delta, counters_delta, active_delta) -> (time, requests, active)
fn snapshot(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 3) return py.type_error("snapshot takes (histograms_delta, counters_delta, active_delta)");
    const body = body_of(self);
    var flags: [3]bool = undefined;
    for (&flags, arguments[0..3]) |*flag, object| {
        const truth = py.PyObject_IsTrue(object);
        if (truth < 0) return null;
        flag.* = truth == 1;
    }
    if (body.is_collecting) {
        py.PyErr_SetString(py.PyExc_RuntimeError, "snapshot: another one is being taken");
        return null;
    }
    body.is_collecting = true;
    defer body.is_collecting = false;
    var fault = py.Fault{};
    const time_ns = moment.now_ns(&fault);
    if (fault.restore()) return null;
    body.follow_fork();
    const deltas = Deltas{ .histograms = flags[0], .counters = flags[1], .active = flags[2] };
    const origins = &body.origins;
    inline for (.{ &origins.duration, &origins.request_size, &origins.response_size }) |origin|
        origin.collect(deltas.histograms, time_ns);
    origins.count.collect(deltas.counters, time_ns);
    origins.active.collect(deltas.active, time_ns);
    const requests = body.requests.show(deltas, time_ns) orelse return null;
    if (deltas.histograms and deltas.counters) body.requests.prune();
    const active = body.active.show(deltas, time_ns);
    return py.tuple(&.{ py.PyLong_FromLongLong(time_ns), requests, active });
}

pub var methods = [_]py.MethodDef{
    .method("started", &started, py.METH_FASTCALL),
    .method("ended", &ended, py.METH_FASTCALL),
    .method("started_record", &started_record, py.METH_O),
    .method("ended_record", &ended_record, py.METH_FASTCALL),
    .method("snapshot", &snapshot, py.METH_FASTCALL),
    .{},
};

/// Traffic(core, duration_bounds, size_bounds, sets_max=2000, exemplars="trace_based", schemes=None, versions=None)
pub fn new(t: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    const count = py.PyTuple_Size(args);
    if (count < 3 or count > 7 or count == 6 or (if (kwargs) |k| py.PyDict_Size(k) != 0 else false))
        return py.type_error("Traffic takes (core, duration_bounds, size_bounds, sets_max=2000, " ++
            "exemplars='trace_based', schemes=None, versions=None)");
    for (5..@intCast(@max(count, 5))) |i| {
        if (py.type_of(py.PyTuple_GetItem(args, @intCast(i)).?) != &py.PyFrozenSet_Type)
            return py.type_error("Traffic: schemes and versions must be frozensets of str");
    }
    const core = py.PyTuple_GetItem(args, 0).?;
    if (py.type_of(core) != shared.core_type.?) return py.type_error("Traffic: core must be a Core");
    var filter = Filter.trace_based;
    if (count > 4) filter = filter_of(py.PyTuple_GetItem(args, 4).?) orelse return null;
    var sets_max: i64 = 2000;
    if (count > 3) sets_max = py.integer(py.PyTuple_GetItem(args, 3).?) orelse return null;
    if (sets_max < 0) {
        py.PyErr_SetString(py.PyExc_ValueError, "Traffic: sets_max must not be negative");
        return null;
    }
    const duration_bounds = bounds_of(py.PyTuple_GetItem(args, 1).?) orelse return null;
    const size_bounds = bounds_of(py.PyTuple_GetItem(args, 2).?) orelse {
        wire.free(duration_bounds.ptr);
        return null;
    };
    const made = wire.create(Body);
    const self = if (made == null) py.PyErr_NoMemory() else py.PyType_GenericAlloc(t, 0);
    if (self == null) {
        wire.free(made);
        wire.free(duration_bounds.ptr);
        wire.free(size_bounds.ptr);
        return null;
    }
    const state = @as(*shared.Core, @ptrCast(core)).state;
    made.?.* = .{
        .core = py.new_ref(core),
        .state = state,
        .generation = state.generation,
        .filter = filter,
        .sets_max = @intCast(sets_max),
        .duration_bounds = duration_bounds,
        .size_bounds = size_bounds,
        .schemes = if (count > 5) py.new_ref(py.PyTuple_GetItem(args, 5).?) else null,
        .versions = if (count > 5) py.new_ref(py.PyTuple_GetItem(args, 6).?) else null,
    };
    @as(*Traffic, @ptrCast(self.?)).body = made;
    return self;
}
fn filter_of(object: O) ?Filter {
    if (py.has_flag(py.type_of(object), py.subclass_unicode)) {
        const text = Text.of(object);
        defer text.release();
        if (std.meta.stringToEnum(Filter, text.bytes)) |filter| return filter;
    }
    py.PyErr_SetString(py.PyExc_ValueError, "Traffic: exemplars must be 'trace_based', 'always_on' or 'always_off'");
    return null;
}
/// A copy of a tuple of rising, finite numbers; null: a Python error is set.
fn bounds_of(object: O) ?[]f64 {
    if (!py.has_flag(py.type_of(object), py.subclass_tuple)) {
        _ = py.type_error("Traffic: bounds must be a tuple of float");
        return null;
    }
    const count: usize = @intCast(py.PyTuple_Size(object));
    const bounds: [*]f64 = @ptrCast(@alignCast(wire.malloc(@max(count, 1) * @sizeOf(f64)) orelse {
        _ = py.PyErr_NoMemory();
        return null;
    }));
    for (bounds[0..count], 0..) |*bound, i| {
        bound.* = py.PyFloat_AsDouble(py.PyTuple_GetItem(object, @intCast(i)).?);
        const is_wrong = !std.math.isFinite(bound.*) or (i > 0 and bounds[i - 1] >= bound.*);
        const has_raised = bound.* == -1 and py.PyErr_Occurred() != null;
        if (!is_wrong and !has_raised) continue;
        if (!has_raised) py.PyErr_SetString(py.PyExc_ValueError, "Traffic: bounds must be finite, and rise");
        wire.free(bounds);
        return null;
    }
    return bounds[0..count];
}

pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const body = @as(*Traffic, @ptrCast(self)).body;
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ if (body) |b| b.core else null, kind }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(_: O) callconv(.c) c_int {
    return 0; // a cycle goes through the core's callback, and is cut there
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    if (@as(*Traffic, @ptrCast(self)).body) |body| body.deinit();
    context.free_instance(self);
}
