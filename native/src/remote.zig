//! The remote parent of a request: a `traceparent` in its plain form becomes an OpenTelemetry context at once.
//! Every other form is the propagator's to judge.

const std = @import("std");
const py = @import("py.zig");
const Text = @import("otlp.zig").Text;
const surroundings = @import("context.zig");
const TraceCache = surroundings.TraceCache;
const TraceField = surroundings.TraceField;
const O = py.O;

/// OpenTelemetry's own classes and constants; set once its API is loaded.
var api: ?Api = null;
const Api = struct { span_context: O, span: O, context: O, flags: O, state: O, span_key: O, shift: O, tuple_new: New, object_new: New, span_field: ?O };
const New = *const fn (*py.TypeObject, O, ?O) callconv(.c) ?O;

/// set_trace_api(SpanContext, NonRecordingSpan, Context, flags, trace_state, span_key)
pub fn module_set_trace_api(_: ?O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 6) return py.type_error("set_trace_api takes (SpanContext, NonRecordingSpan, Context, flags, trace_state, span_key)");
    const flags = arguments[3];
    if (!py.has_flag(py.type_of(flags), py.subclass_tuple) or py.PyTuple_Size(flags) != 256)
        return py.type_error("set_trace_api: flags must be a tuple of all 256 TraceFlags");
    const shift = py.PyLong_FromLong(64) orelse return null;
    const tuple_new = py.PyType_GetSlot(&py.PyTuple_Type, py.slot_new).?;
    for (arguments[0..6]) |object| py.Py_IncRef(object);
    // What was set before stays referenced: OpenTelemetry's API is loaded once in a process.
    api = .{
        .span_context = arguments[0],
        .span = arguments[1],
        .context = arguments[2],
        .flags = flags,
        .state = arguments[4],
        .span_key = arguments[5],
        .shift = shift,
        .tuple_new = @ptrCast(@alignCast(tuple_new)),
        .object_new = @ptrCast(@alignCast(py.PyType_GetSlot(&py.PyBaseObject_Type, py.slot_new).?)),
        .span_field = field_of_span(arguments[1]),
    };
    py.PyErr_Clear();
    return py.none();
}

/// The name of the one attribute in which a span of that class holds what it is made of; null: it does more than that.
fn field_of_span(kind: O) ?O {
    const probe = py.PyDict_New() orelse return null;
    defer py.Py_DecRef(probe);
    const span = py.call_one(kind, probe) orelse return null;
    defer py.Py_DecRef(span);
    const fields = py.PyObject_GenericGetDict(span, null) orelse return null;
    defer py.Py_DecRef(fields);
    var position: isize = 0;
    var name: ?O = null;
    var value: ?O = null;
    if (py.PyDict_Size(fields) != 1 or py.PyDict_Next(fields, &position, &name, &value) == 0 or value != probe) return null;
    return py.new_ref(name.?);
}

/// remote_context(traceparent, current) -> Context, or None when the header is not in its plain form
pub fn module_remote_context(_: ?O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("remote_context takes (traceparent, current)");
    const known = api orelse return py.none();
    if (!py.has_flag(py.type_of(arguments[0]), py.subclass_unicode)) return py.none();
    if (!py.has_flag(py.type_of(arguments[1]), py.subclass_dict)) return py.none();
    const text = Text.of(arguments[0]);
    defer text.release();
    const ids = parse(text.bytes) orelse return py.none();
    return make(&known, ids, arguments[1]);
}

/// The context of a plain traceparent in an empty one, whose ids `cache` knows from now on; null without a Python error:
/// the header is not in its plain form.
pub fn context_of(traceparent: O, empty: O, cache: *TraceCache) ?O {
    const known = api orelse return null;
    if (!py.has_flag(py.type_of(traceparent), py.subclass_unicode)) return null;
    const text = Text.of(traceparent);
    defer text.release();
    const ids = parse(text.bytes) orelse return null;
    const context = make(&known, ids, empty) orelse return null;
    var trace: [16]u8 = undefined;
    std.mem.writeInt(u64, trace[0..8], ids.trace_high, .big);
    std.mem.writeInt(u64, trace[8..16], ids.trace_low, .big);
    var span: [8]u8 = undefined;
    std.mem.writeInt(u64, &span, ids.span, .big);
    var field: TraceField = .{};
    field.set(ids.flags, trace, span);
    cache.know(context, field);
    return context;
}

fn make(known: *const Api, ids: Ids, current: O) ?O {
    const span_context = make_span_context(known, ids) orelse return null;
    defer py.Py_DecRef(span_context);
    const span = make_span(known, span_context) orelse return null;
    defer py.Py_DecRef(span);
    const context = py.PyObject_CallNoArgs(known.context) orelse return null;
    if ((py.PyDict_Size(current) > 0 and py.PyDict_Update(context, current) < 0) or
        py.PyDict_SetItem(context, known.span_key, span) < 0)
    {
        py.Py_DecRef(context);
        return null;
    }
    return context;
}

fn make_span(known: *const Api, span_context: O) ?O {
    const field = known.span_field orelse return py.call_one(known.span, span_context);
    const nothing = py.PyTuple_New(0) orelse return null; // the interpreter's one and only
    defer py.Py_DecRef(nothing);
    const span = known.object_new(@ptrCast(@alignCast(known.span)), nothing, null) orelse return null;
    if (py.PyObject_SetAttr(span, field, span_context) >= 0) return span;
    py.Py_DecRef(span);
    return null;
}

/// tuple.__new__(SpanContext, (trace_id, span_id, True, flags, state, True)), as its constructor does after its checks.
fn make_span_context(known: *const Api, ids: Ids) ?O {
    const trace_id = integer(known, ids.trace_high, ids.trace_low) orelse return null;
    defer py.Py_DecRef(trace_id);
    const span_id = py.PyLong_FromUnsignedLongLong(ids.span) orelse return null;
    defer py.Py_DecRef(span_id);
    const yes: O = @ptrCast(&py._Py_TrueStruct);
    const flags = py.PyTuple_GetItem(known.flags, ids.flags).?;
    const fields = py.tuple(&.{
        py.new_ref(trace_id), py.new_ref(span_id), py.new_ref(yes), py.new_ref(flags), py.new_ref(known.state), py.new_ref(yes),
    }) orelse return null;
    const arguments = py.tuple(&.{fields}) orelse return null;
    defer py.Py_DecRef(arguments);
    return known.tuple_new(@ptrCast(@alignCast(known.span_context)), arguments, null);
}

fn integer(known: *const Api, high: u64, low: u64) ?O {
    const high_part = py.PyLong_FromUnsignedLongLong(high) orelse return null;
    defer py.Py_DecRef(high_part);
    const shifted = py.PyNumber_Lshift(high_part, known.shift) orelse return null;
    defer py.Py_DecRef(shifted);
    const low_part = py.PyLong_FromUnsignedLongLong(low) orelse return null;
    defer py.Py_DecRef(low_part);
    return py.PyNumber_Or(shifted, low_part);
}

const Ids = struct { trace_high: u64, trace_low: u64, span: u64, flags: u8 };
const plain_size = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len;

/// Version 00 and nothing else, in lower case, with ids that are not zero.
fn parse(text: []const u8) ?Ids {
    if (text.len != plain_size or !std.mem.startsWith(u8, text, "00-") or text[35] != '-' or text[52] != '-') return null;
    const ids = Ids{
        .trace_high = hex(u64, text[3..19]) orelse return null,
        .trace_low = hex(u64, text[19..35]) orelse return null,
        .span = hex(u64, text[36..52]) orelse return null,
        .flags = hex(u8, text[53..55]) orelse return null,
    };
    return if ((ids.trace_high | ids.trace_low) == 0 or ids.span == 0) null else ids;
}

fn hex(comptime T: type, digits: []const u8) ?T {
    var number: T = 0;
    for (digits) |digit| {
        const value: T = switch (digit) {
            '0'...'9' => digit - '0',
            'a'...'f' => digit - 'a' + 10,
            else => return null,
        };
        number = (number << 4) | value;
    }
    return number;
}
