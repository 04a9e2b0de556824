//! AccessBase: what is known of one request, in a struct (otelbridge/access/record.py says what the fields mean), and
//! how Python sees it. Knows neither where the values come from (access_read.zig) nor where they go.

const std = @import("std");
const py = @import("py.zig");
const context = @import("context.zig");
const text = @import("access_text.zig");
const views = @import("access_view.zig");
const O = py.O;
const AttrSet = context.AttrSet;

/// Fields that are texts. The first ones are never None; they begin as `defaults` says.
pub const Text = enum {
    method,
    path,
    query,
    scheme,
    http_version,
    known_method,
    ended_by,
    client_address,
    user_agent,
    referer,
    request_id,
    route,
    error_type,
};
const defaults_text = [_][:0]const u8{ "", "", "", "http", "1.1", other, "app" };
/// What a method is called that is not known.
pub const other = "_OTHER";
const text_count = @typeInfo(Text).@"enum".fields.len;

/// Fields that are integers; the first ones may be None.
pub const Number = enum { status, ttfb_ns, request_body_size, response_body_size, start_ns, duration_ns };
const optional_count = 2;
const number_count = @typeInfo(Number).@"enum".fields.len;
/// Stands for None.
const absent = std.math.minInt(i64);

const Flag = enum { log_query, echo_request_id, closed };

pub const Record = extern struct {
    head: py.Object,
    /// The instance's __dict__: what was set beside the fields; null until something was.
    additions: ?O,
    /// Exactly str; null: the default, or None.
    texts: [text_count]?O,
    numbers: [number_count]i64,
    /// dict[str, list[str]]; null: empty, and not made yet.
    headers: ?O,
    /// The AttrSet that was entered last in this request; null: none was, or the record is closed.
    context: ?*AttrSet,
    log_query: bool,
    echo_request_id: bool,
    /// The request has ended: what is entered from now on is not the record's.
    closed: bool,
    /// Neither `line` nor `attributes` is overridden.
    has_plain_views: bool,

    /// Borrowed; null: None.
    pub inline fn get(r: *const Record, field: Text) ?O {
        const index = @intFromEnum(field);
        return r.texts[index] orelse if (index < defaults.len) defaults[index] else null;
    }
    /// `value` (a new reference to exactly a str; null: the default) becomes the record's.
    pub inline fn take(r: *Record, field: Text, value: ?O) void {
        const place = &r.texts[@intFromEnum(field)];
        const old = place.*;
        place.* = value;
        py.Py_DecRef(old);
    }
    /// Null: None.
    pub inline fn number(r: *const Record, field: Number) ?i64 {
        const value = r.numbers[@intFromEnum(field)];
        return if (@intFromEnum(field) < optional_count and value == absent) null else value;
    }

    /// An AttrSet was entered in this request.
    pub fn entered(r: *Record, set: *AttrSet) void {
        if (r.closed) return;
        const old = r.context;
        r.context = @ptrCast(py.new_ref(@ptrCast(set)));
        py.Py_DecRef(@ptrCast(old));
    }
};

pub var base_type: ?*py.TypeObject = null;
var defaults: [defaults_text.len]?O = @splat(null);

pub fn init() bool {
    for (&defaults, defaults_text) |*object, value| object.* = py.PyUnicode_InternFromString(value) orelse return false;
    return views.init();
}
/// "_OTHER", borrowed.
pub fn other_name() O {
    return defaults[@intFromEnum(Text.known_method)].?;
}

/// The object as a record, if it is one.
pub inline fn of(object: O) ?*Record {
    return if (py.PyType_IsSubtype(py.type_of(object), base_type.?) != 0) @ptrCast(object) else null;
}

/// A record of a subclass of AccessBase; null: a Python error is set.
pub inline fn make(t: *py.TypeObject, has_plain_views: bool) ?*Record {
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const r: *Record = @ptrCast(self);
    r.numbers[@intFromEnum(Number.status)] = absent;
    r.numbers[@intFromEnum(Number.ttfb_ns)] = absent;
    r.has_plain_views = has_plain_views;
    return r;
}

/// Whether a subclass shows its records as this module does; null: a Python error is set.
pub fn is_plainly_shown(t: *py.TypeObject) ?bool {
    for ([_][*:0]const u8{ "line", "attributes" }) |name| {
        const ours = py.PyObject_GetAttrString(@ptrCast(@alignCast(base_type.?)), name) orelse return null;
        defer py.Py_DecRef(ours);
        const theirs = py.PyObject_GetAttrString(@ptrCast(@alignCast(t)), name) orelse return null;
        defer py.Py_DecRef(theirs);
        if (ours != theirs) return false;
    }
    return true;
}

/// AccessBase(**fields)
pub fn new(t: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    if (py.PyTuple_Size(args) != 0) return py.type_error("a record takes its fields by keyword");
    const r = make(t, is_plainly_shown(t) orelse return null) orelse return null;
    if (kwargs) |fields| {
        if (!set_fields(@ptrCast(r), t, fields)) {
            py.Py_DecRef(@ptrCast(r));
            return null;
        }
    }
    return @ptrCast(r);
}
fn set_fields(self: O, t: *py.TypeObject, fields: O) bool {
    var position: isize = 0;
    var name: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(fields, &position, &name, &value) != 0) {
        const field = py.PyObject_GetAttr(@ptrCast(@alignCast(t)), name.?) orelse {
            py.PyErr_Clear();
            _ = py.PyErr_Format(py.PyExc_TypeError, "a record has no field %R; set other attributes when it is made", name.?);
            return false;
        };
        py.Py_DecRef(field);
        if (py.PyObject_SetAttr(self, name.?, value.?) < 0) return false;
    }
    return true;
}

pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const r: *Record = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ r.additions, r.headers, @ptrCast(r.context), kind }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(self: O) callconv(.c) c_int {
    const r: *Record = @ptrCast(self);
    py.clear(&r.additions);
    py.clear(&r.headers);
    py.clear(@ptrCast(&r.context));
    return 0;
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const r: *Record = @ptrCast(self);
    _ = clear(self);
    for (&r.texts) |*field| py.clear(field);
    context.free_instance(self);
}

// ---------------------------------------------------------------------------------------------------- attributes

fn record_of(self: O) *Record {
    return @ptrCast(self);
}
fn optional(object: ?O) ?O {
    return py.new_ref(object orelse &py._Py_NoneStruct);
}
fn refuse(comptime name: [:0]const u8, comptime wanted: [:0]const u8, value: ?O) c_int {
    const got = value orelse {
        py.PyErr_SetString(py.PyExc_TypeError, name ++ " must be " ++ wanted ++ ", it cannot be deleted");
        return -1;
    };
    _ = py.PyErr_Format(py.PyExc_TypeError, name ++ " must be " ++ wanted ++ ", got %R", got);
    return -1;
}

fn text_member(comptime field: Text) py.GetSetDef {
    const name = @tagName(field);
    const is_optional = @intFromEnum(field) >= defaults_text.len;
    const member = struct {
        fn get(self: O, _: ?*anyopaque) callconv(.c) ?O {
            return optional(record_of(self).get(field));
        }
        fn set(self: O, value: ?O, _: ?*anyopaque) callconv(.c) c_int {
            const given = value orelse return refuse(name, "a str", null);
            if (is_optional and py.is_none(given)) {
                record_of(self).take(field, null);
                return 0;
            }
            if (!py.has_flag(py.type_of(given), py.subclass_unicode))
                return refuse(name, if (is_optional) "a str or None" else "a str", given);
            record_of(self).take(field, py.PyUnicode_FromObject(given) orelse return -1);
            return 0;
        }
    };
    return .{ .name = name, .get = &member.get, .set = &member.set };
}

fn number_member(comptime field: Number) py.GetSetDef {
    const name = @tagName(field);
    const is_optional = @intFromEnum(field) < optional_count;
    const member = struct {
        fn get(self: O, _: ?*anyopaque) callconv(.c) ?O {
            return py.PyLong_FromLongLong(record_of(self).number(field) orelse return py.none());
        }
        fn set(self: O, value: ?O, _: ?*anyopaque) callconv(.c) c_int {
            const given = value orelse return refuse(name, "an int", null);
            const place = &record_of(self).numbers[@intFromEnum(field)];
            if (is_optional and py.is_none(given)) {
                place.* = absent;
                return 0;
            }
            if (!py.has_flag(py.type_of(given), py.subclass_long))
                return refuse(name, if (is_optional) "an int or None" else "an int", given);
            const number = py.PyLong_AsLongLong(given);
            if (number == -1 and py.PyErr_Occurred() != null) return -1;
            place.* = number;
            return 0;
        }
    };
    return .{ .name = name, .get = &member.get, .set = &member.set };
}

fn flag_member(comptime field: Flag) py.GetSetDef {
    const name = @tagName(field);
    const member = struct {
        fn get(self: O, _: ?*anyopaque) callconv(.c) ?O {
            return py.boolean(@field(record_of(self), name));
        }
        fn set(self: O, value: ?O, _: ?*anyopaque) callconv(.c) c_int {
            const given = value orelse return refuse(name, "a bool", null);
            if (py.type_of(given) != &py.PyBool_Type) return refuse(name, "a bool", given);
            const r = record_of(self);
            @field(r, name) = given == &py._Py_TrueStruct;
            if (field == .closed and r.closed) py.clear(@ptrCast(&r.context));
            return 0;
        }
    };
    return .{ .name = name, .get = &member.get, .set = &member.set };
}

fn get_headers(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const r = record_of(self);
    if (r.headers == null) r.headers = py.PyDict_New() orelse return null;
    return py.new_ref(r.headers.?);
}
fn set_headers(self: O, value: ?O, _: ?*anyopaque) callconv(.c) c_int {
    const given = value orelse return refuse("headers", "a dict", null);
    if (!py.has_flag(py.type_of(given), py.subclass_dict)) return refuse("headers", "a dict", given);
    const r = record_of(self);
    const old = r.headers;
    r.headers = py.new_ref(given);
    py.Py_DecRef(old);
    return 0;
}
fn get_context(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return optional(@ptrCast(record_of(self).context));
}
fn get_dict(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.PyObject_GenericGetDict(self, null);
}

pub var getset = members: {
    var table: [text_count + number_count + 3 + 4]py.GetSetDef = @splat(.{});
    var count = 0;
    for (std.enums.values(Text)) |field| {
        table[count] = text_member(field);
        count += 1;
    }
    for (std.enums.values(Number)) |field| {
        table[count] = number_member(field);
        count += 1;
    }
    for (std.enums.values(Flag)) |field| {
        table[count] = flag_member(field);
        count += 1;
    }
    table[count] = .{ .name = "headers", .get = &get_headers, .set = &set_headers };
    table[count + 1] = .{ .name = "context", .get = &get_context };
    table[count + 2] = .{ .name = "__dict__", .get = &get_dict };
    break :members table;
};
pub var members = [_]py.MemberDef{
    .{ .name = "__dictoffset__", .type = py.member_ssize, .offset = @offsetOf(Record, "additions"), .flags = py.member_readonly },
    .{},
};
pub var methods = [_]py.MethodDef{
    .method("line", &text.method_line, py.METH_NOARGS),
    .method("_line", &text.method_line_of, py.METH_O),
    .method("attributes", &views.method_attributes, py.METH_NOARGS),
    .method("_common_attributes", &views.method_common_attributes, py.METH_NOARGS),
    .{},
};

// ---------------------------------------------------------------------------------------------------- a request's block

/// Core.enter_request(record, otel_context or None) -> what leave_request takes
pub fn enter_request(variable: O, trace: *const context.TraceCache, arguments: [*]const O, count: isize) ?O {
    const r = (if (count == 2) of(arguments[0]) else null) orelse
        return py.type_error("enter_request takes (record, otel_context)");
    const set: O = if (r.context) |last| py.new_ref(@ptrCast(last)) else set: {
        const current = py.context_var_get(variable);
        defer py.Py_DecRef(current);
        break :set context.attr_set_of_request(context.attr_set_of(current), @ptrCast(r)) orelse return null;
    };
    defer py.Py_DecRef(set);
    const ours = py.context_var_set(variable, set) orelse return null;
    const is_known = trace.variable != null and !py.is_none(arguments[1]);
    const otel = if (is_known) py.context_var_set(trace.variable.?, arguments[1]) else py.none();
    return py.tuple(&.{ ours, otel });
}
/// Core.leave_request(entry)
pub fn leave_request(variable: O, trace: *const context.TraceCache, entry: O) ?O {
    if (!py.has_flag(py.type_of(entry), py.subclass_tuple) or py.PyTuple_Size(entry) != 2)
        return py.type_error("leave_request takes what enter_request returned");
    const otel = py.PyTuple_GetItem(entry, 1).?;
    if (trace.variable) |other_variable| {
        if (!py.is_none(otel) and !reset(other_variable, otel)) return null;
    }
    return if (reset(variable, py.PyTuple_GetItem(entry, 0).?)) py.none() else null;
}
fn reset(variable: O, token: O) bool {
    if (py.context_var_reset(variable, token)) return true;
    // Another context (a task that was closed from elsewhere): its own values end with it.
    if (py.PyErr_ExceptionMatches(py.PyExc_ValueError) == 0) return false;
    py.PyErr_Clear();
    return true;
}
