//! Python values to OTLP: AnyValue and KeyValue. Knows nothing of log records, contexts or call sites.
//!
//! What the official encoder accepts comes out byte for byte as it writes it; what it refuses (integers beyond 64
//! bits, lone surrogates, cycles, a raising `__str__`) comes out as text. No value makes an encoding fail, but for one
//! that outgrows the writer's size_max.

const py = @import("py.zig");
const wire = @import("wire.zig");
const limits_of = @import("limits.zig");
const O = py.O;
const Writer = wire.Writer;
const Error = wire.Error;
const varint_size = wire.varint_size;
const Limits = limits_of.Limits;
const text_size_max = limits_of.text_size_max;
const cut_value = limits_of.cut_value;

/// Containers nested deeper than this are written as their text; a receiver's parser has such a limit as well.
pub const depth_max = 16;
/// The str's own UTF-8; null without an error for one with lone surrogates.
pub inline fn utf8(string: O) ?[]const u8 {
    var size: isize = 0;
    if (py.PyUnicode_AsUTF8AndSize(string, &size)) |bytes| return bytes[0..@intCast(size)];
    py.PyErr_Clear();
    return null;
}

/// UTF-8 of a Python str. `release` when the bytes are no longer needed; they also need the str to stay alive.
pub const Text = struct {
    bytes: []const u8,
    owner: ?O = null,

    pub inline fn of(string: O) Text {
        if (utf8(string)) |bytes| return .{ .bytes = bytes };
        return of_surrogates(string);
    }

    /// `str(object)`, or a sentence that says why there is none.
    pub fn of_object(object: O, fault: *py.Fault) Text {
        if (py.PyObject_Str(object)) |string| {
            var text = of(string);
            if (text.owner == null) text.owner = string else py.Py_DecRef(string);
            return text;
        }
        fault.absorb();
        return unprintable(object, fault);
    }

    pub inline fn release(text: Text) void {
        if (text.owner) |owner| py.Py_DecRef(owner);
    }

    noinline fn of_surrogates(string: O) Text {
        const encoded = py.PyUnicode_AsEncodedString(string, "utf-8", "surrogatepass") orelse {
            py.PyErr_Clear();
            return .{ .bytes = "" };
        };
        var bytes: ?[*]u8 = null;
        var size: isize = 0;
        if (py.PyBytes_AsStringAndSize(encoded, &bytes, &size) < 0) {
            py.PyErr_Clear();
            py.Py_DecRef(encoded);
            return .{ .bytes = "" };
        }
        const text = bytes.?[0..@intCast(size)]; // ours alone: nobody else has seen `encoded`
        replace_surrogates(text);
        return .{ .bytes = text, .owner = encoded };
    }

    fn unprintable(object: O, fault: *py.Fault) Text {
        const kind: O = @ptrCast(@alignCast(py.type_of(object)));
        const name = py.PyObject_GetAttrString(kind, "__name__");
        defer py.Py_DecRef(name);
        fault.absorb();
        const named = if (name) |n| py.has_flag(py.type_of(n), py.subclass_unicode) else false;
        const name_text = if (named) of(name.?) else Text{ .bytes = "unknown" };
        defer name_text.release();
        var buffer: [128]u8 = undefined;
        var w = Writer.init(&buffer);
        w.raw_unchecked("<unprintable ");
        w.raw_unchecked(wire.utf8_prefix(name_text.bytes, 64));
        w.raw_unchecked(" object>");
        const owner = py.PyBytes_FromStringAndSize(w.bytes, @intCast(w.len)) orelse {
            py.PyErr_Clear();
            return .{ .bytes = "<unprintable object>" };
        };
        return .{ .bytes = py.PyBytes_AsString(owner).?[0..w.len], .owner = owner };
    }
};

/// U+FFFD over each lone surrogate: both take three bytes.
fn replace_surrogates(text: []u8) void {
    var i: usize = 0;
    while (i + 2 < text.len) : (i += 1) {
        if (text[i] == 0xed and text[i + 1] >= 0xa0) @memcpy(text[i..][0..3], "\u{fffd}");
    }
}

/// The ABCs that the SDK's own encoder asks; set when the module is made.
pub var abc_sequence: ?O = null;
pub var abc_mapping: ?O = null;

pub fn init() bool {
    const abc = py.PyImport_ImportModule("collections.abc") orelse return false;
    defer py.Py_DecRef(abc);
    abc_sequence = py.PyObject_GetAttrString(abc, "Sequence") orelse return false;
    abc_mapping = py.PyObject_GetAttrString(abc, "Mapping") orelse return false;
    return true;
}

const Value = union(enum) {
    none,
    boolean: bool,
    int: i64,
    double: f64,
    string: Text,
    bytes: []const u8,
    list: O,
    tuple: O,
    dict: O,
    sequence: O,
    mapping: O,
};

/// The key of a KeyValue: its text, or its encoded field (tag, length, text).
pub const Key = union(enum) {
    text: []const u8,
    encoded: []const u8,

    inline fn size(key: Key) usize {
        return switch (key) {
            .text => |text| 1 + varint_size(text.len) + text.len,
            .encoded => |bytes| bytes.len,
        };
    }
    inline fn put(key: Key, c: *wire.Cursor) void {
        switch (key) {
            .text => |text| {
                c.byte(0x0a);
                c.varint(text.len);
                c.raw(text);
            },
            .encoded => |bytes| c.raw(bytes),
        }
    }
};

/// Encodes into `w` under `limits`; what belongs to the user's program (Ctrl-C in a `__str__`) waits in `fault`.
pub const Encoder = struct {
    w: *Writer,
    limits: *const Limits,
    fault: *py.Fault,

    /// One KeyValue as field `tag` (0x32: an attribute of a log record; 0x0a: an entry of a kvlist).
    pub inline fn key_value(e: *Encoder, tag: u8, key: Key, value: O) Error!void {
        // The two commonest types stay in registers; all others travel as a Value.
        const t = py.type_of(value);
        if (t == &py.PyUnicode_Type) {
            if (utf8(value)) |text| {
                if (e.limits.value_length == 0 and text.len <= text_size_max) return e.tagged_text(tag, key, text);
            }
        } else if (t == &py.PyLong_Type) {
            var overflow: c_int = 0;
            const number = py.PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow == 0) return e.tagged_int(tag, key, number);
        }
        return e.key_value_rare(tag, key, value);
    }
    noinline fn key_value_rare(e: *Encoder, tag: u8, key: Key, value: O) Error!void {
        return e.tagged(tag, key, e.classify(value, 0), 0);
    }
    pub fn key_string(e: *Encoder, tag: u8, key: []const u8, text: []const u8) Error!void {
        return e.tagged(tag, .{ .text = key }, .{ .string = .{ .bytes = text } }, 0); // under the limits
    }
    pub fn key_int(e: *Encoder, tag: u8, key: []const u8, number: i64) Error!void {
        return e.tagged_int(tag, .{ .text = key }, number);
    }
    /// A KeyValue whose value is an array of `values`.
    pub fn key_array(e: *Encoder, tag: u8, key: []const u8, values: []const O) Error!void {
        const begin = try e.begin_key(tag, .{ .text = key });
        const any = try e.begin_container(0x2a);
        for (values) |value| {
            try e.w.byte(0x0a);
            try e.any_value(e.classify(value, 1), 1);
        }
        try e.end_container(any);
        try e.w.patch_length(begin);
    }

    /// Everything of a KeyValue up to its AnyValue of `size` bytes, with room for that.
    inline fn tagged_head(e: *Encoder, tag: u8, key: Key, size: usize) Error!wire.Cursor {
        const key_value_size = key.size() + 1 + varint_size(size) + size;
        var c = try e.w.cursor(1 + wire.varint_size_max + key_value_size);
        c.byte(tag);
        c.varint(key_value_size);
        key.put(&c);
        c.byte(0x12);
        c.varint(size);
        return c;
    }
    inline fn tagged_text(e: *Encoder, tag: u8, key: Key, text: []const u8) Error!void {
        var c = try e.tagged_head(tag, key, 1 + varint_size(text.len) + text.len);
        c.byte(0x0a);
        c.varint(text.len);
        c.raw(text);
        e.w.advance(c);
    }
    pub inline fn tagged_int(e: *Encoder, tag: u8, key: Key, number: i64) Error!void {
        var c = try e.tagged_head(tag, key, 1 + varint_size(@bitCast(number)));
        c.byte(0x18);
        c.varint(@bitCast(number));
        e.w.advance(c);
    }

    pub inline fn tagged_double(e: *Encoder, tag: u8, key: Key, number: f64) Error!void {
        var c = try e.tagged_head(tag, key, 1 + 8);
        c.byte(0x21);
        c.fixed64(@bitCast(number));
        e.w.advance(c);
    }

    fn tagged(e: *Encoder, tag: u8, key: Key, value: Value, depth: u8) Error!void {
        const size = scalar_size(value, e.limits) orelse return e.tagged_container(tag, key, value, depth);
        const c = e.tagged_head(tag, key, size) catch |err| return refuse(value, err);
        e.w.advance(c);
        put_scalar(e.w, value, e.limits);
    }

    noinline fn tagged_container(e: *Encoder, tag: u8, key: Key, value: Value, depth: u8) Error!void {
        const begin = try e.begin_key(tag, key);
        try e.any_value(value, depth);
        try e.w.patch_length(begin);
    }

    /// Everything of a KeyValue up to the length of its value; returns where the KeyValue's own length goes.
    fn begin_key(e: *Encoder, tag: u8, key: Key) Error!usize {
        var c = try e.w.cursor(3 + key.size());
        c.byte(tag);
        const begin = e.w.len + 1;
        c.byte(0);
        key.put(&c);
        c.byte(0x12);
        e.w.advance(c);
        return begin;
    }

    const Container = struct { any: usize, inner: usize };

    fn begin_container(e: *Encoder, tag: u8) Error!Container {
        const w = e.w;
        try w.ensure(3);
        const any = w.len;
        w.byte_unchecked(0);
        w.byte_unchecked(tag);
        const inner = w.len;
        w.byte_unchecked(0);
        return .{ .any = any, .inner = inner };
    }
    fn end_container(e: *Encoder, container: Container) Error!void {
        try e.w.patch_length(container.inner);
        try e.w.patch_length(container.any);
    }

    /// Length and bytes of one AnyValue. `depth`: containers around it.
    fn any_value(e: *Encoder, value: Value, depth: u8) Error!void {
        const w = e.w;
        if (scalar_size(value, e.limits)) |size| {
            w.ensure(wire.varint_size_max + size) catch |err| return refuse(value, err);
            w.varint_unchecked(size);
            put_scalar(w, value, e.limits);
            return;
        }
        switch (value) {
            .list, .tuple, .sequence => {
                const container = try e.begin_container(0x2a);
                switch (value) {
                    .list => |list| try e.list_items(list, depth + 1),
                    .tuple => |tuple| try e.tuple_items(tuple, depth + 1),
                    .sequence => |sequence| try e.sequence_items(sequence, depth + 1),
                    else => unreachable,
                }
                try e.end_container(container);
            },
            .dict => |dict| {
                const container = try e.begin_container(0x32);
                try e.dict_entries(dict, depth + 1);
                try e.end_container(container);
            },
            .mapping => |mapping| {
                const container = try e.begin_container(0x32);
                const dict = py.PyDict_New();
                defer py.Py_DecRef(dict);
                if (dict) |d| {
                    _ = py.PyDict_Update(d, mapping);
                    e.fault.absorb();
                    try e.dict_entries(d, depth + 1);
                } else py.PyErr_Clear();
                try e.end_container(container);
            },
            else => unreachable,
        }
    }

    fn item(e: *Encoder, value: O, depth: u8) Error!void {
        // The container may drop it while a foreign `__str__` runs, hence a reference of our own.
        py.Py_IncRef(value);
        defer py.Py_DecRef(value);
        try e.w.byte(0x0a);
        try e.any_value(e.classify(value, depth), depth);
    }
    fn list_items(e: *Encoder, list: O, depth: u8) Error!void {
        var i: isize = 0;
        while (i < py.PyList_Size(list)) : (i += 1) try e.item(py.PyList_GetItem(list, i) orelse return, depth);
    }
    fn tuple_items(e: *Encoder, tuple: O, depth: u8) Error!void {
        var i: isize = 0;
        while (i < py.PyTuple_Size(tuple)) : (i += 1) try e.item(py.PyTuple_GetItem(tuple, i) orelse return, depth);
    }
    fn sequence_items(e: *Encoder, sequence: O, depth: u8) Error!void {
        const iterator = py.PyObject_GetIter(sequence) orelse return e.fault.absorb();
        defer py.Py_DecRef(iterator);
        while (py.PyIter_Next(iterator)) |value| {
            defer py.Py_DecRef(value);
            try e.item(value, depth);
        }
        e.fault.absorb();
    }

    fn dict_entries(e: *Encoder, dict: O, depth: u8) Error!void {
        const begin = e.w.len;
        var position: isize = 0;
        var key: ?O = null;
        var value: ?O = null;
        while (py.PyDict_Next(dict, &position, &key, &value) != 0) {
            if (py.type_of(key.?) != &py.PyUnicode_Type) {
                e.w.len = begin;
                return e.foreign_entries(dict, depth);
            }
            py.Py_IncRef(key);
            py.Py_IncRef(value);
            defer py.Py_DecRef(key);
            defer py.Py_DecRef(value);
            const text = Text.of(key.?);
            defer text.release();
            if (text.bytes.len == 0) continue;
            try e.tagged(0x0a, .{ .text = text.bytes }, e.classify(value.?, depth), depth);
        }
    }

    /// Entries of a dict with keys that are not plain strings: as the SDK does, `str(key)` if their type defines one.
    fn foreign_entries(e: *Encoder, dict: O, depth: u8) Error!void {
        const cleaned = py.PyDict_New() orelse return py.PyErr_Clear();
        defer py.Py_DecRef(cleaned);
        const copy = py.PyDict_Copy(dict) orelse return py.PyErr_Clear(); // a key's `__str__` may change the dict
        defer py.Py_DecRef(copy);
        var position: isize = 0;
        var key: ?O = null;
        var value: ?O = null;
        while (py.PyDict_Next(copy, &position, &key, &value) != 0) {
            const truth = py.PyObject_IsTrue(key.?);
            e.fault.absorb();
            if (truth == 0) continue;
            if (has_own_text(key.?)) {
                if (py.PyObject_Str(key.?)) |string| {
                    defer py.Py_DecRef(string);
                    _ = py.PyDict_SetItem(cleaned, string, value.?);
                }
            }
            e.fault.absorb();
        }
        return e.dict_entries(cleaned, depth);
    }

    /// What `value` is on the wire. `depth`: containers around it.
    inline fn classify(e: *Encoder, value: O, depth: u8) Value {
        const t = py.type_of(value);
        if (t == &py.PyUnicode_Type) return .{ .string = Text.of(value) };
        if (t == &py.PyLong_Type) {
            var overflow: c_int = 0;
            const number = py.PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow == 0) return .{ .int = number };
        }
        return e.classify_rare(value, t, depth);
    }

    noinline fn classify_rare(e: *Encoder, value: O, t: *py.TypeObject, depth: u8) Value {
        if (py.is_none(value)) return .none;
        if (t == &py.PyBool_Type) return .{ .boolean = value == &py._Py_TrueStruct };
        if (t == &py.PyFloat_Type) return .{ .double = py.PyFloat_AsDouble(value) };
        const flags = py.PyType_GetFlags(t);
        if (flags & py.subclass_unicode != 0) return .{ .string = Text.of(value) };
        if (flags & py.subclass_long != 0) return e.integer(value);
        if (flags & py.subclass_bytes != 0) {
            var bytes: ?[*]u8 = null;
            var size: isize = 0;
            if (py.PyBytes_AsStringAndSize(value, &bytes, &size) < 0) py.PyErr_Clear() else {
                const all = bytes.?[0..@intCast(size)];
                return .{ .bytes = all[0..@min(all.len, text_size_max)] };
            }
        }
        if (py.PyType_IsSubtype(t, &py.PyFloat_Type) != 0) return .{ .double = py.PyFloat_AsDouble(value) };
        if (depth < depth_max) {
            if (flags & py.subclass_list != 0) return .{ .list = value };
            if (flags & py.subclass_tuple != 0) return .{ .tuple = value };
            if (flags & py.subclass_dict != 0) return .{ .dict = value };
            if (e.is_instance(value, abc_sequence.?)) return .{ .sequence = value };
            if (e.is_instance(value, abc_mapping.?)) return .{ .mapping = value };
        }
        if (py.PyIndex_Check(value) != 0) { // numpy's integers
            if (py.PyNumber_Index(value)) |number| {
                defer py.Py_DecRef(number);
                return e.integer(number);
            }
            e.fault.absorb();
        }
        if (!has_own_text(value)) return .none; // `<Thing object at 0x…>` tells a reader nothing; the SDK agrees
        return .{ .string = Text.of_object(value, e.fault) };
    }

    fn is_instance(e: *Encoder, value: O, class: O) bool {
        const answer = py.PyObject_IsInstance(value, class);
        if (answer < 0) e.fault.absorb();
        return answer == 1;
    }

    fn integer(e: *Encoder, value: O) Value {
        var overflow: c_int = 0;
        const number = py.PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow == 0) {
            e.fault.absorb();
            return .{ .int = number };
        }
        return .{ .string = Text.of_object(value, e.fault) };
    }
};

/// Whether the type says how to print itself (else `str()` would give an address).
fn has_own_text(value: O) bool {
    const t = py.type_of(value);
    const base = &py.PyBaseObject_Type;
    return py.PyType_GetSlot(t, py.slot_str) != py.PyType_GetSlot(base, py.slot_str) or
        py.PyType_GetSlot(t, py.slot_repr) != py.PyType_GetSlot(base, py.slot_repr);
}

/// Bytes of the AnyValue, without its own length; null for a container.
inline fn scalar_size(value: Value, limits: *const Limits) ?usize {
    return switch (value) {
        .none => 0,
        .boolean => 2,
        .int => |number| 1 + varint_size(@bitCast(number)),
        .double => 9,
        .string => |text| size: {
            const cut = cut_value(text.bytes, limits);
            const size = cut.text.len + cut.mark.len;
            break :size 1 + varint_size(size) + size;
        },
        .bytes => |bytes| 1 + varint_size(bytes.len) + bytes.len,
        else => null,
    };
}

/// There is no room for `value`: let go of a string's owner.
noinline fn refuse(value: Value, err: Error) Error {
    switch (value) {
        .string => |text| text.release(),
        else => {},
    }
    return err;
}

/// Write what scalar_size measured, and let go of a string's owner.
inline fn put_scalar(w: *Writer, value: Value, limits: *const Limits) void {
    switch (value) {
        .none => {},
        .boolean => |truth| {
            w.byte_unchecked(0x10);
            w.byte_unchecked(@intFromBool(truth));
        },
        .int => |number| {
            w.byte_unchecked(0x18);
            w.varint_unchecked(@bitCast(number));
        },
        .double => |number| {
            w.byte_unchecked(0x21);
            w.fixed64_unchecked(@bitCast(number));
        },
        .string => |text| {
            const cut = cut_value(text.bytes, limits);
            w.byte_unchecked(0x0a);
            w.varint_unchecked(cut.text.len + cut.mark.len);
            w.raw_unchecked(cut.text);
            w.raw_unchecked(cut.mark);
            text.release();
        },
        .bytes => |bytes| {
            w.byte_unchecked(0x3a);
            w.varint_unchecked(bytes.len);
            w.raw_unchecked(bytes);
        },
        else => unreachable,
    }
}
