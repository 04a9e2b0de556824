//! LoggerBase: the level methods, and the road of a plain call. Begin reading at `log_enabled`.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const clock = @import("clock.zig");
const otlp = @import("otlp.zig");
const fmt = @import("fmt.zig");
const record = @import("record.zig");
const attributes = @import("attributes.zig");
const site = @import("site.zig");
const context = @import("context.zig");
const shared = @import("state.zig");
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
    state: *State,
    level: *const Level,
    /// The message at 0, then positional arguments, then the values that `names` names.
    arguments: [*]const O,
    positional: usize,
    names: ?O,
    named: usize,
};

inline fn count_names(names: ?O) usize {
    return if (names) |tuple| @intCast(py.PyTuple_Size(tuple)) else 0;
}

noinline fn log_enabled(call: *const Call) ?O {
    const state = call.state;
    if (call.level.no >= state.sink_level or call.logger.options != null)
        return python_way(call, level_name(call.level), false);
    if (state.mode != .on) {
        state.lose(&state.counters.dropped_shutdown);
        return py.none();
    }
    if (call.positional + call.named > 0 and
        !py.has_flag(py.type_of(call.arguments[0]), py.subclass_unicode))
        return python_way(call, level_name(call.level), false);
    var fault = py.Fault{};
    var scratch: [2048]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    w.size_max = record.size_max;
    if (write_plain(call, &w, &fault)) {
        state.commit(w.written(), &fault);
    } else |err| switch (err) {
        error.TooLarge => state.lose(&state.counters.dropped_too_large),
        error.Raised => { // asked for by format_errors="raise"
            if (py.PyErr_Occurred() != null) return null;
            state.lose(&state.counters.dropped_internal);
        },
    }
    if (fault.restore()) return null;
    return py.none();
}

/// The whole LogRecord of a plain call: time, level, body, attributes, ids.
fn write_plain(call: *const Call, w: *Writer, fault: *py.Fault) fmt.Error!void {
    const state = call.state;
    const time_ns = clock.now_ns();
    const place = state.sites.current();
    defer if (place) |p| p.release();
    const shape = if (place) |p| shape_of(p, call) else null;
    defer if (shape) |s| s.release();
    try record.put_head(w, time_ns, call.level.severity);

    const body = try record.begin_body(w);
    const template = if (shape) |s| Text{ .bytes = s.text } else template_text(call, fault);
    defer template.release();
    var complaint_buffer: [complaint_size_max]u8 = undefined;
    var complaint: []const u8 = "";
    const has_arguments = call.positional + call.named > 0;
    if (!has_arguments) try w.raw_cut(template.bytes) else fill_body(call, shape, template, w) catch |err| {
        if (err == error.TooLarge) return err;
        if (state.format_raises) return error.Raised;
        complaint = take_complaint(&complaint_buffer, fault);
        w.len = body;
        _ = try record.begin_body(w);
        try w.raw_cut(template.bytes);
    };
    const templated = has_arguments and !std.mem.eql(u8, record.body_text(w, body), template.bytes);
    try record.end_body(w, body);

    const surrounding = py.context_var_get(state.context_var.?);
    defer py.Py_DecRef(surrounding);
    const context_set = context.attr_set_of(surrounding);
    const bound_set = call.logger.bound;
    var parts = Parts{
        .template = if (templated) template.bytes else null,
        .arguments = call.arguments[1 .. 1 + call.positional],
        .complaint = complaint,
        .threads = &state.threads,
    };
    var dropped: usize = 0;
    var encoder = otlp.Encoder{ .w = w, .limits = &state.limits, .fault = fault };
    if (is_simple(call, shape, context_set, bound_set)) {
        if (shape != null and templated and call.positional == 0) {
            try w.raw(shape.?.template_and_code); // the usual call, prepared
            try attributes.put_thread(&encoder, &state.threads, true, true);
        } else {
            parts.code = if (place) |p| p.attributes else "";
            dropped += try attributes.put_own(&encoder, &parts);
        }
        if (context_set) |set| try w.raw(set.bytes.?[0..set.len]);
        if (bound_set) |set| try w.raw(set.bytes.?[0..set.len]);
        dropped += put_named(call, shape, &encoder);
    } else {
        const extra = merge(call, context_set, bound_set) orelse {
            fault.absorb();
            return error.TooLarge;
        };
        defer py.Py_DecRef(extra);
        const frame = py.PyEval_GetFrame();
        const described = if (place != null and frame != null) site.describe(place.?, frame.?) else null;
        defer py.Py_DecRef(described);
        parts.site = described;
        parts.extra = extra;
        parts.context = context_set;
        dropped += try attributes.put_all(&encoder, &parts);
    }
    var mark: context.TraceField = .{};
    const ids = state.trace.read(&mark, context_set, fault);
    try record.put_tail(w, dropped, ids, time_ns, "");
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
inline fn is_simple(call: *const Call, shape: ?*site.Shape, context_set: ?*AttrSet, bound_set: ?*AttrSet) bool {
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
    for ([_]?*AttrSet{ context_set, bound_set }) |maybe| {
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

/// {**context, **bound, **keywords}: the dict that a Python sink sees as record["extra"]. A new reference.
fn merge(call: *const Call, context_set: ?*AttrSet, bound_set: ?*AttrSet) ?O {
    const extra = py.PyDict_New() orelse return null;
    for ([_]?*AttrSet{ context_set, bound_set }) |maybe| {
        const set = maybe orelse continue;
        if (py.PyDict_Update(extra, set.values.?) < 0) {
            py.Py_DecRef(extra);
            return null;
        }
    }
    const values = call.arguments + 1 + call.positional;
    for (0..call.named) |i| {
        if (py.PyDict_SetItem(extra, py.PyTuple_GetItem(call.names.?, @intCast(i)).?, values[i]) < 0) {
            py.Py_DecRef(extra);
            return null;
        }
    }
    return extra;
}

/// Hand the call to Python: sinks, opt(), exceptions, levels of the user.
noinline fn python_way(call: *const Call, level: O, with_exception: bool) ?O {
    const dispatch = call.state.dispatch orelse return py.none();
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

/// Level methods, and what they need: the shared state, bound attributes, options of opt().
pub const Logger = extern struct {
    head: py.Object,
    state: *State,
    core: ?O,
    bound: ?*AttrSet,
    options: ?O,
};

pub const log_flags = py.METH_FASTCALL | py.METH_KEYWORDS;

pub fn log_at(comptime level: *const Level) *const anyopaque {
    return @ptrCast(&struct {
        fn log(self: O, arguments: [*]const O, count: isize, names: ?O) callconv(.c) ?O {
            const logger: *Logger = @ptrCast(self);
            if (level.no < logger.state.threshold) return py.none();
            if (count < 1) return py.type_error(level.method ++ "() missing 1 required positional argument: 'message'");
            return log_enabled(&.{
                .logger = logger,
                .state = logger.state,
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
    if (count < 2) return py.type_error("log() missing required positional arguments: 'level' and 'message'");
    if (logger.state.threshold == shared.level_off) return py.none(); // as in loguru, before the level is looked at
    var call = Call{
        .logger = logger,
        .state = logger.state,
        .level = level_error,
        .arguments = arguments + 1,
        .positional = @intCast(count - 2),
        .names = names,
        .named = count_names(names),
    };
    for (&levels) |*level| {
        if (arguments[0] != level_name(level)) continue; // interned, as literals are; others are found by Python
        if (level.no < logger.state.threshold) return py.none();
        call.level = level;
        return log_enabled(&call);
    }
    return python_way(&call, arguments[0], false);
}

/// exception(message, *args, **kwargs): error, with the exception being handled.
pub fn exception(self: O, arguments: [*]const O, count: isize, names: ?O) callconv(.c) ?O {
    const logger: *Logger = @ptrCast(self);
    if (level_error.no < logger.state.threshold) return py.none();
    if (count < 1) return py.type_error("exception() missing 1 required positional argument: 'message'");
    const call = Call{
        .logger = logger,
        .state = logger.state,
        .level = level_error,
        .arguments = arguments,
        .positional = @intCast(count - 1),
        .names = names,
        .named = count_names(names),
    };
    return python_way(&call, level_name(level_error), true);
}

/// LoggerBase(core, bound=None, options=None)
pub fn new(t: *py.TypeObject, args: O, _: ?O) callconv(.c) ?O {
    const count = py.PyTuple_Size(args);
    if (count < 1 or count > 3) return py.type_error("Logger takes (core, bound=None, options=None)");
    const core_object = py.PyTuple_GetItem(args, 0).?;
    if (py.type_of(core_object) != shared.core_type.?) return py.type_error("Logger: core must be a Core");
    const bound = if (count > 1) py.PyTuple_GetItem(args, 1).? else &py._Py_NoneStruct;
    const options = if (count > 2) py.PyTuple_GetItem(args, 2).? else &py._Py_NoneStruct;
    if (!py.is_none(bound) and py.type_of(bound) != context.attr_set_type.?)
        return py.type_error("Logger: bound must be an AttrSet or None");
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const logger: *Logger = @ptrCast(self);
    const core: *shared.Core = @ptrCast(core_object);
    logger.state = core.state;
    logger.core = py.new_ref(core_object);
    logger.bound = if (py.is_none(bound)) null else @ptrCast(py.new_ref(bound));
    logger.options = if (py.is_none(options)) null else py.new_ref(options);
    return self;
}
pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const logger: *Logger = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ logger.core, @ptrCast(logger.bound), logger.options, kind }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(self: O) callconv(.c) c_int {
    // `core` stays: `state` points into it, and a destructor may still log.
    const logger: *Logger = @ptrCast(self);
    py.clear(&logger.options);
    py.clear(@ptrCast(&logger.bound));
    return 0;
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const logger: *Logger = @ptrCast(self);
    _ = clear(self);
    py.clear(&logger.core);
    context.free_instance(self);
}
pub fn get_core(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(@as(*Logger, @ptrCast(self)).core);
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
