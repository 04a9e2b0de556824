//! LoggerBase: the level methods, and the road of a plain call. Begin reading at `log_enabled`.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const moment = @import("moment.zig");
const breaks = @import("breaks.zig");
const events = @import("event.zig");
const otlp = @import("otlp.zig");
const fmt = @import("fmt.zig");
const record = @import("record.zig");
const attributes = @import("attributes.zig");
const site = @import("site.zig");
const context = @import("context.zig");
const shared = @import("state.zig");
const Dispatcher = @import("dispatcher.zig").Dispatcher;
const dispatcher_type = &@import("dispatcher.zig").dispatcher_type;
const O = py.O;
const Writer = wire.Writer;
const Text = otlp.Text;
const AttrSet = context.AttrSet;
const Parts = attributes.Parts;
const State = shared.State;
const Level = shared.Level;
const levels = shared.levels;
const level_error = shared.level_error;
const level_name = shared.level_name;

const Call = struct {
    logger: *Logger,
    dispatcher: *Dispatcher,
    state: *State,
    level: *const Level,
    /// The message at 0, then positional arguments, then the values that `names` names.
    arguments: [*]const O,
    positional: usize,
    names: ?O,
    named: usize,

    inline fn has_arguments(call: *const Call) bool {
        return call.positional + call.named > 0;
    }
};

inline fn count_names(names: ?O) usize {
    return if (names) |tuple| @intCast(py.PyTuple_Size(tuple)) else 0;
}

noinline fn log_enabled(call: *const Call) ?O {
    const d = call.dispatcher;
    if (call.logger.options != null) return python_way(call, level_name(call.level), false);
    if (!(d.is_active() orelse return null)) return py.none();
    const for_sinks = call.level.no >= d.sink_level;
    if (d.python_way or !is_plain(call, for_sinks)) return python_way(call, level_name(call.level), false);
    if (for_sinks) return deliver(call);
    const state = call.state;
    if (state.mode != .on) {
        state.lose(&state.counters.dropped_shutdown);
        state.count(call.level);
        return py.none();
    }
    var fault = py.Fault{};
    var scratch: [2048]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    w.size_max = record.size_max;
    const time_ns = moment.now_ns(&fault);
    if (write_plain(call, time_ns, &w, null, &fault)) {
        state.commit(w.written(), &fault);
    } else |err| switch (err) {
        error.TooLarge => state.lose(&state.counters.dropped_too_large),
        error.Raised => { // asked for by format_errors="raise"
            if (py.PyErr_Occurred() != null) return null;
            state.lose(&state.counters.dropped_internal);
        },
        error.Unusual => return interrupt(python_way(call, level_name(call.level), false), &fault),
    }
    state.count(call.level);
    if (fault.restore()) return null;
    return py.none();
}

inline fn is_plain(call: *const Call, for_sinks: bool) bool {
    const t = py.type_of(call.arguments[0]);
    if (t == &py.PyUnicode_Type) return true;
    if (for_sinks) return false;
    return !call.has_arguments() or py.has_flag(t, py.subclass_unicode);
}

/// What Python sinks get of a call; owned here until `Event.make` has it.
const Plain = struct {
    message: ?O = null,
    site: ?O = null,
    extra: ?O = null,
    ids: context.TraceField = .{},

    fn release(plain: *const Plain) void {
        for ([_]?O{ plain.message, plain.site, plain.extra }) |object| py.Py_DecRef(object);
    }
};

/// Unusual: what only Python can do for sinks. Nothing was stored yet, and no Python error is set.
const Error = fmt.Error || error{Unusual};

/// A plain call that Python sinks want, and OTLP perhaps.
noinline fn deliver(call: *const Call) ?O {
    const state = call.state;
    var fault = py.Fault{};
    var scratch: [2048]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    const time_ns = moment.now_ns(&fault);
    var plain = Plain{};
    const for_otlp = call.level.no >= state.otlp_level;
    const result = if (for_otlp and state.mode == .on) result: {
        w.size_max = record.size_max;
        break :result write_plain(call, time_ns, &w, &plain, &fault);
    } else gather_plain(call, &w, &plain, &fault);
    if (result) {
        if (for_otlp) {
            if (state.mode == .on) state.commit(w.written(), &fault) else state.lose(&state.counters.dropped_shutdown);
        }
    } else |err| {
        // A record whose attributes outgrew it is lost; its message still goes to the sinks.
        const is_lost = err == error.TooLarge and plain.message != null and !state.policy.is_on();
        if (is_lost) state.lose(&state.counters.dropped_too_large) else {
            plain.release();
            if (err == error.Raised and py.PyErr_Occurred() != null) return null;
            return interrupt(python_way(call, level_name(call.level), false), &fault);
        }
    }
    state.count(call.level);
    return interrupt(hand_over(call, time_ns, &plain, &fault), &fault);
}

/// `result`, unless what belongs to the user's program (Ctrl-C) waits to be raised.
fn interrupt(result: ?O, fault: *py.Fault) ?O {
    if (fault.kind == null) return result;
    if (result) |object| py.Py_DecRef(object) else py.PyErr_Clear();
    _ = fault.restore();
    return null;
}

fn hand_over(call: *const Call, time_ns: i64, plain: *Plain, fault: *py.Fault) ?O {
    const d = call.dispatcher;
    const extra = plain.extra;
    plain.extra = null; // the event's now
    defer plain.release();
    const event = events.make(&.{
        .state = call.state,
        .time_ns = time_ns,
        .level = d.level_objects[call.level.index].?,
        .message = plain.message.?,
        .shown = plain.message.?,
        .site = plain.site,
        .extra = extra,
        .ids = plain.ids.bytes[0..plain.ids.len],
    }, fault) orelse return null;
    defer py.Py_DecRef(@ptrCast(event));
    event.is_counted = true;
    const callable = py.new_ref(d.deliver orelse return py.none());
    defer py.Py_DecRef(callable);
    return py.call_one(callable, @ptrCast(event));
}

/// What surrounds a call, from outside to inside: configure(extra=…), contextualize, bind. Released by its owner.
const Sets = struct {
    extra: ?*AttrSet,
    surrounding: ?O,
    context: ?*AttrSet,
    bound: ?*AttrSet,

    inline fn of(call: *const Call) Sets {
        const surrounding = py.context_var_get(call.state.context_var.?);
        const extra = call.dispatcher.extra;
        py.Py_IncRef(@ptrCast(extra)); // it may be replaced while an argument is encoded
        return .{
            .extra = extra,
            .surrounding = surrounding,
            .context = context.attr_set_of(surrounding),
            .bound = call.logger.bound,
        };
    }
    inline fn release(sets: *const Sets) void {
        py.Py_DecRef(sets.surrounding);
        py.Py_DecRef(@ptrCast(sets.extra));
    }
    inline fn all(sets: *const Sets) [3]?*AttrSet {
        return .{ sets.extra, sets.context, sets.bound };
    }
};

/// Whether arguments or surroundings hold what nobody may see (or may hold it). Asked before anything is formatted:
/// what Python gets it formats itself, and once is enough.
inline fn is_hidden_before(call: *const Call, shape: ?*site.Shape, sets: *const Sets, fault: *py.Fault) bool {
    if (call.has_arguments() and are_hidden(call, shape, true, fault)) return true;
    for (sets.all()) |set| if (call.state.policy.hides_set(set, fault)) return true;
    return false;
}

/// The arguments alone. Those that will stand in the message as they are count on it: see is_hidden.
noinline fn are_hidden(call: *const Call, shape: ?*site.Shape, are_in_message: bool, fault: *py.Fault) bool {
    const arguments = call.arguments[1 .. 1 + call.positional + call.named];
    return call.state.policy.hides_arguments(shape, arguments, call.names, are_in_message, fault);
}

/// The same of the message `text`. `complaint`: why the template could not be formatted; it is the message then.
noinline fn is_hidden(
    call: *const Call,
    shape: ?*site.Shape,
    text: []const u8,
    complaint: []const u8,
    fault: *py.Fault,
) bool {
    const policy = &call.state.policy;
    if (!call.has_arguments()) {
        if (policy.hides_literal(shape, text)) return true;
    } else if (policy.hides_body(text)) return true;
    if (complaint.len > 0 and (policy.hides_text(complaint) or are_hidden(call, shape, false, fault))) return true;
    return false;
}

/// What Python sinks get, of a call that OTLP does not want.
fn gather_plain(call: *const Call, w: *Writer, plain: *Plain, fault: *py.Fault) Error!void {
    const state = call.state;
    const place = state.sites.current();
    defer if (place) |p| p.release();
    const has_arguments = call.has_arguments();
    const shape = if (place) |p| shape_of(p, call) else null;
    defer if (shape) |s| s.release();
    const template = if (shape) |s| Text{ .bytes = s.text } else template_text(call, fault);
    defer template.release();
    const sets = Sets.of(call);
    defer sets.release();
    if (state.policy.is_on() and is_hidden_before(call, shape, &sets, fault)) return error.Unusual;
    var complaint: []const u8 = "";
    if (has_arguments) {
        if (fill_body(call, shape, template, w)) {
            plain.message = try message_of(call, shape, template.bytes, w.written());
        } else |err| {
            if (err == error.TooLarge) return error.Unusual;
            if (state.format_raises) return error.Raised;
            fault.absorb(); // an Exception is forgotten, Ctrl-C is not
            complaint = "not formatted"; // OTLP, which would say why, does not want it
            plain.message = py.new_ref(call.arguments[0]);
        }
    } else plain.message = py.new_ref(call.arguments[0]);
    plain.site = describe(place);
    try gather_extra(call, &sets, plain);
    plain.ids.keep(state.trace.read(&plain.ids, sets.context, fault));
    const text = if (has_arguments and complaint.len == 0) w.written() else template.bytes;
    if (state.policy.is_on() and is_hidden(call, shape, text, complaint, fault)) return error.Unusual;
}

inline fn gather_extra(call: *const Call, sets: *const Sets, plain: *Plain) Error!void {
    if (call.named == 0 and sets.extra == null and sets.context == null and sets.bound == null) return;
    plain.extra = merge(call, sets) orelse {
        py.PyErr_Clear();
        return error.Unusual;
    };
}

/// The formatted text as a str; Unusual where the text and what sinks show of it differ.
fn message_of(call: *const Call, shape: ?*site.Shape, template: []const u8, body: []const u8) Error!O {
    const marks = breaks.count(body);
    // Line breaks from an argument: a text sink shows them escaped.
    if (marks.breaks > 0) {
        const is_native = if (shape) |s| s.program.kind == .fields else false;
        if (!is_native or breaks.count(template).breaks != marks.breaks) return error.Unusual;
    }
    if (marks.has_replacement) return error.Unusual; // U+FFFD may stand for a lone surrogate
    if (py.type_of(call.arguments[0]) != &py.PyUnicode_Type) return error.Unusual;
    return py.PyUnicode_FromStringAndSize(body.ptr, @intCast(body.len)) orelse {
        py.PyErr_Clear();
        return error.Unusual;
    };
}

inline fn describe(place: ?*site.Site) ?O {
    const p = place orelse return null;
    if (p.tuple) |tuple| return py.new_ref(tuple);
    return site.describe(p, py.PyEval_GetFrame() orelse return null);
}

/// The whole LogRecord of a plain call: time, level, body, attributes, ids. `plain`: filled as well, if sinks want it.
inline fn write_plain(call: *const Call, time_ns: i64, w: *Writer, plain: ?*Plain, fault: *py.Fault) Error!void {
    const state = call.state;
    const place = state.sites.current();
    defer if (place) |p| p.release();
    const shape = if (place) |p| shape_of(p, call) else null;
    defer if (shape) |s| s.release();
    const sets = Sets.of(call);
    defer sets.release();
    if (state.policy.is_on() and is_hidden_before(call, shape, &sets, fault)) return error.Unusual;
    const wire_time: u64 = @intCast(@max(time_ns, 0));
    try record.put_head(w, wire_time, call.level.severity);

    const body = try record.begin_body(w);
    const template = if (shape) |s| Text{ .bytes = s.text } else template_text(call, fault);
    defer template.release();
    var complaint_buffer: [complaint_size_max]u8 = undefined;
    var complaint: []const u8 = "";
    const has_arguments = call.has_arguments();
    if (plain != null) w.cut_at = std.math.maxInt(u32); // sinks get all of it
    if (!has_arguments) try w.raw_cut(template.bytes) else fill_body(call, shape, template, w) catch |err| {
        if (err == error.TooLarge) return if (plain != null) error.Unusual else error.TooLarge;
        if (state.format_raises) return error.Raised;
        complaint = take_complaint(&complaint_buffer, fault);
        w.len = body;
        _ = try record.begin_body(w);
        try w.raw_cut(template.bytes);
    };
    const text = record.body_text(w, body);
    const templated = has_arguments and !std.mem.eql(u8, text, template.bytes);
    if (plain) |p| {
        const is_formatted = has_arguments and complaint.len == 0;
        p.message = if (is_formatted) try message_of(call, shape, template.bytes, text) else py.new_ref(call.arguments[0]);
        p.site = describe(place);
    }
    const text_size = text.len;
    try record.end_body(w, body);
    const body_end = w.len;

    if (plain) |p| try gather_extra(call, &sets, p);
    var parts = Parts{
        .template = if (templated) template.bytes else null,
        .arguments = call.arguments[1 .. 1 + call.positional],
        .complaint = complaint,
        .threads = &state.threads,
    };
    var dropped: usize = 0;
    var encoder = otlp.Encoder{ .w = w, .limits = &state.limits, .fault = fault };
    if (is_simple(call, shape, &sets)) {
        if (shape != null and templated and call.positional == 0) {
            try w.raw(shape.?.template_and_code); // the usual call, prepared
            try attributes.put_thread(&encoder, &state.threads, true, true);
        } else {
            parts.code = if (place) |p| p.attributes else "";
            dropped += try attributes.put_own(&encoder, &parts);
        }
        for (sets.all()) |maybe| {
            if (maybe) |set| try w.raw(set.bytes.?[0..set.len]);
        }
        dropped += put_named(call, shape, &encoder);
    } else {
        const extra = merge(call, &sets) orelse {
            fault.absorb();
            return error.TooLarge;
        };
        defer py.Py_DecRef(extra);
        const described = describe(place);
        defer py.Py_DecRef(described);
        parts.site = described;
        parts.extra = extra;
        parts.context = sets.context;
        dropped += try attributes.put_all(&encoder, &parts);
    }
    var mark: context.TraceField = .{};
    const ids = state.trace.read(&mark, sets.context, fault);
    if (plain) |p| p.ids.keep(ids);
    // So late because the text is still on its way to memory when it has just been written.
    if (state.policy.is_on()) {
        const written = if (has_arguments) w.bytes[body_end - text_size .. body_end] else template.bytes;
        if (is_hidden(call, shape, written, complaint, fault)) return error.Unusual;
    }
    try record.put_tail(w, dropped, ids, wire_time, "");
}

inline fn shape_of(place: *site.Site, call: *const Call) ?*site.Shape {
    const template = call.arguments[0];
    if (place.shape) |shape| {
        if (shape.fits(template, call.positional, call.names)) return shape.hold();
    }
    const shape = site.reshape(place, template, call.positional, call.names) orelse return null;
    return shape.hold();
}

fn template_text(call: *const Call, fault: *py.Fault) Text {
    const message = call.arguments[0];
    if (py.has_flag(py.type_of(message), py.subclass_unicode)) return Text.of(message);
    return Text.of_object(message, fault);
}

inline fn fill_body(call: *const Call, shape: ?*site.Shape, template: Text, w: *Writer) fmt.Error!void {
    if (shape) |s| {
        if (s.program.kind == .fields) return fmt.fill(w, &s.program, s.text, call.arguments);
    }
    return fill_body_rare(call, template, w);
}
/// A template that is parsed for this call alone, or left to str.format.
noinline fn fill_body_rare(call: *const Call, template: Text, w: *Writer) fmt.Error!void {
    if (template.owner == null and py.type_of(call.arguments[0]) == &py.PyUnicode_Type) {
        const program = fmt.parse(template.bytes, call.positional, call.names);
        if (program.kind == .fields) return fmt.fill(w, &program, template.bytes, call.arguments);
    }
    return fmt.fill_python(w, call.arguments, call.positional, call.names);
}

const complaint_size_max = 512;

/// The current Python error as `KeyError: 'name'`, taken off the interpreter.
fn take_complaint(buffer: *[complaint_size_max]u8, fault: *py.Fault) []const u8 {
    var kind: ?O = null;
    var value: ?O = null;
    var trace: ?O = null;
    py.PyErr_Fetch(&kind, &value, &trace);
    py.PyErr_NormalizeException(&kind, &value, &trace);
    defer {
        py.PyErr_Restore(kind, value, trace);
        fault.absorb(); // an Exception is forgotten, Ctrl-C is not
    }
    var w = Writer.init(buffer);
    const name = if (kind) |k| py.PyObject_GetAttrString(k, "__name__") else null;
    defer py.Py_DecRef(name);
    if (name) |n| {
        if (py.has_flag(py.type_of(n), py.subclass_unicode)) {
            const text = Text.of(n);
            defer text.release();
            w.raw_unchecked(wire.utf8_prefix(text.bytes, 100));
        }
    }
    py.PyErr_Clear();
    if (value) |v| {
        const text = Text.of_object(v, fault);
        defer text.release();
        if (text.bytes.len > 0) {
            w.raw_unchecked(": ");
            w.raw_unchecked(wire.utf8_prefix(text.bytes, 400));
        }
    }
    return w.written();
}

/// Whether all attributes can be written one behind the other, with no name twice, none of ours replaced and no limit
/// in the way.
inline fn is_simple(call: *const Call, shape: ?*site.Shape, sets: *const Sets) bool {
    const own_count_max = 9;
    var count = own_count_max + call.named;
    var bits: u64 = 0;
    if (shape) |s| {
        if (s.reserved) return false;
        bits = s.bits;
    } else for (0..call.named) |i| {
        const name = Text.of(py.PyTuple_GetItem(call.names.?, @intCast(i)).?);
        defer name.release();
        if (name.owner != null or name.bytes.len == 0 or record.is_reserved(name.bytes)) return false;
        bits |= record.name_bit(name.bytes);
    }
    for (sets.all()) |maybe| {
        const set = maybe orelse continue;
        if (set.bytes == null or set.reserved or set.bits & bits != 0) return false;
        bits |= set.bits;
        count += set.count;
    }
    return count <= call.state.limits.attribute_count and call.state.limits.value_length == 0;
}

/// The keyword arguments of a simple call; returns how many were dropped for their size.
inline fn put_named(call: *const Call, shape: ?*site.Shape, encoder: *otlp.Encoder) usize {
    const count = call.named;
    const values = call.arguments + 1 + call.positional;
    var dropped: usize = 0;
    if (shape) |s| {
        var begin: usize = 0;
        for (0..count) |i| {
            const end = s.key_ends[i];
            dropped += attributes.put_sized(encoder, .{ .encoded = s.keys[begin..end] }, values[i]);
            begin = end;
        }
        return dropped;
    }
    for (0..count) |i| {
        const name = Text.of(py.PyTuple_GetItem(call.names.?, @intCast(i)).?);
        defer name.release();
        dropped += attributes.put_apart(encoder, name.bytes, values[i]);
    }
    return dropped;
}

/// {**extra, **context, **bound, **keywords}: the dict that a Python sink sees as record["extra"]. A new reference.
fn merge(call: *const Call, sets: *const Sets) ?O {
    var merged: ?O = null;
    for (sets.all()) |maybe| {
        const values = (maybe orelse continue).values.?;
        if (merged) |dict| {
            if (py.PyDict_Update(dict, values) >= 0) continue;
            py.Py_DecRef(dict);
            return null;
        }
        merged = py.PyDict_Copy(values) orelse return null;
    }
    const extra = merged orelse py.PyDict_New() orelse return null;
    const values = call.arguments + 1 + call.positional;
    for (0..call.named) |i| {
        if (py.PyDict_SetItem(extra, py.PyTuple_GetItem(call.names.?, @intCast(i)).?, values[i]) < 0) {
            py.Py_DecRef(extra);
            return null;
        }
    }
    return extra;
}

/// Hand the call to Python: opt(), exceptions, levels of the user, and whatever else is not plain.
noinline fn python_way(call: *const Call, level: O, with_exception: bool) ?O {
    const dispatch = call.dispatcher.dispatch orelse return py.none();
    const args = fmt.tuple_of(call.arguments + 1, call.positional) orelse return null;
    defer py.Py_DecRef(args);
    const kwargs = fmt.dict_of(call.arguments + 1 + call.positional, call.names) orelse return null;
    defer py.Py_DecRef(kwargs);
    py.Py_IncRef(dispatch);
    defer py.Py_DecRef(dispatch);
    const flag: O = if (with_exception) &py._Py_TrueStruct else &py._Py_FalseStruct;
    const end: ?O = null;
    const logger: O = @ptrCast(call.logger);
    return py.PyObject_CallFunctionObjArgs(dispatch, logger, level, call.arguments[0], args, kwargs, flag, end);
}

/// Level methods, and what they need: their dispatcher, bound attributes, options of opt().
pub const Logger = extern struct {
    head: py.Object,
    dispatcher: ?*Dispatcher,
    bound: ?*AttrSet,
    options: ?O,
};

pub const log_flags = py.METH_FASTCALL | py.METH_KEYWORDS;

pub fn log_at(comptime level: *const Level) *const anyopaque {
    return @ptrCast(&struct {
        fn log(self: O, arguments: [*]const O, count: isize, names: ?O) callconv(.c) ?O {
            const logger: *Logger = @ptrCast(self);
            const dispatcher = logger.dispatcher.?;
            if (count < 1) return py.type_error(level.method ++ "() missing 1 required positional argument: 'message'");
            if (level.no < dispatcher.threshold) return py.none();
            return log_enabled(&.{
                .logger = logger,
                .dispatcher = dispatcher,
                .state = dispatcher.state,
                .level = level,
                .arguments = arguments,
                .positional = @intCast(count - 1),
                .names = names,
                .named = count_names(names),
            });
        }
    }.log);
}

/// log(level, message, *args, **kwargs): a name of ours goes the plain way.
pub fn log_by_name(self: O, arguments: [*]const O, count: isize, names: ?O) callconv(.c) ?O {
    const logger: *Logger = @ptrCast(self);
    const dispatcher = logger.dispatcher.?;
    if (count < 2) return py.type_error("log() missing required positional arguments: 'level' and 'message'");
    if (dispatcher.threshold == shared.level_off) return py.none(); // as in loguru, before the level is looked at
    var call = Call{
        .logger = logger,
        .dispatcher = dispatcher,
        .state = dispatcher.state,
        .level = level_error,
        .arguments = arguments + 1,
        .positional = @intCast(count - 2),
        .names = names,
        .named = count_names(names),
    };
    for (&levels) |*level| {
        if (arguments[0] != level_name(level)) continue; // interned, as literals are; others are found by Python
        if (level.no < dispatcher.threshold) return py.none();
        call.level = level;
        return log_enabled(&call);
    }
    // Python looks the level up first: as in loguru, an unknown one is an error of a disabled module, too.
    return python_way(&call, arguments[0], false);
}

/// exception(message, *args, **kwargs): error, with the exception being handled.
pub fn exception(self: O, arguments: [*]const O, count: isize, names: ?O) callconv(.c) ?O {
    const logger: *Logger = @ptrCast(self);
    const dispatcher = logger.dispatcher.?;
    if (count < 1) return py.type_error("exception() missing 1 required positional argument: 'message'");
    if (level_error.no < dispatcher.threshold) return py.none();
    const call = Call{
        .logger = logger,
        .dispatcher = dispatcher,
        .state = dispatcher.state,
        .level = level_error,
        .arguments = arguments,
        .positional = @intCast(count - 1),
        .names = names,
        .named = count_names(names),
    };
    return in_python(&call, level_name(level_error), true);
}

/// The Python way, unless the caller's module is disabled.
fn in_python(call: *const Call, level: O, with_exception: bool) ?O {
    // opt(depth=…) may name another module: Python looks for itself.
    if (call.logger.options == null and !(call.dispatcher.is_active() orelse return null)) return py.none();
    return python_way(call, level, with_exception);
}

/// LoggerBase(dispatcher, bound=None, options=None)
pub fn new(t: *py.TypeObject, args: O, _: ?O) callconv(.c) ?O {
    const count = py.PyTuple_Size(args);
    if (count < 1 or count > 3) return py.type_error("Logger takes (dispatcher, bound=None, options=None)");
    const dispatcher = py.PyTuple_GetItem(args, 0).?;
    if (py.PyType_IsSubtype(py.type_of(dispatcher), dispatcher_type.*.?) == 0)
        return py.type_error("Logger: dispatcher must be a Dispatcher");
    const bound = if (count > 1) py.PyTuple_GetItem(args, 1).? else &py._Py_NoneStruct;
    const options = if (count > 2) py.PyTuple_GetItem(args, 2).? else &py._Py_NoneStruct;
    if (!py.is_none(bound) and py.type_of(bound) != context.attr_set_type.?)
        return py.type_error("Logger: bound must be an AttrSet or None");
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const logger: *Logger = @ptrCast(self);
    logger.dispatcher = @ptrCast(py.new_ref(dispatcher));
    logger.bound = if (py.is_none(bound)) null else @ptrCast(py.new_ref(bound));
    logger.options = if (py.is_none(options)) null else py.new_ref(options);
    return self;
}
pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const logger: *Logger = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ @ptrCast(logger.dispatcher), @ptrCast(logger.bound), logger.options, kind }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(self: O) callconv(.c) c_int {
    // The dispatcher stays: a destructor may still log.
    const logger: *Logger = @ptrCast(self);
    py.clear(&logger.options);
    py.clear(@ptrCast(&logger.bound));
    return 0;
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const logger: *Logger = @ptrCast(self);
    _ = clear(self);
    py.clear(@ptrCast(&logger.dispatcher));
    context.free_instance(self);
}
pub fn get_dispatcher(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(@ptrCast(@as(*Logger, @ptrCast(self)).dispatcher));
}
pub fn get_bound(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(@ptrCast(@as(*Logger, @ptrCast(self)).bound));
}
pub fn get_options(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(@as(*Logger, @ptrCast(self)).options);
}
fn optional(object: ?O) ?O {
    return py.new_ref(object orelse &py._Py_NoneStruct);
}
