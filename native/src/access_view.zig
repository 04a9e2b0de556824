//! The attributes of an access record, by semantic conventions and `otelbridge.*`: one order and one meaning for both
//! views, the dict that Python gets and the fields of an OTLP record. Unknown values are absent, durations in seconds.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const attributes = @import("attributes.zig");
const log_record = @import("record.zig");
const redaction = @import("redaction.zig");
const access = @import("access.zig");
const O = py.O;
const Record = access.Record;

pub const Name = enum {
    @"http.request.method",
    @"http.request.method_original",
    @"url.path",
    @"url.query",
    @"url.scheme",
    @"network.protocol.version",
    @"http.route",
    @"http.response.status_code",
    @"client.address",
    @"user_agent.original",
    @"error.type",
    @"otelbridge.request_id",
    @"http.request.body.size",
    @"http.response.body.size",
    @"http.server.request.duration",
    @"otelbridge.ttfb_s",
    @"otelbridge.ended_by",
};
const name_count = @typeInfo(Name).@"enum".fields.len;
const header_prefix = "http.request.header.";

var names: [name_count]?O = @splat(null);
var header_prefix_object: ?O = null;

pub fn init() bool {
    inline for (@typeInfo(Name).@"enum".fields, &names) |field, *object|
        object.* = py.PyUnicode_InternFromString(field.name) orelse return false;
    header_prefix_object = py.PyUnicode_InternFromString(header_prefix) orelse return false;
    return true;
}

/// Give `sink` what requests and WebSocket sessions have in common.
inline fn put_common(r: *const Record, sink: anytype) !void {
    const known = r.get(.known_method).?;
    try sink.text(.@"http.request.method", known);
    if (is_other(known)) try sink.text(.@"http.request.method_original", r.get(.method).?);
    try sink.text(.@"url.path", r.get(.path).?);
    if (r.log_query) {
        const query = r.get(.query).?;
        if (py.PyUnicode_GetLength(query) > 0) try sink.query(.@"url.query", query);
    }
    try sink.text(.@"url.scheme", r.get(.scheme).?);
    try sink.text(.@"network.protocol.version", r.get(.http_version).?);
    if (r.get(.route)) |route| try sink.text(.@"http.route", route);
    if (r.number(.status)) |status| try sink.int(.@"http.response.status_code", status);
    if (r.get(.client_address)) |address| try sink.text(.@"client.address", address);
    if (r.get(.user_agent)) |user_agent| try sink.text(.@"user_agent.original", user_agent);
    if (r.get(.error_type)) |error_type| try sink.text(.@"error.type", error_type);
    if (r.get(.request_id)) |request_id| try sink.text(.@"otelbridge.request_id", request_id);
    const headers = r.headers orelse return;
    var position: isize = 0;
    var name: ?O = null;
    var values: ?O = null;
    while (py.PyDict_Next(headers, &position, &name, &values) != 0) try sink.header(name.?, values.?);
}
fn is_other(known_method: O) bool {
    if (known_method == access.other_name()) return true;
    return std.mem.eql(u8, otlp.utf8(known_method) orelse "", access.other);
}
inline fn put_request(r: *const Record, sink: anytype) !void {
    try put_common(r, sink);
    try sink.int(.@"http.request.body.size", r.number(.request_body_size).?);
    try sink.int(.@"http.response.body.size", r.number(.response_body_size).?);
    try sink.double(.@"http.server.request.duration", seconds(r.number(.duration_ns).?));
    if (r.number(.ttfb_ns)) |ttfb_ns| try sink.double(.@"otelbridge.ttfb_s", seconds(ttfb_ns));
    try sink.text(.@"otelbridge.ended_by", r.get(.ended_by).?);
}
inline fn seconds(duration_ns: i64) f64 {
    return @as(f64, @floatFromInt(duration_ns)) / 1e9;
}

// ---------------------------------------------------------------------------------------------------- as a dict

const PythonError = error{Python};

const DictSink = struct {
    dict: O,

    fn set(sink: *DictSink, name: O, value: ?O) PythonError!void {
        defer py.Py_DecRef(value);
        if (value == null or py.PyDict_SetItem(sink.dict, name, value.?) < 0) return error.Python;
    }
    fn text(sink: *DictSink, name: Name, value: O) PythonError!void {
        return sink.set(names[@intFromEnum(name)].?, py.new_ref(value));
    }
    const query = text;
    fn int(sink: *DictSink, name: Name, value: i64) PythonError!void {
        return sink.set(names[@intFromEnum(name)].?, py.PyLong_FromLongLong(value));
    }
    fn double(sink: *DictSink, name: Name, value: f64) PythonError!void {
        return sink.set(names[@intFromEnum(name)].?, py.PyFloat_FromDouble(value));
    }
    fn header(sink: *DictSink, name: O, values: O) PythonError!void {
        if (!py.has_flag(py.type_of(name), py.subclass_unicode)) return; // nobody's header
        const whole = py.PyUnicode_Concat(header_prefix_object.?, name) orelse return error.Python;
        defer py.Py_DecRef(whole);
        return sink.set(whole, py.new_ref(values));
    }
};

pub fn method_attributes(self: O, _: ?O) callconv(.c) ?O {
    const r: *Record = @ptrCast(self);
    var sink = DictSink{ .dict = py.PyDict_New() orelse return null };
    if (put_request(r, &sink)) {
        const additions = r.additions orelse return sink.dict;
        if (py.PyDict_Update(sink.dict, additions) >= 0) return sink.dict;
    } else |_| {}
    py.Py_DecRef(sink.dict);
    return null;
}
pub fn method_common_attributes(self: O, _: ?O) callconv(.c) ?O {
    var sink = DictSink{ .dict = py.PyDict_New() orelse return null };
    if (put_common(@ptrCast(self), &sink)) return sink.dict else |_| {}
    py.Py_DecRef(sink.dict);
    return null;
}

// ---------------------------------------------------------------------------------------------------- on the wire

/// Unusual: what only Python can do, such as redact.
pub const Error = wire.Error || error{Unusual};

/// The KeyValue's first field, for each name.
const keys = keys: {
    var table: [name_count][]const u8 = undefined;
    for (@typeInfo(Name).@"enum".fields, &table) |field, *key| key.* = "\x0a" ++ [_]u8{field.name.len} ++ field.name;
    break :keys table;
};

/// Which of our names may bear their values as they are, by the policy of that generation.
var open_names: struct { generation: u32 = 0, bits: u32 = 0 } = .{};

fn is_open(policy: *const redaction.Policy, name: Name) bool {
    const bit = @as(u32, 1) << @intFromEnum(name);
    if (open_names.generation != policy.generation) open_names = .{ .generation = policy.generation };
    if (open_names.bits & bit != 0) return true;
    if (!policy.is_open(names[@intFromEnum(name)].?)) return false;
    open_names.bits |= bit;
    return true;
}

pub const WireSink = struct {
    encoder: *otlp.Encoder,
    /// Null: nothing is redacted.
    policy: ?*const redaction.Policy,
    count: usize = 0,
    dropped: usize = 0,

    const tag = log_record.attribute_tag;

    fn key(name: Name) otlp.Key {
        return .{ .encoded = keys[@intFromEnum(name)] };
    }
    inline fn admit(sink: *WireSink, name: Name) error{Unusual}!void {
        if (sink.policy) |policy| if (!is_open(policy, name)) return error.Unusual;
        sink.count += 1;
    }
    inline fn text(sink: *WireSink, name: Name, value: O) Error!void {
        try sink.admit(name);
        const bytes = otlp.utf8(value) orelse return error.Unusual; // lone surrogates
        if (sink.policy) |policy| if (policy.hides_text(bytes)) return error.Unusual;
        sink.dropped += attributes.put_apart_as(sink.encoder, key(name), value);
    }
    fn query(sink: *WireSink, name: Name, value: O) Error!void {
        if (sink.policy) |policy|
            if (policy.hides_attribute(names[@intFromEnum(name)].?, value, sink.encoder.fault)) return error.Unusual;
        sink.count += 1;
        if (otlp.utf8(value) == null) return error.Unusual;
        sink.dropped += attributes.put_apart_as(sink.encoder, key(name), value);
    }
    inline fn int(sink: *WireSink, name: Name, value: i64) Error!void {
        try sink.admit(name);
        try sink.encoder.tagged_int(tag, key(name), value);
    }
    inline fn double(sink: *WireSink, name: Name, value: f64) Error!void {
        try sink.admit(name);
        try sink.encoder.tagged_double(tag, key(name), value);
    }
    fn header(sink: *WireSink, name: O, values: O) Error!void {
        if (py.type_of(name) != &py.PyUnicode_Type or !is_list_of_str(values)) return error.Unusual;
        const whole = py.PyUnicode_Concat(header_prefix_object.?, name) orelse {
            py.PyErr_Clear();
            return error.Unusual;
        };
        defer py.Py_DecRef(whole);
        return sink.attribute(whole, values);
    }
    /// An attribute by any name.
    fn attribute(sink: *WireSink, name: O, value: O) Error!void {
        if (py.type_of(name) != &py.PyUnicode_Type) return error.Unusual;
        const bytes = otlp.utf8(name) orelse return error.Unusual;
        if (bytes.len == 0) return error.Unusual;
        if (sink.policy) |policy| if (policy.hides_attribute(name, value, sink.encoder.fault)) return error.Unusual;
        sink.count += 1;
        sink.dropped += attributes.put_apart(sink.encoder, bytes, value);
    }
};

/// Only these are encoded without any code of Python's, which might change the dict that they stand in.
fn is_list_of_str(values: O) bool {
    if (py.type_of(values) != &py.PyList_Type) return false;
    for (0..@intCast(py.PyList_Size(values))) |i| {
        if (py.type_of(py.PyList_GetItem(values, @intCast(i)).?) != &py.PyUnicode_Type) return false;
    }
    return true;
}

/// All attributes of a request.
pub fn put(sink: *WireSink, r: *const Record) Error!void {
    try put_request(r, sink);
    const additions = r.additions orelse return;
    // A copy: an addition's `__str__` may change the dict.
    const copy = py.PyDict_Copy(additions) orelse {
        py.PyErr_Clear();
        return error.Unusual;
    };
    defer py.Py_DecRef(copy);
    var position: isize = 0;
    var name: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(copy, &position, &name, &value) != 0) {
        if (is_ours(otlp.utf8(name.?) orelse return error.Unusual)) return error.Unusual;
        try sink.attribute(name.?, value.?);
    }
}

/// Whether a name is, or may be, one that a record has anyway: they all have a dot.
pub fn is_ours(name: []const u8) bool {
    if (std.mem.indexOfScalar(u8, name, '.') == null) return false;
    if (std.mem.startsWith(u8, name, header_prefix)) return true;
    inline for (@typeInfo(Name).@"enum".fields) |field| if (std.mem.eql(u8, name, field.name)) return true;
    return log_record.is_reserved(name);
}
