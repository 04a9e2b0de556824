//! AccessReader: an ASGI scope or a WSGI environ becomes a record, whatever a client or a server put there. One pass;
//! decides nothing. What is no text, no header, no pair is passed over, and a missing field has its default.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const moment = @import("moment.zig");
const random = @import("random.zig");
const context = @import("context.zig");
const access = @import("access.zig");
const access_text = @import("access_text.zig");
const O = py.O;
const Record = access.Record;

/// A header that is kept, or looked at.
const Wanted = extern struct {
    /// As ASGI has it (bytes, lower case), and as WSGI does (a str: HTTP_X_TENANT); both owned.
    name: ?O,
    environ_name: ?O,
    /// What it is called in the carrier, and in record.headers; null: it does not go there.
    carrier_key: ?O = null,
    captured_key: ?O = null,
    /// The field of the record that it fills, if it is one of `Role`.
    role: u8 = no_role,

    const no_role = 255;

    fn release(wanted: *Wanted) void {
        for ([_]*?O{ &wanted.name, &wanted.environ_name, &wanted.carrier_key, &wanted.captured_key }) |field| py.clear(field);
    }
};
const Role = enum(u8) { user_agent, referer, request_id };
const role_names = [_][]const u8{ "user-agent", "referer", "x-request-id" };

const wanted_max = 256;

pub const Reader = extern struct {
    head: py.Object,
    record_type: ?O,
    socket_type: ?O,
    known_methods: ?O,
    wanted: ?[*]Wanted,
    wanted_count: usize,
    /// One bit for each size that a wanted name has (the last: or more).
    sizes: u64,
    has_plain_views: bool,

    fn all(reader: *const Reader) []Wanted {
        return if (reader.wanted) |items| items[0..reader.wanted_count] else &.{};
    }
};
pub var reader_type: ?*py.TypeObject = null;

var keys: struct {
    type: ?O = null,
    method: ?O = null,
    path: ?O = null,
    query_string: ?O = null,
    scheme: ?O = null,
    http_version: ?O = null,
    client: ?O = null,
    headers: ?O = null,
    REQUEST_METHOD: ?O = null,
    SCRIPT_NAME: ?O = null,
    PATH_INFO: ?O = null,
    QUERY_STRING: ?O = null,
    @"wsgi.url_scheme": ?O = null,
    SERVER_PROTOCOL: ?O = null,
    REMOTE_ADDR: ?O = null,
    websocket: ?O = null,
    GET: ?O = null,
} = .{};
/// The values that most requests have: one object for all of them.
var common: [4]?O = @splat(null);

pub fn init() bool {
    inline for (@typeInfo(@TypeOf(keys)).@"struct".fields) |field|
        @field(keys, field.name) = py.PyUnicode_InternFromString(field.name) orelse return false;
    for (&common, [_][*:0]const u8{ "1.1", "1.0", "2", "3" }) |*object, text|
        object.* = py.PyUnicode_InternFromString(text) orelse return false;
    return true;
}

fn size_bit(name: []const u8) u64 {
    return @as(u64, 1) << @as(u6, @intCast(@min(name.len, 63)));
}
fn bytes_of(object: O) []const u8 {
    var bytes: ?[*]u8 = null;
    var size: isize = 0;
    if (py.PyBytes_AsStringAndSize(object, &bytes, &size) < 0) {
        py.PyErr_Clear();
        return "";
    }
    return bytes.?[0..@intCast(size)];
}

// ---------------------------------------------------------------------------------------------------- making one

/// AccessReader(record_type, socket_type, known_methods, captured, fields)
pub fn new(t: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    const sentence = "AccessReader takes (record_type, socket_type, known_methods, captured, fields): two subclasses of " ++
        "AccessBase, a frozenset of str, a dict from bytes to str, a frozenset of bytes";
    if (py.PyTuple_Size(args) != 5 or (if (kwargs) |k| py.PyDict_Size(k) != 0 else false)) return py.type_error(sentence);
    var given: [5]O = undefined;
    for (&given, 0..) |*item, i| item.* = py.PyTuple_GetItem(args, @intCast(i)).?;
    for (given[0..2]) |kind| if (!py.is_subclass(kind, access.base_type.?)) return py.type_error(sentence);
    for ([_]O{ given[2], given[4] }) |set| if (py.type_of(set) != &py.PyFrozenSet_Type) return py.type_error(sentence);
    if (py.type_of(given[3]) != &py.PyDict_Type) return py.type_error(sentence);
    const has_plain_views = access.is_plainly_shown(@ptrCast(@alignCast(given[0]))) orelse return null;

    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const reader: *Reader = @ptrCast(self);
    reader.record_type = py.new_ref(given[0]);
    reader.socket_type = py.new_ref(given[1]);
    reader.known_methods = py.new_ref(given[2]);
    reader.has_plain_views = has_plain_views;
    if (!learn(reader, given[3], given[4])) {
        if (py.PyErr_Occurred() == null) _ = py.type_error(sentence);
        py.Py_DecRef(self);
        return null;
    }
    return self;
}

/// False: a Python error is set, or something is of a wrong type.
fn learn(reader: *Reader, captured: O, fields: O) bool {
    reader.wanted = @ptrCast(@alignCast(wire.malloc(@sizeOf(Wanted) * wanted_max) orelse {
        _ = py.PyErr_NoMemory();
        return false;
    }));
    for (role_names, 0..) |role_name, i| {
        const name = py.PyBytes_FromStringAndSize(role_name.ptr, @intCast(role_name.len)) orelse return false;
        defer py.Py_DecRef(name);
        const wanted = find(reader, name) orelse return false;
        wanted.role = @intCast(i);
    }
    var position: isize = 0;
    var key: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(captured, &position, &key, &value) != 0) {
        if (!py.has_flag(py.type_of(value.?), py.subclass_unicode)) return false;
        const wanted = find(reader, key.?) orelse return false;
        const old = wanted.captured_key;
        wanted.captured_key = py.new_ref(value.?);
        py.Py_DecRef(old);
    }
    const iterator = py.PyObject_GetIter(fields) orelse return false;
    defer py.Py_DecRef(iterator);
    while (py.PyIter_Next(iterator)) |name| {
        defer py.Py_DecRef(name);
        const wanted = find(reader, name) orelse return false;
        if (wanted.carrier_key != null) continue;
        const bytes = bytes_of(name);
        wanted.carrier_key = py.PyUnicode_DecodeLatin1(bytes.ptr, @intCast(bytes.len), null) orelse return false;
    }
    return py.PyErr_Occurred() == null;
}

/// The entry of that name, made if there is none; null as in `learn`.
fn find(reader: *Reader, name: O) ?*Wanted {
    if (!py.has_flag(py.type_of(name), py.subclass_bytes)) return null;
    const bytes = bytes_of(name);
    for (reader.all()) |*wanted| if (std.mem.eql(u8, bytes_of(wanted.name.?), bytes)) return wanted;
    if (reader.wanted_count == wanted_max) {
        py.PyErr_SetString(py.PyExc_ValueError, "AccessReader: at most 250 headers");
        return null;
    }
    const environ_name = environ_name_of(bytes) orelse return null;
    const wanted = &reader.wanted.?[reader.wanted_count];
    wanted.* = .{ .name = py.new_ref(name), .environ_name = environ_name };
    reader.wanted_count += 1;
    reader.sizes |= size_bit(bytes);
    return wanted;
}
/// `x-tenant` is HTTP_X_TENANT in an environ; two names stand there without HTTP_.
fn environ_name_of(name: []const u8) ?O {
    var scratch: [256]u8 = undefined;
    var w = wire.Writer.init(&scratch);
    defer w.deinit();
    const is_bare = std.mem.eql(u8, name, "content-type") or std.mem.eql(u8, name, "content-length");
    w.raw(if (is_bare) "" else "HTTP_") catch return py.PyErr_NoMemory();
    for (name) |byte| w.byte(if (byte == '-') '_' else std.ascii.toUpper(byte)) catch return py.PyErr_NoMemory();
    return py.PyUnicode_DecodeLatin1(w.written().ptr, @intCast(w.len), null);
}

pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const reader: *Reader = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ reader.record_type, reader.socket_type, reader.known_methods, kind }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(_: O) callconv(.c) c_int {
    return 0; // the types hold no reader; a request may be under way
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const reader: *Reader = @ptrCast(self);
    for (reader.all()) |*wanted| wanted.release();
    wire.free(reader.wanted);
    for ([_]*?O{ &reader.record_type, &reader.socket_type, &reader.known_methods }) |field| py.clear(field);
    context.free_instance(self);
}

// ---------------------------------------------------------------------------------------------------- reading

/// A Python error is set: memory is short, or a program was interrupted.
const Error = error{Python};

/// What is found on the way; owned here until the record has it.
const Reading = struct {
    reader: *const Reader,
    record: *Record,
    carrier: Carrier = .{},
    fault: py.Fault = .{},

    /// The value of a key, a new reference; null: it is not there.
    fn get(reading: *Reading, mapping: O, key: ?O) ?O {
        if (py.has_flag(py.type_of(mapping), py.subclass_dict)) {
            const value = py.PyDict_GetItemWithError(mapping, key.?) orelse {
                reading.fault.absorb();
                return null;
            };
            return py.new_ref(value);
        }
        const value = py.PyObject_GetItem(mapping, key.?);
        if (value == null) reading.fault.absorb();
        return value;
    }

    /// A new reference; the empty text: there is none.
    fn text(reading: *Reading, mapping: O, key: ?O) Error!O {
        const value = reading.get(mapping, key) orelse return py.new_ref(empty());
        defer py.Py_DecRef(value);
        return access_text.client_text(value) orelse error.Python;
    }
    /// The same of an environ, whose texts are bytes in disguise (PEP 3333).
    fn wsgi_text(reading: *Reading, environ: O, key: ?O) Error!O {
        const value = reading.get(environ, key) orelse return py.new_ref(empty());
        defer py.Py_DecRef(value);
        return undisguised(value);
    }

    /// `value` (given away) becomes the record's, if it is not empty.
    fn put(reading: *Reading, field: access.Text, value: O) void {
        if (py.PyUnicode_GetLength(value) > 0) return reading.record.take(field, value);
        py.Py_DecRef(value);
    }

    fn put_method(reading: *Reading, method: O) Error!void {
        const known = py.PySet_Contains(reading.reader.known_methods.?, method);
        if (known == 1) reading.record.take(.known_method, py.new_ref(method));
        reading.put(.method, method);
        if (known < 0) return error.Python;
    }
    fn put_version(reading: *Reading, version: O) void {
        const bytes = otlp.utf8(version) orelse "";
        for (common) |object| {
            if (!std.mem.eql(u8, bytes, otlp.utf8(object.?).?)) continue;
            py.Py_DecRef(version);
            return reading.record.take(.http_version, py.new_ref(object.?));
        }
        reading.put(.http_version, version);
    }

    fn header(reading: *Reading, wanted: *const Wanted, value: Value) Error!void {
        const r = reading.record;
        if (wanted.carrier_key) |key| {
            try reading.carrier.add(key, value.disguised() orelse return error.Python);
        }
        if (wanted.captured_key) |key| {
            if (r.headers == null) r.headers = py.PyDict_New() orelse return error.Python;
            try append(r.headers.?, key, value.readable() orelse return error.Python);
        }
        switch (wanted.role) {
            @intFromEnum(Role.user_agent) => if (r.get(.user_agent) == null)
                r.take(.user_agent, value.readable() orelse return error.Python),
            @intFromEnum(Role.referer) => if (r.get(.referer) == null)
                r.take(.referer, value.readable() orelse return error.Python),
            @intFromEnum(Role.request_id) => {
                r.echo_request_id = true;
                if (r.get(.request_id) == null and value.is_request_id())
                    r.take(.request_id, value.readable() orelse return error.Python);
            },
            else => {},
        }
    }

    fn finish(reading: *Reading) Error!void {
        const r = reading.record;
        if (r.get(.request_id) == null) {
            const id = random.hex_id() orelse return error.Python;
            r.take(.request_id, py.PyUnicode_FromStringAndSize(&id, id.len) orelse return error.Python);
        }
        if (reading.fault.restore()) return error.Python;
    }
};

var empty_text: ?O = null;
fn empty() O {
    if (empty_text == null) empty_text = py.PyUnicode_FromStringAndSize("", 0); // the interpreter's one and only
    return empty_text.?;
}

/// `dict[key].append(value)`, which is given away.
fn append(dict: O, key: O, value: O) Error!void {
    defer py.Py_DecRef(value);
    if (py.PyDict_GetItemWithError(dict, key)) |list| {
        if (py.PyList_Append(list, value) < 0) return error.Python;
        return;
    }
    if (py.PyErr_Occurred() != null) return error.Python;
    const list = py.PyList_New(0) orelse return error.Python;
    defer py.Py_DecRef(list);
    if (py.PyList_Append(list, value) < 0 or py.PyDict_SetItem(dict, key, list) < 0) return error.Python;
}

/// A header's value: bytes in ASGI, a str of Latin-1 in WSGI.
const Value = union(enum) {
    bytes: O,
    string: O,

    /// Byte by byte, as propagators want it.
    fn disguised(value: Value) ?O {
        switch (value) {
            .bytes => |object| {
                const bytes = bytes_of(object);
                return py.PyUnicode_DecodeLatin1(bytes.ptr, @intCast(bytes.len), null);
            },
            .string => |object| return py.PyUnicode_FromObject(object),
        }
    }
    fn readable(value: Value) ?O {
        return switch (value) {
            .bytes => |object| access_text.text_of_bytes(bytes_of(object)),
            .string => |object| undisguised(object) catch null,
        };
    }
    /// A request id from outside is kept only in this form: it ends up in other people's systems.
    fn is_request_id(value: Value) bool {
        const bytes = switch (value) {
            .bytes => |object| bytes_of(object),
            .string => |object| otlp.utf8(object) orelse return false,
        };
        if (bytes.len == 0 or bytes.len > 128 or !std.ascii.isAlphanumeric(bytes[0])) return false;
        for (bytes) |byte| if (!std.ascii.isAlphanumeric(byte) and std.mem.indexOfScalar(u8, "._:+/=@-", byte) == null) return false;
        return true;
    }
};

/// client_text of the bytes that a str of Latin-1 stands for; of the str itself if it is none.
fn undisguised(value: O) Error!O {
    if (!py.has_flag(py.type_of(value), py.subclass_unicode)) return py.new_ref(empty());
    const is_ascii = if (otlp.utf8(value)) |bytes| bytes.len == py.PyUnicode_GetLength(value) else false;
    if (is_ascii) return access_text.client_text(value) orelse error.Python;
    const bytes = py.PyUnicode_AsLatin1String(value) orelse {
        py.PyErr_Clear();
        return access_text.client_text(value) orelse error.Python;
    };
    defer py.Py_DecRef(bytes);
    return access_text.client_text(bytes) orelse error.Python;
}

/// What the propagator's headers say: nearly always one value, which needs no dict.
pub const Carrier = struct {
    /// Borrowed from the reader.
    only_key: ?O = null,
    only_value: ?O = null,
    /// dict[str, list[str]], once there are two values.
    dict: ?O = null,

    /// `value` is given away.
    fn add(carrier: *Carrier, key: O, value: O) Error!void {
        if (carrier.only_key == null and carrier.dict == null) {
            carrier.only_key = key;
            carrier.only_value = value;
            return;
        }
        carrier.spread() catch |err| {
            py.Py_DecRef(value);
            return err;
        };
        try append(carrier.dict.?, key, value);
    }
    fn spread(carrier: *Carrier) Error!void {
        if (carrier.dict != null) return;
        const dict = py.PyDict_New() orelse return error.Python;
        carrier.dict = dict;
        const value = carrier.only_value orelse return;
        carrier.only_value = null;
        try append(dict, carrier.only_key.?, value);
    }
    pub fn is_empty(carrier: *const Carrier) bool {
        return carrier.only_value == null and carrier.dict == null;
    }
    /// A new reference to the dict, None for an empty one; null: a Python error is set.
    pub fn object(carrier: *Carrier) ?O {
        if (carrier.is_empty()) return py.none();
        carrier.spread() catch return null;
        return py.new_ref(carrier.dict.?);
    }
    pub fn release(carrier: *Carrier) void {
        py.clear(&carrier.only_value);
        py.clear(&carrier.dict);
    }
};

/// What a request says; both parts are the caller's to release.
pub const Found = struct { record: *Record, carrier: Carrier };

/// asgi(scope) -> (record, carrier or None)
pub fn asgi(self: O, scope: O) callconv(.c) ?O {
    return tuple_of(find_asgi(@ptrCast(self), scope) orelse return null);
}
/// Null: a Python error is set.
pub fn find_asgi(reader: *const Reader, scope: O) ?Found {
    var reading = Reading{ .reader = reader, .record = undefined };
    const kind = reading.get(scope, keys.type);
    defer py.Py_DecRef(kind);
    const is_socket = if (kind) |k| std.mem.eql(u8, text_or_empty(k), "websocket") else false;
    reading.record = (if (is_socket) make_socket(reader) else make_record(reader)) orelse return null;
    return answer(&reading, read_asgi(&reading, scope, is_socket));
}
fn tuple_of(found: Found) ?O {
    var carrier = found.carrier;
    defer carrier.release();
    return py.tuple(&.{ @ptrCast(found.record), carrier.object() });
}
fn text_or_empty(object: O) []const u8 {
    return if (py.type_of(object) == &py.PyUnicode_Type) otlp.utf8(object) orelse "" else "";
}
fn make_record(reader: *const Reader) ?*Record {
    return access.make(@ptrCast(@alignCast(reader.record_type.?)), reader.has_plain_views);
}
/// There are few of them, and they have fields in Python.
fn make_socket(reader: *const Reader) ?*Record {
    const object = py.PyObject_CallNoArgs(reader.socket_type.?) orelse return null;
    if (access.of(object)) |record| return record;
    py.Py_DecRef(object);
    _ = py.type_error("AccessReader: socket_type made no AccessBase");
    return null;
}
fn answer(reading: *Reading, outcome: Error!void) ?Found {
    const record: O = @ptrCast(reading.record);
    if (outcome) return .{ .record = reading.record, .carrier = reading.carrier } else |_| {}
    if (reading.fault.kind != null) {
        py.PyErr_Clear();
        _ = reading.fault.restore();
    } else if (py.PyErr_Occurred() == null) _ = py.PyErr_NoMemory();
    py.Py_DecRef(record);
    reading.carrier.release();
    return null;
}

fn read_asgi(reading: *Reading, scope: O, is_socket: bool) Error!void {
    reading.record.numbers[@intFromEnum(access.Number.start_ns)] = moment.now_ns(&reading.fault);
    const method = try reading.text(scope, keys.method);
    if (is_socket and py.PyUnicode_GetLength(method) == 0) {
        py.Py_DecRef(method);
        try reading.put_method(py.new_ref(keys.GET.?)); // a handshake over HTTP/1.1
    } else try reading.put_method(method);
    reading.put(.path, try reading.text(scope, keys.path));
    reading.put(.query, try reading.text(scope, keys.query_string));
    reading.put(.scheme, try reading.text(scope, keys.scheme));
    reading.put_version(try reading.text(scope, keys.http_version));
    if (reading.get(scope, keys.client)) |client| {
        defer py.Py_DecRef(client);
        if (Items.of(client)) |pair| if (pair.at(0)) |address|
            reading.put(.client_address, access_text.client_text(address) orelse return error.Python);
    }
    if (reading.get(scope, keys.headers)) |headers| {
        defer py.Py_DecRef(headers);
        // An iterator may be read only once, and that is the app's to do.
        if (Items.of(headers)) |items| try read_headers(reading, items);
    }
    return reading.finish();
}

/// A list or a tuple.
const Items = struct {
    object: O,
    is_list: bool,

    inline fn of(object: O) ?Items {
        const flags = py.PyType_GetFlags(py.type_of(object));
        if (flags & py.subclass_tuple != 0) return .{ .object = object, .is_list = false };
        return if (flags & py.subclass_list != 0) .{ .object = object, .is_list = true } else null;
    }
    inline fn count(items: Items) isize {
        return if (items.is_list) py.PyList_Size(items.object) else py.PyTuple_Size(items.object);
    }
    /// Borrowed; null: there are not so many.
    inline fn at(items: Items, i: isize) ?O {
        if (i >= items.count()) return null;
        return if (items.is_list) py.PyList_GetItem(items.object, i) else py.PyTuple_GetItem(items.object, i);
    }
};

/// Runs no code of Python's, so that nothing changes meanwhile.
fn read_headers(reading: *Reading, headers: Items) Error!void {
    var i: isize = 0;
    while (headers.at(i)) |header| : (i += 1) {
        const pair = Items.of(header) orelse continue;
        if (pair.count() != 2) continue;
        const name = pair.at(0).?;
        const value = pair.at(1).?;
        if (!py.has_flag(py.type_of(name), py.subclass_bytes)) continue;
        const bytes = bytes_of(name);
        if (reading.reader.sizes & size_bit(bytes) == 0) continue;
        if (!py.has_flag(py.type_of(value), py.subclass_bytes)) continue;
        for (reading.reader.all()) |*wanted| {
            if (std.mem.eql(u8, bytes_of(wanted.name.?), bytes)) {
                try reading.header(wanted, .{ .bytes = value });
                break;
            }
        }
    }
}

/// wsgi(environ) -> (record, carrier or None)
pub fn wsgi(self: O, environ: O) callconv(.c) ?O {
    return tuple_of(find_wsgi(@ptrCast(self), environ) orelse return null);
}
/// Null: a Python error is set.
pub fn find_wsgi(reader: *const Reader, environ: O) ?Found {
    var reading = Reading{ .reader = reader, .record = make_record(reader) orelse return null };
    return answer(&reading, read_wsgi(&reading, environ));
}

fn read_wsgi(reading: *Reading, environ: O) Error!void {
    reading.record.numbers[@intFromEnum(access.Number.start_ns)] = moment.now_ns(&reading.fault);
    try reading.put_method(try reading.text(environ, keys.REQUEST_METHOD));
    try put_wsgi_path(reading, environ);
    reading.put(.query, try reading.wsgi_text(environ, keys.QUERY_STRING));
    reading.put(.scheme, try reading.text(environ, keys.@"wsgi.url_scheme"));
    const protocol = try reading.text(environ, keys.SERVER_PROTOCOL);
    const spelled = otlp.utf8(protocol) orelse "";
    if (std.mem.startsWith(u8, spelled, "HTTP/")) {
        defer py.Py_DecRef(protocol);
        const version = spelled["HTTP/".len..];
        reading.put_version(py.PyUnicode_FromStringAndSize(version.ptr, @intCast(version.len)) orelse return error.Python);
    } else reading.put_version(protocol);
    reading.put(.client_address, try reading.text(environ, keys.REMOTE_ADDR));
    for (reading.reader.all()) |*wanted| {
        const value = reading.get(environ, wanted.environ_name) orelse continue;
        defer py.Py_DecRef(value);
        if (py.has_flag(py.type_of(value), py.subclass_unicode)) try reading.header(wanted, .{ .string = value });
    }
    return reading.finish();
}

/// SCRIPT_NAME + PATH_INFO: where the app is mounted, and where in it the request goes.
fn put_wsgi_path(reading: *Reading, environ: O) Error!void {
    const path = try reading.wsgi_text(environ, keys.PATH_INFO);
    const mount = reading.wsgi_text(environ, keys.SCRIPT_NAME) catch |err| {
        py.Py_DecRef(path);
        return err;
    };
    defer py.Py_DecRef(mount);
    if (py.PyUnicode_GetLength(mount) == 0) return reading.put(.path, path);
    defer py.Py_DecRef(path);
    const whole = py.PyUnicode_Concat(mount, path) orelse return error.Python;
    defer py.Py_DecRef(whole);
    reading.put(.path, access_text.client_text(whole) orelse return error.Python);
}

pub var methods = [_]py.MethodDef{
    .method("asgi", &asgi, py.METH_O),
    .method("wsgi", &wsgi, py.METH_O),
    .{},
};
