//! Texts of clients: made fit to be kept (client_text) and to be shown in a line (escape). Also the line itself.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const access = @import("access.zig");
const O = py.O;
const Writer = wire.Writer;
const Record = access.Record;

/// A text of a client is kept up to so many characters: a 1 MB user agent must not cost 1 MB per record.
pub const size_max = 4096;

// ---------------------------------------------------------------------------------------------------- client_text

/// Exactly a str that any encoder takes, of what a client or server gave; empty for what is no text. A new reference;
/// null: memory is short, and a Python error is set.
pub inline fn client_text(value: O) ?O {
    if (py.type_of(value) == &py.PyUnicode_Type) {
        if (otlp.utf8(value)) |bytes| {
            if (bytes.len <= size_max) return py.new_ref(value); // nearly always
        }
    }
    return client_text_rare(value);
}
noinline fn client_text_rare(value: O) ?O {
    const t = py.type_of(value);
    if (py.has_flag(t, py.subclass_unicode)) return text_of_str(value);
    if (py.has_flag(t, py.subclass_bytes)) {
        var bytes: ?[*]u8 = null;
        var size: isize = 0;
        if (py.PyBytes_AsStringAndSize(value, &bytes, &size) < 0) return null;
        return text_of_bytes(bytes.?[0..@intCast(size)]);
    }
    if (py.PyType_IsSubtype(t, &py.PyByteArray_Type) != 0) {
        const size: usize = @intCast(py.PyByteArray_Size(value));
        return text_of_bytes((py.PyByteArray_AsString(value) orelse return null)[0..size]);
    }
    return py.PyUnicode_FromStringAndSize("", 0);
}
fn text_of_str(value: O) ?O {
    const string = py.PyUnicode_FromObject(value) orelse return null;
    defer py.Py_DecRef(string);
    const length = py.PyUnicode_GetLength(string);
    const part = if (length > size_max) py.PyUnicode_Substring(string, 0, size_max) orelse return null else py.new_ref(string);
    if (otlp.utf8(part) != null) return part;
    defer py.Py_DecRef(part);
    const encoded = py.PyUnicode_AsEncodedString(part, "utf-8", "backslashreplace") orelse return null;
    defer py.Py_DecRef(encoded);
    var bytes: ?[*]u8 = null;
    var size: isize = 0;
    if (py.PyBytes_AsStringAndSize(encoded, &bytes, &size) < 0) return null;
    return py.PyUnicode_DecodeUTF8(bytes.?, size, null);
}
/// Bytes are read as UTF-8; what is none becomes `\xNN`.
pub fn text_of_bytes(bytes: []const u8) ?O {
    return py.PyUnicode_DecodeUTF8(bytes.ptr, @intCast(@min(bytes.len, size_max)), "backslashreplace");
}
/// client_text(value) -> str
pub fn module_client_text(_: O, value: O) callconv(.c) ?O {
    return client_text(value);
}

// ---------------------------------------------------------------------------------------------------- escape

/// ASCII that stands for itself.
const is_plain = plain: {
    var table: [256]bool = @splat(false);
    for (0x21..0x7f) |byte| table[byte] = byte != '"' and byte != '\\';
    break :plain table;
};

/// `string` (exactly a str) with quotes, backslashes, blanks, and what Unicode calls unprintable escaped.
pub inline fn put_escaped(w: *Writer, string: O) wire.Error!void {
    if (otlp.utf8(string)) |bytes| {
        for (bytes) |byte| {
            if (!is_plain[byte]) break;
        } else return w.raw(bytes);
    }
    return put_escaped_rare(w, string);
}
noinline fn put_escaped_rare(w: *Writer, string: O) wire.Error!void {
    if (otlp.utf8(string)) |bytes| {
        for (bytes) |byte| {
            if (byte >= 0x80) break;
        } else return put_escaped_ascii(w, bytes);
    }
    // repr() knows what is printable, and spells the rest as we do, but for a few characters of ASCII.
    const shown = py.PyObject_Repr(string) orelse {
        py.PyErr_Clear();
        return error.TooLarge;
    };
    defer py.Py_DecRef(shown);
    const quoted = otlp.utf8(shown) orelse return error.TooLarge;
    return put_repr(w, quoted[1 .. quoted.len - 1]);
}
fn put_escaped_ascii(w: *Writer, bytes: []const u8) wire.Error!void {
    for (bytes) |byte| {
        if (is_plain[byte]) try w.byte(byte) else if (byte == '"' or byte == '\\') {
            try w.byte('\\');
            try w.byte(byte);
        } else try put_hex(w, byte);
    }
}
fn put_hex(w: *Writer, byte: u8) wire.Error!void {
    const digits = std.fmt.hex(byte);
    try w.raw("\\x");
    try w.raw(&digits);
}
/// What stands between the quotation marks of a repr().
fn put_repr(w: *Writer, shown: []const u8) wire.Error!void {
    var i: usize = 0;
    while (i < shown.len) : (i += 1) {
        const byte = shown[i];
        if (byte == '\\') {
            i += 1; // there is always a byte behind it
            switch (shown[i]) {
                'n' => try put_hex(w, '\n'),
                'r' => try put_hex(w, '\r'),
                't' => try put_hex(w, '\t'),
                '\'' => try w.byte('\''),
                else => try w.raw(shown[i - 1 .. i + 1]), // `\\`, or the beginning of \xNN, \uNNNN, \UNNNNNNNN
            }
        } else if (byte == '"') try w.raw("\\\"") else if (byte == ' ') try put_hex(w, ' ') else try w.byte(byte);
    }
}

/// escape(text) -> str
pub fn module_escape(_: O, value: O) callconv(.c) ?O {
    if (!py.has_flag(py.type_of(value), py.subclass_unicode)) return py.type_error("escape takes a str");
    const string = py.PyUnicode_FromObject(value) orelse return null;
    defer py.Py_DecRef(string);
    var scratch: [1024]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    put_escaped(&w, string) catch return py.PyErr_NoMemory();
    if (otlp.utf8(string)) |bytes| if (std.mem.eql(u8, bytes, w.written())) return py.new_ref(string);
    return py.PyUnicode_DecodeUTF8(w.written().ptr, @intCast(w.len), null);
}

// ---------------------------------------------------------------------------------------------------- the line

/// `{client_ip} "{method} {path} {protocol}/{version}" {status} {bytes} {duration}ms`, `-` for what is unknown.
pub fn put_line(w: *Writer, r: *const Record, protocol: []const u8) wire.Error!void {
    try put_or_dash(w, r.get(.client_address));
    try w.raw(" \"");
    try put_or_dash(w, r.get(.method));
    try w.byte(' ');
    try put_escaped(w, r.get(.path).?);
    try w.byte(' ');
    try w.raw(protocol);
    try w.byte('/');
    try put_escaped(w, r.get(.http_version).?);
    try w.raw("\" ");
    if (r.number(.status)) |status| try w.decimal(status) else try w.byte('-');
    try w.byte(' ');
    try w.decimal(r.number(.response_body_size).?);
    try w.byte(' ');
    try put_milliseconds(w, r.number(.duration_ns).?);
    try w.raw("ms");
}
fn put_or_dash(w: *Writer, string: ?O) wire.Error!void {
    const begin = w.len;
    if (string) |s| try put_escaped(w, s);
    if (w.len == begin) try w.byte('-');
}
/// `{duration_ns / 1e6:.0f}`: half a millisecond goes to the even one.
fn put_milliseconds(w: *Writer, duration_ns: i64) wire.Error!void {
    const exact = @as(f64, @floatFromInt(duration_ns)) / 1e6;
    const below = @floor(exact);
    const part = exact - below; // exact: below 2^53
    var rounded: i64 = @intFromFloat(below);
    if (part > 0.5 or (part == 0.5 and @mod(rounded, 2) == 1)) rounded += 1;
    if (duration_ns < 0 and rounded == 0) try w.byte('-');
    try w.decimal(rounded);
}

pub fn method_line(self: O, _: ?O) callconv(.c) ?O {
    return line_of(@ptrCast(self), "HTTP");
}
/// _line(protocol)
pub fn method_line_of(self: O, protocol: O) callconv(.c) ?O {
    if (!py.has_flag(py.type_of(protocol), py.subclass_unicode)) return py.type_error("_line takes a str");
    return line_of(@ptrCast(self), otlp.utf8(protocol) orelse "");
}
fn line_of(r: *const Record, protocol: []const u8) ?O {
    var scratch: [1024]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    put_line(&w, r, protocol) catch return py.PyErr_NoMemory();
    return py.PyUnicode_DecodeUTF8(w.written().ptr, @intCast(w.len), null);
}
