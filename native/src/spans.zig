//! Ended spans of OpenTelemetry's SDK, byte for byte as its official encoder writes them. That encoder keeps the spans
//! that are not in the plain form: nothing of the user's is called here, and nothing is put right.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const limits = @import("limits.zig");
const O = py.O;
const Writer = wire.Writer;
const Error = wire.Error || error{
    /// The official encoder has to look at this span.
    NotPlain,
};

/// A longer span is not plain.
const size_max = 64 << 20;
const value_depth_max = 8;
const no_limits = limits.Limits{};

/// The SDK's own classes; a subclass may answer otherwise than from its fields.
const Kinds = struct {
    span: O,
    attributes: O,
    list: O,
    deque: O,
    context: O,
    state: O,
    event: O,
    link: O,
    status: O,
    code: O,
    kind: O,
};
var kinds: ?Kinds = null;

/// Where their instances keep what their properties return.
const Name = enum {
    _name,
    _context,
    _parent,
    _kind,
    _start_time,
    _end_time,
    _attributes,
    _events,
    _links,
    _status,
    _status_code,
    _description,
    _timestamp,
    _value_,
    _dict,
    _dq,
    dropped,
};
var names: [@typeInfo(Name).@"enum".fields.len]O = undefined;
var sixty_four: O = undefined;

/// set_span_types(ReadableSpan, BoundedAttributes, BoundedList, deque, SpanContext, TraceState, Event, Link, Status,
/// StatusCode, SpanKind)
pub fn module_set_span_types(_: ?O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    const fields = @typeInfo(Kinds).@"struct".fields;
    if (count != fields.len) return py.type_error("set_span_types takes 11 classes");
    for (arguments[0..fields.len]) |class| {
        if (!py.has_flag(py.type_of(class), py.subclass_type)) return py.type_error("set_span_types takes 11 classes");
    }
    inline for (@typeInfo(Name).@"enum".fields) |field|
        names[field.value] = py.PyUnicode_InternFromString(field.name) orelse return null;
    sixty_four = py.PyLong_FromLong(64) orelse return null;
    var given: Kinds = undefined;
    // What was set before stays referenced: the SDK is loaded once in a process.
    inline for (fields, 0..) |field, i| @field(given, field.name) = py.new_ref(arguments[i]);
    kinds = given;
    return py.none();
}

/// encode_span(span) -> the field `spans` of ScopeSpans, or None when the span is not plain
pub fn module_encode_span(_: O, span: O) callconv(.c) ?O {
    const known = kinds orelse return py.none();
    var fault = py.Fault{};
    var scratch: [4096]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    w.size_max = size_max;
    var encoder = Encoder{ .w = &w, .kinds = &known, .values = .{ .w = &w, .limits = &no_limits, .fault = &fault } };
    const result = encoder.put_span(span);
    if (fault.restore()) return null;
    result catch {
        py.PyErr_Clear();
        return py.none();
    };
    const size = 1 + wire.varint_size(w.len) + w.len;
    const field = py.PyBytes_FromStringAndSize(null, @intCast(size)) orelse return null;
    var c = wire.Cursor{ .at = py.PyBytes_AsString(field).? };
    c.byte(0x12);
    c.varint(w.len);
    c.raw(w.written());
    return field;
}

const Encoder = struct {
    w: *Writer,
    kinds: *const Kinds,
    values: otlp.Encoder,

    fn put_span(e: *Encoder, span: O) Error!void {
        try expect(span, e.kinds.span);
        const context = try get(span, ._context);
        defer py.Py_DecRef(context);
        try expect(context, e.kinds.context);
        try e.put_trace_id(try part(context, 0));
        try e.put_span_id(0x12, try part(context, 1));
        try e.put_trace_state(try part(context, 4));
        const parent = try get(span, ._parent);
        defer py.Py_DecRef(parent);
        if (!py.is_none(parent)) {
            try expect(parent, e.kinds.context);
            try e.put_span_id(0x22, try part(parent, 1));
        }
        try e.put_text(0x2a, span, ._name);
        try e.put_number(0x30, 1 + try e.enumerated(span, ._kind, e.kinds.kind, 4));
        try e.put_time(0x39, span, ._start_time);
        try e.put_time(0x41, span, ._end_time);
        try e.put_attributes(9, span);
        try e.put_items(11, span, ._events, put_event);
        try e.put_items(13, span, ._links, put_link);
        try e.put_status(span);
        try e.w.raw(&.{ 0x85, 0x01 });
        try e.put_flags(parent);
    }

    fn put_event(e: *Encoder, event: O) Error!void {
        try expect(event, e.kinds.event);
        try e.put_time(0x09, event, ._timestamp);
        try e.put_text(0x12, event, ._name);
        try e.put_attributes(3, event);
    }

    fn put_link(e: *Encoder, link: O) Error!void {
        try expect(link, e.kinds.link);
        const context = try get(link, ._context);
        defer py.Py_DecRef(context);
        try expect(context, e.kinds.context);
        try e.put_trace_id(try part(context, 0));
        try e.put_span_id(0x12, try part(context, 1));
        try e.put_attributes(4, link);
        try e.w.byte(0x35);
        try e.put_flags(context);
    }

    fn put_status(e: *Encoder, span: O) Error!void {
        const status = try get(span, ._status);
        defer py.Py_DecRef(status);
        try expect(status, e.kinds.status);
        const begin = try e.open(0x7a);
        try e.put_text(0x12, status, ._description);
        try e.put_number(0x18, try e.enumerated(status, ._status_code, e.kinds.code, 2));
        try e.w.patch_length(begin);
    }

    /// Bit 8: bit 9 says whether `context` is remote. None is not.
    fn put_flags(e: *Encoder, context: O) Error!void {
        var flags: u32 = 0x100;
        if (!py.is_none(context)) {
            const is_remote = try part(context, 2);
            if (py.type_of(is_remote) != &py.PyBool_Type) return error.NotPlain;
            if (is_remote == @as(O, &py._Py_TrueStruct)) flags |= 0x200;
        }
        try e.w.ensure(4);
        e.w.fixed32_unchecked(flags);
    }

    fn put_trace_id(e: *Encoder, id: O) Error!void {
        if (py.type_of(id) != &py.PyLong_Type) return error.NotPlain;
        const high_part = py.PyNumber_Rshift(id, sixty_four) orelse return error.NotPlain;
        defer py.Py_DecRef(high_part);
        const high = try whole(high_part);
        var bytes: [18]u8 = .{ 0x0a, 16 } ++ .{0} ** 16;
        std.mem.writeInt(u64, bytes[2..10], high, .big);
        std.mem.writeInt(u64, bytes[10..18], py.PyLong_AsUnsignedLongLongMask(id), .big);
        try e.w.raw(&bytes);
    }

    fn put_span_id(e: *Encoder, tag: u8, id: O) Error!void {
        var bytes: [10]u8 = .{ tag, 8 } ++ .{0} ** 8;
        std.mem.writeInt(u64, bytes[2..10], try whole(id), .big);
        try e.w.raw(&bytes);
    }

    fn put_trace_state(e: *Encoder, state: O) Error!void {
        try expect(state, e.kinds.state);
        const entries = try get(state, ._dict);
        defer py.Py_DecRef(entries);
        if (!py.has_flag(py.type_of(entries), py.subclass_dict)) return error.NotPlain;
        if (py.PyDict_Size(entries) == 0) return;
        if (py.type_of(entries) != &py.PyDict_Type) return error.NotPlain; // an OrderedDict has an order of its own
        const start = try e.open(0x1a);
        var position: isize = 0;
        var key: ?O = null;
        var value: ?O = null;
        while (py.PyDict_Next(entries, &position, &key, &value) != 0) {
            if (e.w.len > start + 1) try e.w.byte(',');
            try e.w.raw(try text_of(key.?));
            try e.w.byte('=');
            try e.w.raw(try text_of(value.?));
        }
        try e.w.patch_length(start);
    }

    /// The attributes of a span, event or link, and in the next field how many were dropped.
    fn put_attributes(e: *Encoder, comptime field: u8, object: O) Error!void {
        const attributes = try get(object, ._attributes);
        defer py.Py_DecRef(attributes);
        if (py.is_none(attributes)) return;
        if (py.type_of(attributes) == &py.PyDict_Type) return e.put_entries(field << 3 | 2, attributes);
        try expect(attributes, e.kinds.attributes);
        const entries = try get(attributes, ._dict);
        defer py.Py_DecRef(entries);
        if (py.type_of(entries) != &py.PyDict_Type) return error.NotPlain;
        try e.put_entries(field << 3 | 2, entries);
        try e.put_dropped((field + 1) << 3, attributes);
    }

    fn put_entries(e: *Encoder, tag: u8, entries: O) Error!void {
        var position: isize = 0;
        var key: ?O = null;
        var value: ?O = null;
        while (py.PyDict_Next(entries, &position, &key, &value) != 0) {
            const text = try text_of(key.?);
            if (text.len == 0 or !is_plain(value.?, 0)) return error.NotPlain;
            try e.values.key_value(tag, .{ .text = text }, value.?);
        }
    }

    const Put = fn (*Encoder, O) Error!void;

    /// Events or links, and in the next field how many were dropped.
    fn put_items(e: *Encoder, comptime field: u8, span: O, name: Name, comptime put: Put) Error!void {
        const list = try get(span, name);
        defer py.Py_DecRef(list);
        try expect(list, e.kinds.list);
        const items = try get(list, ._dq);
        defer py.Py_DecRef(items);
        try expect(items, e.kinds.deque);
        if (py.PyObject_IsTrue(items) == 1) {
            const iterator = py.PyObject_GetIter(items) orelse return error.NotPlain;
            defer py.Py_DecRef(iterator);
            while (py.PyIter_Next(iterator)) |item| {
                defer py.Py_DecRef(item);
                const start = try e.open(field << 3 | 2);
                try put(e, item);
                try e.w.patch_length(start);
            }
            if (py.PyErr_Occurred() != null) return error.NotPlain;
        }
        try e.put_dropped((field + 1) << 3, list);
    }

    fn put_dropped(e: *Encoder, tag: u8, object: O) Error!void {
        const dropped = try get(object, .dropped);
        defer py.Py_DecRef(dropped);
        const number = try whole(dropped);
        if (number > std.math.maxInt(u32)) return error.NotPlain;
        try e.put_number(tag, number);
    }

    fn put_time(e: *Encoder, tag: u8, object: O, name: Name) Error!void {
        const time = try get(object, name);
        defer py.Py_DecRef(time);
        if (py.is_none(time)) return;
        const time_ns = try whole(time);
        if (time_ns == 0) return;
        try e.w.ensure(9);
        e.w.byte_unchecked(tag);
        e.w.fixed64_unchecked(time_ns);
    }

    fn put_text(e: *Encoder, tag: u8, object: O, name: Name) Error!void {
        const string = try get(object, name);
        defer py.Py_DecRef(string);
        if (py.is_none(string)) return;
        const text = try text_of(string);
        if (text.len == 0) return;
        try e.w.ensure(1 + wire.varint_size_max + text.len);
        e.w.byte_unchecked(tag);
        e.w.varint_unchecked(text.len);
        e.w.raw_unchecked(text);
    }

    fn put_number(e: *Encoder, tag: u8, number: u64) Error!void {
        if (number == 0) return;
        try e.w.ensure(1 + wire.varint_size_max);
        e.w.byte_unchecked(tag);
        e.w.varint_unchecked(number);
    }

    /// The number of an enumeration's member.
    fn enumerated(_: *Encoder, object: O, name: Name, class: O, number_max: u64) Error!u64 {
        const member = try get(object, name);
        defer py.Py_DecRef(member);
        try expect(member, class);
        const value = try get(member, ._value_);
        defer py.Py_DecRef(value);
        const number = try whole(value);
        return if (number <= number_max) number else error.NotPlain;
    }

    /// Begin a message; its length goes to where this says.
    fn open(e: *Encoder, tag: u8) Error!usize {
        try e.w.ensure(2);
        e.w.byte_unchecked(tag);
        e.w.byte_unchecked(0);
        return e.w.len - 1;
    }
};

fn get(object: O, name: Name) Error!O {
    return py.PyObject_GetAttr(object, names[@intFromEnum(name)]) orelse error.NotPlain;
}
fn expect(object: O, class: O) Error!void {
    if (@as(O, @ptrCast(@alignCast(py.type_of(object)))) != class) return error.NotPlain;
}
/// A field of a SpanContext; borrowed.
fn part(context: O, index: isize) Error!O {
    return py.PyTuple_GetItem(context, index) orelse error.NotPlain;
}
fn whole(object: O) Error!u64 {
    if (py.type_of(object) != &py.PyLong_Type) return error.NotPlain;
    const number = py.PyLong_AsUnsignedLongLong(object);
    if (number == std.math.maxInt(u64) and py.PyErr_Occurred() != null) return error.NotPlain;
    return number;
}
fn text_of(object: O) Error![]const u8 {
    if (py.type_of(object) != &py.PyUnicode_Type) return error.NotPlain;
    return otlp.utf8(object) orelse error.NotPlain;
}

/// Whether otlp.Encoder writes `value` as the official encoder does: it puts right what that one refuses.
fn is_plain(value: O, depth: u8) bool {
    const t = py.type_of(value);
    const flags = py.PyType_GetFlags(t);
    if (flags & py.subclass_unicode != 0) {
        const text = otlp.utf8(value) orelse return false;
        return text.len <= limits.text_size_max;
    }
    if (flags & py.subclass_long != 0) {
        var overflow: c_int = 0;
        _ = py.PyLong_AsLongLongAndOverflow(value, &overflow);
        return overflow == 0;
    }
    if (t == &py.PyTuple_Type and depth < value_depth_max) {
        var i: isize = 0;
        while (i < py.PyTuple_Size(value)) : (i += 1) {
            if (!is_plain(py.PyTuple_GetItem(value, i) orelse return false, depth + 1)) return false;
        }
        return true;
    }
    return t == &py.PyFloat_Type or py.PyType_IsSubtype(t, &py.PyFloat_Type) != 0;
}
