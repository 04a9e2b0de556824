//! Python values as JSON. No value makes it fail, but for one that outgrows the writer: what JSON has no word for comes
//! out as its text, a container that holds itself as `[...]` or `{...}`, NaN and the infinities as null.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const jsontext = @import("jsontext.zig");
const O = py.O;
const Writer = wire.Writer;
const Text = otlp.Text;
const Error = wire.Error;

/// Containers nested deeper than this are written as their text.
const depth_max = 100;
/// No line is larger: a value may hold another many times over.
const size_max = 256 << 20;

/// The containers around a value, innermost first.
const Outer = struct {
    container: O,
    outer: ?*const Outer,
    depth: usize,

    fn holds(chain: ?*const Outer, container: O) bool {
        var next = chain;
        while (next) |link| : (next = link.outer) {
            if (link.container == container) return true;
        }
        return false;
    }
};

pub fn put(w: *Writer, value: O, fault: *py.Fault) Error!void {
    return put_inside(w, value, null, fault);
}

fn put_inside(w: *Writer, value: O, outer: ?*const Outer, fault: *py.Fault) Error!void {
    const t = py.type_of(value);
    if (t == &py.PyUnicode_Type) {
        if (otlp.utf8(value)) |text| return jsontext.put_string(w, text);
    } else if (t == &py.PyLong_Type) {
        var overflow: c_int = 0;
        const number = py.PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow == 0) return w.decimal(number);
    }
    return put_rare(w, value, t, outer, fault);
}

fn put_rare(w: *Writer, value: O, t: *py.TypeObject, outer: ?*const Outer, fault: *py.Fault) Error!void {
    if (py.is_none(value)) return w.raw("null");
    if (t == &py.PyBool_Type) return w.raw(if (value == &py._Py_TrueStruct) "true" else "false");
    const flags = py.PyType_GetFlags(t);
    if (flags & py.subclass_unicode != 0) {
        const text = Text.of(value);
        defer text.release();
        return jsontext.put_string(w, text.bytes);
    }
    if (flags & py.subclass_long != 0) return put_long(w, value, fault);
    if (t == &py.PyFloat_Type or py.PyType_IsSubtype(t, &py.PyFloat_Type) != 0)
        return jsontext.put_float(w, py.PyFloat_AsDouble(value));
    const is_dict = flags & py.subclass_dict != 0;
    if (is_dict or flags & (py.subclass_list | py.subclass_tuple) != 0) {
        if (Outer.holds(outer, value)) return w.raw(if (is_dict) "\"{...}\"" else "\"[...]\"");
        const chain = Outer{ .container = value, .outer = outer, .depth = if (outer) |o| o.depth + 1 else 1 };
        if (chain.depth <= depth_max) {
            try w.byte(if (is_dict) '{' else '[');
            if (is_dict) _ = try put_entries(w, value, &.{}, &chain, fault) else try put_items(w, value, &chain, fault);
            return w.byte(if (is_dict) '}' else ']');
        }
    }
    const text = Text.of_object(value, fault);
    defer text.release();
    return jsontext.put_string(w, text.bytes);
}

/// The digits of an int (a subclass may print itself as something else).
fn put_long(w: *Writer, value: O, fault: *py.Fault) Error!void {
    var overflow: c_int = 0;
    const number = py.PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        fault.absorb();
        return w.decimal(number);
    }
    const digits = py.PyNumber_ToBase(value, 10) orelse { // more digits than sys.set_int_max_str_digits allows
        fault.absorb();
        const digits = py.PyNumber_ToBase(value, 16) orelse {
            fault.absorb();
            return w.raw("null");
        };
        defer py.Py_DecRef(digits);
        const text = Text.of(digits);
        defer text.release();
        return jsontext.put_string(w, text.bytes);
    };
    defer py.Py_DecRef(digits);
    const text = Text.of(digits);
    defer text.release();
    return w.raw(text.bytes);
}

fn put_items(w: *Writer, container: O, outer: *const Outer, fault: *py.Fault) Error!void {
    const is_list = py.has_flag(py.type_of(container), py.subclass_list);
    var i: isize = 0;
    while (i < (if (is_list) py.PyList_Size(container) else py.PyTuple_Size(container))) : (i += 1) {
        const item = (if (is_list) py.PyList_GetItem(container, i) else py.PyTuple_GetItem(container, i)) orelse
            return py.PyErr_Clear();
        if (i > 0) try w.byte(',');
        // The container may drop it while a foreign `__str__` runs, hence a reference of our own.
        py.Py_IncRef(item);
        defer py.Py_DecRef(item);
        try put_inside(w, item, outer, fault);
    }
}

/// `"key":value` of each entry, with commas between; null if a key is one of `reserved`.
fn put_entries(w: *Writer, dict: O, reserved: []const []const u8, outer: *const Outer, fault: *py.Fault) Error!?usize {
    var count: usize = 0;
    var position: isize = 0;
    var key: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(dict, &position, &key, &value) != 0) : (count += 1) {
        py.Py_IncRef(key);
        py.Py_IncRef(value);
        defer py.Py_DecRef(key);
        defer py.Py_DecRef(value);
        if (count > 0) try w.byte(',');
        const begin = w.len;
        try put_key(w, key.?, fault);
        for (reserved) |name| {
            if (std.mem.eql(u8, w.bytes[begin + 1 .. w.len - 1], name)) return null;
        }
        try w.byte(':');
        try put_inside(w, value.?, outer, fault);
    }
    return count;
}

/// A key is a string: None, booleans and numbers as JSON spells them, as in the stdlib's json.
fn put_key(w: *Writer, key: O, fault: *py.Fault) Error!void {
    const t = py.type_of(key);
    const is_text = py.has_flag(t, py.subclass_unicode);
    const is_number = py.is_none(key) or py.has_flag(t, py.subclass_long) or t == &py.PyFloat_Type;
    if (!is_text and is_number) {
        try w.byte('"');
        try put_inside(w, key, null, fault);
        return w.byte('"');
    }
    const text = if (is_text) Text.of(key) else Text.of_object(key, fault);
    defer text.release();
    return jsontext.put_string(w, text.bytes);
}

/// The entries of `dict` behind others, each after a comma; false if a key is one of `reserved`.
pub fn put_more_entries(w: *Writer, dict: O, reserved: []const []const u8, fault: *py.Fault) Error!bool {
    const begin = w.len;
    try w.byte(',');
    const outer = Outer{ .container = dict, .outer = null, .depth = 1 };
    const count = try put_entries(w, dict, reserved, &outer, fault) orelse return false;
    if (count == 0) w.len = begin;
    return true;
}

/// encode_json(value) -> bytes
pub fn module_encode_json(_: O, value: O) callconv(.c) ?O {
    var fault = py.Fault{};
    var scratch: [2048]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    w.size_max = size_max;
    const result = put(&w, value, &fault);
    if (fault.restore()) return null;
    result catch {
        py.PyErr_SetString(py.PyExc_ValueError, "encode_json: the value needs more than 256 MiB");
        return null;
    };
    return py.PyBytes_FromStringAndSize(w.bytes, @intCast(w.len));
}
