//! Layout: a format string, compiled by otelbridge/text/layout.py, that renders an event without its record.
//! Whatever Python does differently, or says better, renders as None: Python does it then.

const std = @import("std");
const builtin = @import("builtin");
const py = @import("py.zig");
const wire = @import("wire.zig");
const clock = @import("clock.zig");
const otlp = @import("otlp.zig");
const json = @import("json.zig");
const jsontext = @import("jsontext.zig");
const breaks = @import("breaks.zig");
const controls = @import("controls.zig");
const moment = @import("moment.zig");
const severity = @import("severity.zig");
const context = @import("context.zig");
const events = @import("event.zig");
const O = py.O;
const Writer = wire.Writer;
const Event = events.Event;
const Text = otlp.Text;

/// Unable: Python has to render this event (a Python error may be set, and is not meant for anybody).
const Error = wire.Error || error{Unable};

const Kind = enum {
    // Text of its own.
    literal,
    // Parts of the time: `is_utc` or local.
    time,
    // Fields of the record, as text (padded) or as JSON.
    level,
    @"level.no",
    @"level.icon",
    message,
    name,
    function,
    line,
    module,
    file,
    @"file.path",
    thread,
    @"thread.name",
    process,
    @"process.name",
    elapsed,
    extra,
    // As text only.
    extra_item,
    exception,
    // As JSON only.
    no_exception,
    elapsed_s,
    time_text,
    timestamp,
    severity_number,
    qualified_name,
    more_extra,
    ids,
    layout,

    fn is_field(kind: Kind) bool {
        return @intFromEnum(kind) >= @intFromEnum(Kind.level) and @intFromEnum(kind) <= @intFromEnum(Kind.extra);
    }
};

/// Slices of "YYYY-MM-DDTHH:MM:SS.nnnnnnnnn", and the offset.
const Token = enum { YYYY, MM, DD, HH, mm, ss, S, SS, SSS, SSSS, SSSSS, SSSSSS, Z, ZZ };

const Op = struct {
    kind: Kind,
    as_json: bool = false,
    token: Token = .YYYY,
    is_utc: bool = false,
    /// '<', '>', '^'; 0: as the type of the value would have it. `width` 0: no padding.
    alignment: u8 = 0,
    width: usize = 0,
    fill: []const u8 = " ",
    /// A literal, a fill, a key with its format spec, another layout: alive as long as the tuple of ops.
    text: []const u8 = "",
    object: ?O = null,
    spec: ?O = null,
};

pub const Layout = extern struct {
    head: py.Object,
    source: ?O,
    ops: ?[*]Op,
    count: usize,
    /// Text of users that needs escaping is left to Python.
    sanitize: bool,
};
pub var layout_type: ?*py.TypeObject = null;

// ---------------------------------------------------------------------------------------------------- construction

/// Layout(ops, sanitize)
pub fn new(t: *py.TypeObject, args: O, _: ?O) callconv(.c) ?O {
    if (py.PyTuple_Size(args) != 2) return py.type_error("Layout takes (ops, sanitize)");
    const source = py.PyTuple_GetItem(args, 0).?;
    if (!py.has_flag(py.type_of(source), py.subclass_tuple)) return py.type_error("Layout: ops must be a tuple");
    const sanitize = py.PyObject_IsTrue(py.PyTuple_GetItem(args, 1).?);
    if (sanitize < 0) return null;
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const layout: *Layout = @ptrCast(self);
    layout.source = py.new_ref(source);
    layout.sanitize = sanitize == 1;
    const count: usize = @intCast(py.PyTuple_Size(source));
    layout.ops = @ptrCast(@alignCast(wire.malloc(@sizeOf(Op) * (count + 1)) orelse {
        py.Py_DecRef(self);
        return py.PyErr_NoMemory();
    }));
    for (0..count) |i| {
        layout.ops.?[i] = read_op(py.PyTuple_GetItem(source, @intCast(i)).?) orelse {
            py.Py_DecRef(self);
            return py.type_error("Layout: an op is not one of those that otelbridge/text/layout.py makes");
        };
        layout.count += 1;
    }
    return self;
}

/// (kind, …) as text/layout.py makes them; null for anything else.
fn read_op(source: O) ?Op {
    const kind_text = text_at(source, 0) orelse return null;
    if (std.mem.eql(u8, kind_text, "json")) {
        const field = std.meta.stringToEnum(Kind, text_at(source, 1) orelse return null) orelse return null;
        return if (field.is_field()) .{ .kind = field, .as_json = true } else null;
    }
    var op = Op{ .kind = std.meta.stringToEnum(Kind, kind_text) orelse return null };
    switch (op.kind) {
        .literal, .no_exception => op.text = text_at(source, 1) orelse return null,
        .time => {
            op.token = std.meta.stringToEnum(Token, text_at(source, 1) orelse return null) orelse return null;
            op.is_utc = (item_at(source, 2) orelse return null) == &py._Py_TrueStruct;
        },
        .extra_item => {
            op.object = item_at(source, 1) orelse return null;
            _ = text_at(source, 2) orelse return null;
            op.spec = item_at(source, 2);
        },
        .more_extra, .ids => {
            op.object = item_at(source, 1) orelse return null;
            if (!py.has_flag(py.type_of(op.object.?), py.subclass_tuple)) return null;
            const count = py.PyTuple_Size(op.object.?);
            if (count > names_max or (op.kind == .ids and count != 5)) return null;
            for (0..@intCast(count)) |i| _ = text_at(op.object.?, i) orelse return null;
        },
        .layout => {
            op.object = item_at(source, 1) orelse return null;
            if (py.type_of(op.object.?) != layout_type.?) return null;
        },
        else => if (op.kind.is_field() and py.PyTuple_Size(source) > 1) {
            const alignment = text_at(source, 1) orelse return null;
            op.alignment = if (alignment.len > 0) alignment[0] else 0;
            op.fill = text_at(source, 2) orelse return null;
            const width = py.PyLong_AsLongLong(item_at(source, 3) orelse return null);
            if (width < 0 or width > 10_000) {
                py.PyErr_Clear();
                return null;
            }
            op.width = @intCast(width);
        },
    }
    return op;
}
const names_max = 16;

fn item_at(source: O, index: usize) ?O {
    if (!py.has_flag(py.type_of(source), py.subclass_tuple)) return null;
    if (index >= @as(usize, @intCast(py.PyTuple_Size(source)))) return null;
    return py.PyTuple_GetItem(source, @intCast(index));
}
fn text_at(source: O, index: usize) ?[]const u8 {
    const object = item_at(source, index) orelse return null;
    if (!py.has_flag(py.type_of(object), py.subclass_unicode)) return null;
    return otlp.utf8(object);
}

pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const layout: *Layout = @ptrCast(self);
    for ([_]?O{ layout.source, @ptrCast(@alignCast(py.type_of(self))) }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(_: O) callconv(.c) c_int {
    return 0; // the ops are a tuple of tuples of constants: whatever cycle there is ends elsewhere
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const layout: *Layout = @ptrCast(self);
    wire.free(@ptrCast(layout.ops));
    py.clear(&layout.source);
    context.free_instance(self);
}

// ---------------------------------------------------------------------------------------------------- rendering

/// render(event, exception_text) -> str or None
pub fn render(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    const layout: *Layout = @ptrCast(self);
    if (count != 2 or py.type_of(arguments[0]) != events.event_type.?)
        return py.type_error("render takes (event, exception_text)");
    const event: *Event = @ptrCast(arguments[0]);
    const exception = if (py.type_of(arguments[1]) == &py.PyUnicode_Type) otlp.utf8(arguments[1]) else null;
    if (event.record != null or exception == null) return py.none();
    var fault = py.Fault{};
    var scratch: [2048]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    var rendering = Rendering{ .event = event, .exception = exception.?, .fault = &fault };
    defer py.Py_DecRef(rendering.process);
    const result = rendering.put_all(layout, &w);
    if (fault.restore()) return null;
    result catch {
        fault.absorb();
        return if (fault.restore()) null else py.none();
    };
    return py.PyUnicode_FromStringAndSize(w.bytes, @intCast(w.len));
}

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnn`, and how far it is from UTC.
const Time = struct { text: [clock.text_size_max]u8, offset_s: i64 };
var local_cache = clock.Cache{};
var utc_cache = clock.Cache{};

const unknown = "<unknown>";

/// An event that is being rendered, and what was learnt of it on the way.
const Rendering = struct {
    event: *Event,
    exception: []const u8,
    fault: *py.Fault,
    local: ?Time = null,
    utc: ?Time = null,
    process: ?O = null,

    fn put_all(r: *Rendering, layout: *const Layout, w: *Writer) Error!void {
        for (layout.ops.?[0..layout.count]) |*op| {
            if (op.kind == .literal) try w.raw(op.text) else try r.put(op, layout.sanitize, w);
        }
    }

    fn put(r: *Rendering, op: *const Op, sanitize: bool, w: *Writer) Error!void {
        switch (op.kind) {
            .literal => unreachable,
            .time => try put_token(w, op.token, try r.time(op.is_utc)),
            .level => try put_text(w, op, sanitize, try item_text(r.event.level, 0)),
            .@"level.no" => try put_int(w, op, try item_int(r.event.level, 1)),
            .@"level.icon" => try put_text(w, op, sanitize, try item_text(r.event.level, 2)),
            .message => {
                const shown = sanitize and !op.as_json;
                try put_text(w, op, sanitize, try text_of(if (shown) r.event.shown else r.event.message));
            },
            .name => try r.put_name(w, op, sanitize),
            .function => try put_text(w, op, sanitize, try r.site_text(1)),
            .line => try put_int(w, op, if (r.event.site) |site| try item_int(site, 2) else 0),
            .module => try put_text(w, op, sanitize, stem(basename(try r.site_text(3)))),
            .file => try put_text(w, op, sanitize, basename(try r.site_text(3))),
            .@"file.path" => try put_text(w, op, sanitize, try r.site_text(3)),
            .thread => try put_int(w, op, std.math.cast(i64, r.event.thread_id) orelse return error.Unable),
            .@"thread.name" => try put_text(w, op, sanitize, try text_of(r.event.thread_name)),
            .process => try put_int(w, op, try item_int(try r.current_process(), 0)),
            .@"process.name" => try put_text(w, op, sanitize, try item_text(try r.current_process(), 1)),
            .elapsed => {
                var buffer: [elapsed_size_max]u8 = undefined;
                try put_text(w, op, false, elapsed_text(&buffer, r.elapsed_us()));
            },
            .extra => try r.put_extra(w, op, sanitize),
            .extra_item => try r.put_extra_item(w, op, sanitize),
            .exception => try w.raw(r.exception),
            .no_exception => if (r.event.exception == null) try w.raw(op.text) else return error.Unable,
            .elapsed_s => try jsontext.put_millionths(w, r.elapsed_us()),
            .time_text => try put_time_text(w, try r.time(false)),
            .timestamp => try jsontext.put_millionths(w, @divFloor(r.event.time_ns, 1000)),
            .severity_number => try w.decimal(severity.number_of(try item_int(r.event.level, 1))),
            .qualified_name => try jsontext.put_string(w, try r.site_text(4)),
            .more_extra => try r.put_more_extra(w, op),
            .ids => try r.put_ids(w, op),
            .layout => try r.put_layout(w, op),
        }
    }

    fn time(r: *Rendering, is_utc: bool) Error!*const Time {
        const known = if (is_utc) &r.utc else &r.local;
        if (known.* == null) {
            const second = @divFloor(r.event.time_ns, clock.ns_per_s);
            var made = Time{ .text = undefined, .offset_s = if (is_utc) 0 else moment.offset_s(second) orelse return error.Unable };
            _ = clock.put_time(if (is_utc) &utc_cache else &local_cache, &made.text, r.event.time_ns, made.offset_s, 'T', 9);
            known.* = made;
        }
        return &known.*.?;
    }

    fn elapsed_us(r: *const Rendering) i64 {
        return @divFloor(r.event.elapsed_ns, 1000);
    }

    fn site_text(r: *const Rendering, index: isize) Error![]const u8 {
        return if (r.event.site) |site| item_text(site, index) else unknown;
    }

    fn put_name(r: *const Rendering, w: *Writer, op: *const Op, sanitize: bool) Error!void {
        const name = if (r.event.site) |site| py.PyTuple_GetItem(site, 0) else null;
        if (name == null or py.is_none(name.?)) {
            if (op.width > 0) return error.Unable; // as str.format: None has no format spec
            return w.raw(if (op.as_json) "null" else "None");
        }
        try put_text(w, op, sanitize, try text_of(name));
    }

    fn current_process(r: *Rendering) Error!O {
        if (r.process == null) {
            const ask = py.new_ref(events.current_process orelse return error.Unable);
            defer py.Py_DecRef(ask);
            r.process = py.PyObject_CallNoArgs(ask) orelse return error.Unable;
        }
        return r.process.?;
    }

    fn put_extra(r: *const Rendering, w: *Writer, op: *const Op, sanitize: bool) Error!void {
        const extra = py.new_ref(r.event.extra orelse return w.raw("{}"));
        defer py.Py_DecRef(extra);
        if (op.as_json) return json.put(w, extra, r.fault);
        if (op.width > 0) return error.Unable; // a dict has no format spec
        const string = py.PyObject_Str(extra) orelse return error.Unable;
        defer py.Py_DecRef(string);
        try put_text(w, op, sanitize, try text_of(string));
    }

    fn put_extra_item(r: *const Rendering, w: *Writer, op: *const Op, sanitize: bool) Error!void {
        const extra = r.event.extra orelse return error.Unable;
        const value = py.new_ref(py.PyDict_GetItemWithError(extra, op.object.?) orelse return error.Unable);
        defer py.Py_DecRef(value);
        const string = py.PyObject_Format(value, op.spec) orelse return error.Unable;
        defer py.Py_DecRef(string);
        try put_text(w, op, sanitize, try text_of(string));
    }

    fn put_more_extra(r: *const Rendering, w: *Writer, op: *const Op) Error!void {
        const extra = py.new_ref(r.event.extra orelse return);
        defer py.Py_DecRef(extra);
        var names: [names_max][]const u8 = undefined;
        const count: usize = @intCast(py.PyTuple_Size(op.object.?));
        for (0..count) |i| names[i] = text_at(op.object.?, i).?;
        if (!try json.put_more_entries(w, extra, names[0..count], r.fault)) return error.Unable;
    }

    /// The ids between texts: before and behind the trace id, before and behind the span id, before the flags (if any).
    fn put_ids(r: *const Rendering, w: *Writer, op: *const Op) Error!void {
        const ids = r.event.ids_of() orelse return;
        const around = op.object.?;
        try w.raw(text_at(around, 0).?);
        try w.raw(&std.fmt.bytesToHex(ids.trace, .lower));
        try w.raw(text_at(around, 1).?);
        if (ids.span) |span| {
            try w.raw(text_at(around, 2).?);
            try w.raw(&std.fmt.bytesToHex(span, .lower));
            try w.raw(text_at(around, 3).?);
        }
        const before_flags = text_at(around, 4).?;
        if (before_flags.len == 0) return;
        try w.raw(before_flags);
        try w.decimal(ids.flags);
    }

    fn put_layout(r: *Rendering, w: *Writer, op: *const Op) Error!void {
        var scratch: [1024]u8 = undefined;
        var inner = Writer.init(&scratch);
        defer inner.deinit();
        try r.put_all(@ptrCast(op.object.?), &inner);
        try jsontext.put_string(w, inner.written());
    }
};

fn text_of(object: ?O) Error![]const u8 {
    const o = object orelse return error.Unable;
    if (py.type_of(o) != &py.PyUnicode_Type) return error.Unable;
    return otlp.utf8(o) orelse error.Unable;
}
fn item_of(tuple: ?O, index: isize) Error!O {
    const t = tuple orelse return error.Unable;
    if (!py.has_flag(py.type_of(t), py.subclass_tuple)) return error.Unable;
    return py.PyTuple_GetItem(t, index) orelse error.Unable;
}
fn item_text(tuple: ?O, index: isize) Error![]const u8 {
    return text_of(try item_of(tuple, index));
}
fn item_int(tuple: ?O, index: isize) Error!i64 {
    const item = try item_of(tuple, index);
    if (py.type_of(item) != &py.PyLong_Type) return error.Unable;
    var overflow: c_int = 0;
    const number = py.PyLong_AsLongLongAndOverflow(item, &overflow);
    return if (overflow == 0) number else error.Unable;
}

fn put_text(w: *Writer, op: *const Op, sanitize: bool, text: []const u8) Error!void {
    if (op.as_json) return jsontext.put_string(w, text);
    // A message may break its lines itself; what else stands in a line may not.
    if (sanitize and (!controls.has_none(text) or (op.kind != .message and breaks.count(text).breaks > 0)))
        return error.Unable;
    if (op.width == 0) return w.raw(text);
    return put_padded(w, op, text, '<');
}
fn put_int(w: *Writer, op: *const Op, number: i64) Error!void {
    if (op.width == 0) return w.decimal(number);
    var digits: [wire.decimal_size_max]u8 = undefined;
    return put_padded(w, op, digits[0..wire.put_decimal(&digits, number)], '>');
}
fn put_padded(w: *Writer, op: *const Op, text: []const u8, usual: u8) Error!void {
    var length: usize = 0;
    for (text) |byte| length += @intFromBool(byte & 0xc0 != 0x80); // code points
    const gap = op.width -| length;
    const before = switch (if (op.alignment == 0) usual else op.alignment) {
        '<' => 0,
        '>' => gap,
        else => gap / 2,
    };
    for (0..before) |_| try w.raw(op.fill);
    try w.raw(text);
    for (before..gap) |_| try w.raw(op.fill);
}

fn put_token(w: *Writer, token: Token, time: *const Time) Error!void {
    const text = &time.text;
    const fraction = clock.text_size + 1;
    return w.raw(switch (token) {
        .YYYY => text[0..4],
        .MM => text[5..7],
        .DD => text[8..10],
        .HH => text[11..13],
        .mm => text[14..16],
        .ss => text[17..19],
        .S => text[fraction..][0..1],
        .SS => text[fraction..][0..2],
        .SSS => text[fraction..][0..3],
        .SSSS => text[fraction..][0..4],
        .SSSSS => text[fraction..][0..5],
        .SSSSSS => text[fraction..][0..6],
        .Z => return put_offset(w, time.offset_s, ":"),
        .ZZ => return put_offset(w, time.offset_s, ""),
    });
}
fn put_offset(w: *Writer, offset_s: i64, separator: []const u8) Error!void {
    if (@mod(offset_s, 60) != 0) return error.Unable; // local mean time, long ago
    const minutes: usize = @intCast(@divExact(@as(i64, @intCast(@abs(offset_s))), 60));
    try w.ensure(8);
    w.byte_unchecked(if (offset_s < 0) '-' else '+');
    wire.put_pair(w.bytes + w.len, minutes / 60);
    w.len += 2;
    w.raw_unchecked(separator);
    wire.put_pair(w.bytes + w.len, minutes % 60);
    w.len += 2;
}
/// `str(datetime)` in quotes: without a fraction on a whole second.
fn put_time_text(w: *Writer, time: *const Time) Error!void {
    try w.byte('"');
    try w.raw(time.text[0..10]);
    try w.byte(' ');
    const fraction = time.text[clock.text_size..][0..7];
    try w.raw(time.text[11..clock.text_size]);
    if (!std.mem.eql(u8, fraction, ".000000")) try w.raw(fraction);
    try put_offset(w, time.offset_s, ":");
    try w.byte('"');
}

const elapsed_size_max = "-106752 days, 23:59:59.999999".len; // all that 64 bits of nanoseconds hold

/// `str(timedelta)`
fn elapsed_text(buffer: *[elapsed_size_max]u8, elapsed_us: i64) []const u8 {
    const day_us = 86_400_000_000;
    const days = @divFloor(elapsed_us, day_us);
    const us: usize = @intCast(@mod(elapsed_us, day_us));
    const second = us / 1_000_000;
    var w = Writer.init(buffer);
    if (days != 0) {
        w.len += wire.put_decimal(w.bytes, days);
        w.raw_unchecked(if (@abs(days) == 1) " day, " else " days, ");
    }
    w.len += wire.put_decimal(w.bytes + w.len, @intCast(second / 3600));
    for ([_]usize{ second / 60 % 60, second % 60 }) |part| {
        w.byte_unchecked(':');
        wire.put_pair(w.bytes + w.len, part);
        w.len += 2;
    }
    const fraction = us % 1_000_000;
    if (fraction > 0) {
        w.byte_unchecked('.');
        for ([_]usize{ fraction / 10_000, fraction / 100 % 100, fraction % 100 }) |part| {
            wire.put_pair(w.bytes + w.len, part);
            w.len += 2;
        }
    }
    return w.written();
}

/// What follows the last separator.
pub fn basename(path: []const u8) []const u8 {
    var begin = path.len;
    while (begin > 0) : (begin -= 1) {
        const byte = path[begin - 1];
        if (byte == '/' or (builtin.os.tag == .windows and (byte == '\\' or byte == ':'))) break;
    }
    return path[begin..];
}
/// A file's name without its ending; dots that it begins with are no ending.
fn stem(name: []const u8) []const u8 {
    const dot = std.mem.lastIndexOfScalar(u8, name, '.') orelse return name;
    for (name[0..dot]) |byte| if (byte != '.') return name[0..dot];
    return name;
}

pub var methods = [_]py.MethodDef{ .method("render", &render, py.METH_FASTCALL), .{} };
