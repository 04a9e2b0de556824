//! Event: one log call on its way to Python sinks. What costs something is made when it is first asked for.

const std = @import("std");
const py = @import("py.zig");
const otlp = @import("otlp.zig");
const context = @import("context.zig");
const moment = @import("moment.zig");
const shared = @import("state.zig");
const Dispatcher = @import("dispatcher.zig").Dispatcher;
const dispatcher_type = &@import("dispatcher.zig").dispatcher_type;
const O = py.O;
const TraceField = context.TraceField;

pub const Event = extern struct {
    head: py.Object,
    time_ns: i64,
    elapsed_ns: i64,
    /// (name, number, icon): record["level"].
    level: ?O,
    /// The message, and the message as text sinks print it; str.
    message: ?O,
    shown: ?O,
    /// (name, function, line, path, qualified name); null: no Python code called.
    site: ?O,
    /// A dict of the event's own; null: empty, and not made yet.
    extra: ?O,
    exception: ?O,
    thread_id: u64,
    thread_name: ?O,
    /// Trace id, span id and flags as a record's fields 8 to 10.
    ids: [TraceField.size_max]u8,
    ids_len: u8,
    /// Counted by its level.
    is_counted: bool,
    /// loguru's dict, once somebody asked for it.
    record: ?O,

    pub fn ids_of(event: *const Event) ?context.Ids {
        return context.Ids.of(event.ids[0..event.ids_len]);
    }
};
pub var event_type: ?*py.TypeObject = null;

/// make_record(event) -> dict, and current_process() -> (id, name).
var make_record: ?O = null;
pub var current_process: ?O = null;

pub const Parts = struct {
    state: *shared.State,
    time_ns: i64,
    level: O,
    message: O,
    shown: O,
    site: ?O,
    /// Given away to the event.
    extra: ?O,
    exception: ?O = null,
    ids: []const u8,
};

/// A new event in the current thread; null: a Python error is set.
pub fn make(parts: *const Parts, fault: *py.Fault) ?*Event {
    const self = py.PyType_GenericAlloc(event_type.?, 0) orelse {
        py.Py_DecRef(parts.extra);
        return null;
    };
    const event: *Event = @ptrCast(self);
    event.time_ns = parts.time_ns;
    event.elapsed_ns = parts.time_ns -| moment.start_ns;
    event.level = py.new_ref(parts.level);
    event.message = py.new_ref(parts.message);
    event.shown = py.new_ref(parts.shown);
    event.site = parts.site;
    event.extra = parts.extra;
    event.exception = parts.exception;
    py.Py_IncRef(event.site);
    py.Py_IncRef(event.exception);
    @memcpy(event.ids[0..parts.ids.len], parts.ids);
    event.ids_len = @intCast(parts.ids.len);
    const thread = parts.state.threads.current(fault);
    event.thread_id = thread.ident;
    event.thread_name = thread.name;
    py.Py_IncRef(event.thread_name);
    return event;
}

/// Event(dispatcher, time_ns, level, message, shown, site, extra, exception)
pub fn new(_: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    if (py.PyTuple_Size(args) != 8 or (if (kwargs) |k| py.PyDict_Size(k) != 0 else false))
        return py.type_error("Event takes (dispatcher, time_ns, level, message, shown, site, extra, exception)");
    var items: [8]O = undefined;
    for (&items, 0..) |*item, i| item.* = py.PyTuple_GetItem(args, @intCast(i)).?;
    const dispatcher, const time, const level, const message, const shown, const site, const extra, const exception = items;
    if (py.PyType_IsSubtype(py.type_of(dispatcher), dispatcher_type.*.?) == 0)
        return py.type_error("Event: dispatcher must be a Dispatcher");
    if (!is_level(level)) return py.type_error("Event: level must be a tuple (name, no, icon)");
    if (!is_text(message) or !is_text(shown)) return py.type_error("Event: message and shown must be str");
    if (!py.is_none(site) and !is_site(site))
        return py.type_error("Event: site must be a tuple (name, function, line, path, qualified name) or None");
    if (!is_dict(extra)) return py.type_error("Event: extra must be a dict");
    const time_ns = py.PyLong_AsLongLong(time);
    if (time_ns == -1 and py.PyErr_Occurred() != null) return null;
    const state = @as(*Dispatcher, @ptrCast(dispatcher)).state;
    var fault = py.Fault{};
    const surrounding = py.context_var_get(state.context_var.?);
    defer py.Py_DecRef(surrounding);
    var field = TraceField{};
    field.keep(state.trace.read(&field, context.attr_set_of(surrounding), &fault));
    const event = make(&.{
        .state = state,
        .time_ns = time_ns,
        .level = level,
        .message = message,
        .shown = shown,
        .site = if (py.is_none(site)) null else site,
        .extra = py.new_ref(extra),
        .exception = if (py.is_none(exception)) null else exception,
        .ids = field.bytes[0..field.len],
    }, &fault);
    if (fault.restore()) {
        py.Py_DecRef(@ptrCast(event));
        return null;
    }
    return @ptrCast(event);
}
fn is_text(object: O) bool {
    return py.has_flag(py.type_of(object), py.subclass_unicode);
}
fn is_dict(object: O) bool {
    return py.has_flag(py.type_of(object), py.subclass_dict);
}
fn is_level(object: O) bool {
    return py.has_flag(py.type_of(object), py.subclass_tuple) and py.PyTuple_Size(object) >= 3;
}
fn is_site(object: O) bool {
    return py.has_flag(py.type_of(object), py.subclass_tuple) and py.PyTuple_Size(object) >= 5;
}

pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const event: *Event = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    const held = [_]?O{ event.level, event.message, event.shown, event.site, event.extra, event.exception, event.thread_name, event.record, kind };
    for (held) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(self: O) callconv(.c) c_int {
    // Those that may hold the event; a destructor may still ask it for the others.
    const event: *Event = @ptrCast(self);
    py.clear(&event.extra);
    py.clear(&event.exception);
    py.clear(&event.record);
    return 0;
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const event: *Event = @ptrCast(self);
    _ = clear(self);
    for ([_]*?O{ &event.level, &event.message, &event.shown, &event.site, &event.thread_name }) |field| py.clear(field);
    context.free_instance(self);
}

// ---------------------------------------------------------------------------------------------------- attributes

fn of(self: O) *Event {
    return @ptrCast(self);
}
fn optional(object: ?O) ?O {
    return py.new_ref(object orelse &py._Py_NoneStruct);
}
fn get_time_ns(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.PyLong_FromLongLong(of(self).time_ns);
}
fn get_elapsed_ns(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.PyLong_FromLongLong(of(self).elapsed_ns);
}
fn get_level(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(of(self).level);
}
fn get_message(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(of(self).message);
}
fn get_shown(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(of(self).shown);
}
fn get_site(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(of(self).site);
}
fn get_extra(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const event = of(self);
    if (event.extra == null) event.extra = py.PyDict_New() orelse return null;
    return py.new_ref(event.extra.?);
}
fn get_exception(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(of(self).exception);
}
fn get_thread_id(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.PyLong_FromUnsignedLongLong(of(self).thread_id);
}
fn get_thread_name(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.new_ref(of(self).thread_name orelse return py.PyUnicode_FromStringAndSize("", 0));
}
/// (trace id, span id or None, flags), the ids in hexadecimal; None without a span.
fn get_ids(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const ids = of(self).ids_of() orelse return py.none();
    const trace = std.fmt.bytesToHex(ids.trace, .lower);
    const parts = [_]?O{
        py.PyUnicode_FromStringAndSize(&trace, trace.len),
        if (ids.span) |bytes| span: {
            const span = std.fmt.bytesToHex(bytes, .lower);
            break :span py.PyUnicode_FromStringAndSize(&span, span.len);
        } else py.none(),
        py.PyLong_FromUnsignedLongLong(ids.flags),
    };
    return py.tuple(&parts);
}
fn get_has_record(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.boolean(of(self).record != null);
}
fn get_record(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const event = of(self);
    if (event.record) |record| return py.new_ref(record);
    const make_it = py.new_ref(make_record orelse {
        py.PyErr_SetString(py.PyExc_RuntimeError, "set_event_makers was not called");
        return null;
    });
    defer py.Py_DecRef(make_it);
    const end: ?O = null;
    const made = py.PyObject_CallFunctionObjArgs(make_it, self, end) orelse return null;
    if (event.record) |record| { // made by another thread meanwhile: there is one record
        py.Py_DecRef(made);
        return py.new_ref(record);
    }
    event.record = made;
    return py.new_ref(made);
}

/// What may stand in a settable attribute.
const Kind = enum { text, dict, level, any };

fn setter(comptime name: [:0]const u8, comptime kind: Kind) py.Setter {
    return &struct {
        fn set(self: O, value: ?O, _: ?*anyopaque) callconv(.c) c_int {
            const fits = if (value) |v| switch (kind) {
                .text => is_text(v),
                .dict => is_dict(v),
                .level => is_level(v),
                .any => true,
            } else false;
            if (!fits) {
                py.PyErr_SetString(py.PyExc_TypeError, "Event." ++ name ++ " must be " ++ switch (kind) {
                    .text => "a str",
                    .dict => "a dict",
                    .level => "a tuple (name, no, icon)",
                    .any => "given, it cannot be deleted",
                });
                return -1;
            }
            const field = &@field(of(self), name);
            const old = field.*;
            field.* = if (kind == .any and py.is_none(value.?)) null else py.new_ref(value.?);
            py.Py_DecRef(old);
            return 0;
        }
    }.set;
}

pub var getset = [_]py.GetSetDef{
    .{ .name = "time_ns", .get = &get_time_ns },
    .{ .name = "elapsed_ns", .get = &get_elapsed_ns },
    .{ .name = "level", .get = &get_level, .set = setter("level", .level) },
    .{ .name = "message", .get = &get_message, .set = setter("message", .text) },
    .{ .name = "shown", .get = &get_shown, .set = setter("shown", .text) },
    .{ .name = "site", .get = &get_site },
    .{ .name = "extra", .get = &get_extra, .set = setter("extra", .dict) },
    .{ .name = "exception", .get = &get_exception, .set = setter("exception", .any) },
    .{ .name = "thread_id", .get = &get_thread_id },
    .{ .name = "thread_name", .get = &get_thread_name },
    .{ .name = "ids", .get = &get_ids },
    .{ .name = "has_record", .get = &get_has_record },
    .{ .name = "record", .get = &get_record, .set = setter("record", .any) },
    .{},
};

/// set_event_makers(make_record, current_process, utc_offset)
pub fn module_set_event_makers(_: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 3) return py.type_error("set_event_makers takes (make_record, current_process, utc_offset)");
    for (arguments[0..3]) |callable| {
        if (py.PyCallable_Check(callable) == 0) return py.type_error("set_event_makers takes three callables");
    }
    const old = [_]?O{ make_record, current_process };
    make_record = py.new_ref(arguments[0]);
    current_process = py.new_ref(arguments[1]);
    moment.set_utc_offset(arguments[2]);
    for (old) |object| py.Py_DecRef(object);
    return py.none();
}
