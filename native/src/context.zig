//! What surrounds a log call: attributes bound or contextualized (AttrSet), the current span (TraceCache), the thread
//! (ThreadCache). Each is encoded when it changes, so that a call only copies bytes.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const limits = @import("limits.zig");
const record = @import("record.zig");
const own = @import("own.zig");
const access = @import("access.zig");
const Verdict = @import("redaction.zig").Verdict;
const O = py.O;
const Text = otlp.Text;
const Writer = wire.Writer;

// ---------------------------------------------------------------------------------------------------- attributes

/// Immutable attributes of a bound logger or a `contextualize` block.
pub const AttrSet = extern struct {
    head: py.Object,
    /// What Python sinks see (a dict nobody changes).
    values: ?O,
    /// Names in `values` that are id fields on the wire, not attributes (a tuple of str).
    hidden: ?O,
    /// For a trace id that marks records only: the span that was current when the block was entered, or None.
    mark_span: ?O,
    /// The attributes, encoded; null when a value could still change, and must be read at each call.
    bytes: ?[*]u8,
    len: usize,
    count: usize,
    bits: u64,
    reserved: bool,
    has_mark: bool,
    mark: [16]u8,
    /// What the redaction policy of that generation says of the values.
    judged_by: u32,
    verdict: Verdict,
    /// The access record of the request that this was entered in.
    owner: ?*access.Record,

    /// Belong to the request that `outer` belongs to, if it does.
    fn join(set: *AttrSet, outer: ?*const AttrSet) void {
        const around = outer orelse return;
        const owner = around.owner orelse return;
        set.owner = @ptrCast(py.new_ref(@ptrCast(owner)));
        owner.entered(set);
    }
};

pub var attr_set_type: ?*py.TypeObject = null;
/// The encoding of no attributes.
var no_bytes: [1]u8 = .{0};
/// What stands for no values: a dict that nobody changes.
var no_values: ?O = null;

/// AttrSet(values: dict, hidden: tuple = (), trace_id: bytes | None = None, span: object = None, outer: AttrSet | None = None)
pub fn attr_set_new(t: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    const count = py.PyTuple_Size(args);
    const extra = if (kwargs) |k| py.PyDict_Size(k) else 0;
    if (count < 1 or count > 5 or extra != 0) {
        py.PyErr_SetString(py.PyExc_TypeError, "AttrSet takes (values, hidden=(), trace_id=None, span=None, outer=None)");
        return null;
    }
    const values = py.PyTuple_GetItem(args, 0).?;
    if (!py.has_flag(py.type_of(values), py.subclass_dict)) {
        py.PyErr_SetString(py.PyExc_TypeError, "AttrSet: values must be a dict");
        return null;
    }
    const hidden = if (count > 1) py.PyTuple_GetItem(args, 1).? else null;
    if (hidden != null and !py.has_flag(py.type_of(hidden.?), py.subclass_tuple)) {
        py.PyErr_SetString(py.PyExc_TypeError, "AttrSet: hidden must be a tuple");
        return null;
    }
    const outer = if (count > 4) py.PyTuple_GetItem(args, 4).? else &py._Py_NoneStruct;
    if (!py.is_none(outer) and attr_set_of(outer) == null) return py.type_error("AttrSet: outer must be an AttrSet or None");
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const set: *AttrSet = @ptrCast(self);
    set.values = py.new_ref(values);
    if (hidden) |names| set.hidden = if (py.PyTuple_Size(names) > 0) py.new_ref(names) else null;
    if (count > 2 and !py.is_none(py.PyTuple_GetItem(args, 2).?)) {
        var bytes: ?[*]u8 = null;
        var size: isize = 0;
        if (py.PyBytes_AsStringAndSize(py.PyTuple_GetItem(args, 2).?, &bytes, &size) < 0 or size != 16) {
            if (py.PyErr_Occurred() == null)
                py.PyErr_SetString(py.PyExc_ValueError, "AttrSet: trace_id must be 16 bytes");
            py.Py_DecRef(self);
            return null;
        }
        set.mark = bytes.?[0..16].*;
        set.has_mark = true;
        set.mark_span = py.new_ref(if (count > 3) py.PyTuple_GetItem(args, 3).? else &py._Py_NoneStruct);
    }
    encode_set(set);
    set.join(attr_set_of(outer));
    return self;
}

/// The attributes of a block without ids, inside `outer`: a new AttrSet; null: a Python error is set.
pub fn attr_set_inside(outer: ?*const AttrSet, values: O) ?O {
    const merged = if (outer) |set| py.PyDict_Copy(set.values.?) orelse return null else py.new_ref(values);
    defer py.Py_DecRef(merged);
    if (outer != null and py.PyDict_Update(merged, values) < 0) return null;
    const self = py.PyType_GenericAlloc(attr_set_type.?, 0) orelse return null;
    const set: *AttrSet = @ptrCast(self);
    set.values = py.new_ref(merged);
    if (outer) |around| inherit(set, around);
    encode_set(set);
    set.join(outer);
    return self;
}
/// What surrounds a request: `outer`, but blocks that are entered in it are its record's. As attr_set_inside.
pub fn attr_set_of_request(outer: ?*const AttrSet, owner: O) ?O {
    const self = py.PyType_GenericAlloc(attr_set_type.?, 0) orelse return null;
    const set: *AttrSet = @ptrCast(self);
    set.owner = @ptrCast(py.new_ref(owner));
    if (outer) |around| {
        set.values = py.new_ref(around.values.?);
        inherit(set, around);
    } else {
        if (no_values == null) no_values = py.PyDict_New() orelse {
            py.Py_DecRef(self);
            return null;
        };
        set.values = py.new_ref(no_values.?);
    }
    encode_set(set);
    return self;
}
fn inherit(set: *AttrSet, outer: *const AttrSet) void {
    set.hidden = outer.hidden;
    set.mark_span = outer.mark_span;
    set.has_mark = outer.has_mark;
    set.mark = outer.mark;
    py.Py_IncRef(set.hidden);
    py.Py_IncRef(set.mark_span);
}

/// Encode the attributes ahead of the calls, if none of them can change until then.
fn encode_set(set: *AttrSet) void {
    var buffer: [1024]u8 = undefined;
    var w = Writer.init(&buffer);
    defer w.deinit();
    const no_limits = limits.Limits{};
    var fault = py.Fault{};
    var encoder = otlp.Encoder{ .w = &w, .limits = &no_limits, .fault = &fault };
    var encodable = true;
    var position: isize = 0;
    var key: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(set.values.?, &position, &key, &value) != 0) {
        if (!py.has_flag(py.type_of(key.?), py.subclass_unicode)) {
            encodable = false;
            continue;
        }
        const text = Text.of(key.?);
        defer text.release();
        set.bits |= record.name_bit(text.bytes);
        set.reserved = set.reserved or record.is_reserved(text.bytes);
        if (is_hidden(set, key.?)) continue;
        if (text.bytes.len == 0 or !is_constant(value.?)) {
            encodable = false;
            continue;
        }
        encoder.key_value(record.attribute_tag, .{ .text = text.bytes }, value.?) catch {
            encodable = false;
            break;
        };
        set.count += 1;
    }
    if (!encodable) return;
    if (w.len == 0) {
        set.bytes = &no_bytes;
        return;
    }
    const bytes = wire.duplicate(w.written()) orelse return;
    set.bytes = bytes.ptr;
    set.len = bytes.len;
}

pub fn is_hidden(set: *const AttrSet, key: O) bool {
    const hidden = set.hidden orelse return false;
    const count: usize = @intCast(py.PyTuple_Size(hidden));
    const name = Text.of(key);
    defer name.release();
    for (0..count) |i| {
        const other = Text.of(py.PyTuple_GetItem(hidden, @intCast(i)).?);
        defer other.release();
        if (std.mem.eql(u8, name.bytes, other.bytes)) return true;
    }
    return false;
}

/// Exactly the built-in immutable scalars: their encoding now is their encoding at any later call.
fn is_constant(value: O) bool {
    const t = py.type_of(value);
    if (t == &py.PyUnicode_Type) { // a long text is cut by limits that may be set later
        const text = Text.of(value);
        defer text.release();
        return text.bytes.len <= 4096;
    }
    return t == &py.PyLong_Type or t == &py.PyBool_Type or t == &py.PyFloat_Type or py.is_none(value);
}

pub fn attr_set_traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const set: *AttrSet = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ set.values, set.hidden, set.mark_span, @ptrCast(set.owner), kind }) |object| {
        if (object) |o| {
            const result = visit(o, arg);
            if (result != 0) return result;
        }
    }
    return 0;
}
pub fn attr_set_clear(self: O) callconv(.c) c_int {
    const set: *AttrSet = @ptrCast(self);
    // `values` stays: a set that is being collected may still be asked for it, and a dict can be emptied by its own clear.
    py.clear(&set.mark_span);
    py.clear(@ptrCast(&set.owner));
    return 0;
}
pub fn attr_set_dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const set: *AttrSet = @ptrCast(self);
    py.clear(&set.values);
    py.clear(&set.hidden);
    py.clear(&set.mark_span);
    py.clear(@ptrCast(&set.owner));
    if (set.bytes != @as([*]u8, &no_bytes)) wire.free(set.bytes);
    free_instance(self);
}
pub fn attr_set_get_values(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const set: *AttrSet = @ptrCast(self);
    return py.new_ref(set.values.?);
}
pub fn attr_set_get_hidden(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const set: *AttrSet = @ptrCast(self);
    return if (set.hidden) |hidden| py.new_ref(hidden) else py.PyTuple_New(0);
}

/// The object as an AttrSet, if it is one.
pub fn attr_set_of(object: ?O) ?*AttrSet {
    const o = object orelse return null;
    return if (py.type_of(o) == attr_set_type.?) @ptrCast(o) else null;
}

/// (trace id, span at entry) of a mark, or None
pub fn attr_set_get_mark(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const set: *AttrSet = @ptrCast(self);
    if (!set.has_mark) return py.none();
    const tuple = py.PyTuple_New(2) orelse return null;
    const id = py.PyBytes_FromStringAndSize(&set.mark, set.mark.len) orelse {
        py.Py_DecRef(tuple);
        return null;
    };
    _ = py.PyTuple_SetItem(tuple, 0, id);
    _ = py.PyTuple_SetItem(tuple, 1, py.new_ref(set.mark_span orelse &py._Py_NoneStruct));
    return tuple;
}

/// The end of every tp_dealloc of a heap type: give the memory and the reference to the type back.
pub fn free_instance(self: O) void {
    const t = py.type_of(self);
    const free: *const fn (?*anyopaque) callconv(.c) void = @ptrCast(@alignCast(py.PyType_GetSlot(t, py.slot_free).?));
    free(self);
    py.Py_DecRef(@ptrCast(@alignCast(t)));
}

// ---------------------------------------------------------------------------------------------------- current span

/// Flags, trace id and span id of a record, encoded (fields 8, 9, 10); empty when there are none.
pub const TraceField = struct {
    bytes: [size_max]u8 = undefined,
    len: u8 = 0,

    pub const size_max = 5 + 18 + 10;

    /// Copy what TraceCache.read gave: `bytes` may lie in this field.
    pub fn keep(field: *TraceField, bytes: []const u8) void {
        std.mem.copyForwards(u8, field.bytes[0..bytes.len], bytes);
        field.len = @intCast(bytes.len);
    }

    pub fn set(field: *TraceField, flags: u32, trace_id: ?[16]u8, span_id: ?[8]u8) void {
        var w = Writer.init(&field.bytes);
        if (flags != 0) {
            w.byte_unchecked(0x45);
            w.fixed32_unchecked(flags);
        }
        if (trace_id) |id| {
            w.byte_unchecked(0x4a);
            w.byte_unchecked(16);
            w.raw_unchecked(&id);
        }
        if (span_id) |id| {
            w.byte_unchecked(0x52);
            w.byte_unchecked(8);
            w.raw_unchecked(&id);
        }
        field.len = @intCast(w.len);
    }
};

/// What a TraceField says.
pub const Ids = struct {
    trace: [16]u8,
    span: ?[8]u8,
    flags: u32,

    pub fn of(field: []const u8) ?Ids {
        var rest = field;
        var ids = Ids{ .trace = undefined, .span = null, .flags = 0 };
        if (rest.len > 0 and rest[0] == 0x45) {
            ids.flags = std.mem.readInt(u32, rest[1..5], .little);
            rest = rest[5..];
        }
        if (rest.len < 18) return null;
        ids.trace = rest[2..18].*;
        if (rest.len >= 28) ids.span = rest[20..28].*;
        return ids;
    }
};

/// Ids of the current span by identity of OTel's immutable Context object. A few ways, as asyncio's tasks take turns.
pub const TraceCache = struct {
    /// OTel's own ContextVar and the key of the current span in its Context; null until OTel is imported.
    variable: ?O = null,
    span_key: ?O = null,
    /// Another runtime context than ContextVars: what stands in `variable` is asked by its method.
    by_method: bool = false,
    ways: [way_count]Way = @splat(.{}),
    next: usize = 0,

    var names: struct { get_span_context: ?O = null, trace_id: ?O = null, span_id: ?O = null, trace_flags: ?O = null } = .{};
    var sixty_four: ?O = null;
    var span_context_type: ?*py.TypeObject = null;

    pub fn init() bool {
        inline for (@typeInfo(@TypeOf(names)).@"struct".fields) |field|
            @field(names, field.name) = py.PyUnicode_InternFromString(field.name) orelse return false;
        sixty_four = py.PyLong_FromLong(64) orelse return false;
        return true;
    }

    const way_count = 4;
    /// `span` is borrowed from the context; null when the context has none.
    const Way = struct { context: ?O = null, span: ?O = null, field: TraceField = .{} };

    /// The ids that a record made now carries, as fields 8 to 10. `mark`: the AttrSet of the innermost contextualize
    /// block. The slice lies in the cache or in `room`, and is good until Python code runs.
    pub inline fn read(cache: *TraceCache, room: *TraceField, mark: ?*const AttrSet, fault: *py.Fault) []const u8 {
        return cache.read_in(null, room, mark, fault);
    }
    /// The same in another context than the current one.
    pub inline fn read_in(cache: *TraceCache, other: ?O, room: *TraceField, mark: ?*const AttrSet, fault: *py.Fault) []const u8 {
        var ids: []const u8 = "";
        var span: ?O = null;
        if (cache.variable) |variable| {
            const current = if (other) |given|
                py.new_ref(given)
            else if (cache.by_method) py.context_var_get_slow(variable) else py.context_var_get(variable);
            if (current) |context| {
                const way = cache.find(context) orelse cache.resolve(context, fault);
                ids = way.field.bytes[0..way.field.len];
                span = way.span;
                py.Py_DecRef(context); // the cache holds it, too
            }
        }
        if (mark) |set| {
            if (set.has_mark) return apply_mark(ids, room, set, span);
        }
        return ids;
    }

    inline fn find(cache: *TraceCache, context: O) ?*Way {
        for (&cache.ways) |*way| {
            if (way.context == context) return way;
        }
        return null;
    }

    noinline fn resolve(cache: *TraceCache, context: O, fault: *py.Fault) *Way {
        // Python code runs here (get_span_context may be anyone's), and may log: fill a local, publish at the end.
        var fresh = Way{ .context = py.new_ref(context) };
        fresh.span = py.PyDict_GetItemWithError(context, cache.span_key.?);
        if (fresh.span) |span| {
            py.Py_IncRef(span);
            read_span(&fresh.field, span);
            py.Py_DecRef(span);
        }
        fault.absorb();
        const way = cache.put(fresh);
        // Dropping the old context may have run a destructor that logs, and so moved the cache on.
        return cache.find(context) orelse way;
    }

    fn put(cache: *TraceCache, fresh: Way) *Way {
        const way = &cache.ways[cache.next];
        cache.next = (cache.next + 1) % way_count;
        const old = way.context;
        way.* = fresh;
        py.Py_DecRef(old);
        return way;
    }
    /// Whoever has made a context knows the ids in it.
    pub fn know(cache: *TraceCache, context: O, field: TraceField) void {
        const span = py.PyDict_GetItemWithError(context, cache.span_key orelse return);
        if (span == null) return py.PyErr_Clear();
        _ = cache.put(.{ .context = py.new_ref(context), .span = span, .field = field });
    }

    fn read_span(field: *TraceField, span: O) void {
        const method = py.PyObject_GetAttr(span, names.get_span_context.?) orelse return;
        defer py.Py_DecRef(method);
        const context = py.PyObject_CallNoArgs(method) orelse return;
        defer py.Py_DecRef(context);
        const trace_id = part_of(context, 0) orelse return;
        defer py.Py_DecRef(trace_id);
        const span_id = part_of(context, 1) orelse return;
        defer py.Py_DecRef(span_id);
        const flags = part_of(context, 3) orelse return;
        defer py.Py_DecRef(flags);
        if (@as(?*py.TypeObject, py.type_of(context)) != span_context_type) learn(context, .{ trace_id, span_id, flags });
        const high_part = py.PyNumber_Rshift(trace_id, sixty_four.?) orelse return;
        defer py.Py_DecRef(high_part);
        const high = py.PyLong_AsUnsignedLongLong(high_part);
        const low = py.PyLong_AsUnsignedLongLongMask(trace_id);
        const span_number = py.PyLong_AsUnsignedLongLong(span_id);
        const flag_bits = py.PyLong_AsUnsignedLongLongMask(flags);
        if (py.PyErr_Occurred() != null) return; // an id beyond its width is no id
        if (high | low == 0) return;
        var trace_bytes: [16]u8 = undefined;
        std.mem.writeInt(u64, trace_bytes[0..8], high, .big);
        std.mem.writeInt(u64, trace_bytes[8..16], low, .big);
        var span_bytes: [8]u8 = undefined;
        std.mem.writeInt(u64, &span_bytes, span_number, .big);
        field.set(@truncate(flag_bits), trace_bytes, if (span_number == 0) null else span_bytes);
    }

    /// A new reference to a part of a SpanContext. OpenTelemetry's own is a tuple, and reading that is ten times as fast
    /// as asking its properties, which run Python code.
    fn part_of(context: O, comptime index: isize) ?O {
        if (@as(?*py.TypeObject, py.type_of(context)) == span_context_type)
            return py.new_ref(py.PyTuple_GetItem(context, index) orelse return null);
        const name = switch (index) {
            0 => names.trace_id,
            1 => names.span_id,
            else => names.trace_flags,
        };
        return py.PyObject_GetAttr(context, name.?);
    }
    /// From now on take SpanContexts of this type apart, if its properties are what stands in its tuple.
    fn learn(context: O, parts: [3]O) void {
        if (!py.has_flag(py.type_of(context), py.subclass_tuple) or py.PyTuple_Size(context) < 4) return;
        for (parts, [_]isize{ 0, 1, 3 }) |part, index| if (py.PyTuple_GetItem(context, index) != part) return;
        const old: ?O = @ptrCast(@alignCast(span_context_type));
        span_context_type = @ptrCast(@alignCast(py.new_ref(@ptrCast(@alignCast(py.type_of(context))))));
        py.Py_DecRef(old);
    }

    /// A bare trace id counts until a new span begins inside its block, and not for the trace it names already.
    fn apply_mark(ids: []const u8, room: *TraceField, set: *const AttrSet, span: ?O) []const u8 {
        const current: O = span orelse &py._Py_NoneStruct;
        if (set.mark_span != current) return ids;
        if (std.mem.indexOf(u8, ids, &set.mark) != null) return ids;
        room.set(0, set.mark, null);
        return room.bytes[0..room.len];
    }

    /// Forget every context (they keep spans alive).
    pub fn reset(cache: *TraceCache) void {
        for (&cache.ways) |*way| {
            way.span = null;
            py.clear(&way.context);
        }
    }
};

// ---------------------------------------------------------------------------------------------------- thread

/// thread.id and thread.name, encoded, by the id of the thread state (which, unlike an ident, is never used again).
pub const ThreadCache = struct {
    ways: [way_count]Way = @splat(.{}),

    const way_count = 16;
    const bytes_max = 256;
    const Way = struct {
        state_id: u64 = std.math.maxInt(u64),
        /// The Thread object's __dict__ and the name it held: renaming a thread puts another object there.
        dict: ?O = null,
        name: ?O = null,
        ident: u64 = 0,
        bytes: [bytes_max]u8 = undefined,
        len: usize = 0,
        /// Where thread.name begins.
        split: usize = 0,
    };

    var name_of_name: ?O = null;
    var current_thread: ?O = null;

    pub fn init() bool {
        const threading = py.PyImport_ImportModule("threading") orelse return false;
        defer py.Py_DecRef(threading);
        current_thread = py.PyObject_GetAttrString(threading, "current_thread") orelse return false;
        name_of_name = py.PyUnicode_InternFromString("_name") orelse return false;
        return true;
    }

    pub inline fn current(cache: *ThreadCache, fault: *py.Fault) *const Way {
        const state_id = py.PyThreadState_GetID(py.PyThreadState_Get());
        const way = &cache.ways[state_id % way_count];
        if (way.state_id == state_id) {
            if (way.dict) |dict| {
                if (py.PyDict_GetItemWithError(dict, name_of_name.?) == way.name) return way;
            }
        }
        return read_thread(way, state_id, fault);
    }

    noinline fn read_thread(way: *Way, state_id: u64, fault: *py.Fault) *const Way {
        const fresh = read_current(state_id);
        fault.absorb();
        const old = way.*;
        way.* = fresh;
        py.Py_DecRef(old.dict);
        py.Py_DecRef(old.name);
        return way;
    }

    fn read_current(state_id: u64) Way {
        var way = Way{};
        const thread = py.PyObject_CallNoArgs(current_thread.?) orelse return way;
        defer py.Py_DecRef(thread);
        const ident = py.PyObject_GetAttrString(thread, "ident") orelse return way;
        defer py.Py_DecRef(ident);
        const name = py.PyObject_GetAttrString(thread, "name") orelse return way;
        defer py.Py_DecRef(name);
        if (!py.has_flag(py.type_of(name), py.subclass_unicode)) return way;
        const text = Text.of(name);
        defer text.release();
        const number = py.PyLong_AsUnsignedLongLongMask(ident);
        if (py.PyErr_Occurred() != null) return way;
        var w = Writer.init(&way.bytes);
        w.size_max = bytes_max; // a writer that may not grow: see the prefix below
        own.put_thread_id(&w, @bitCast(number)) catch return way;
        way.split = w.len;
        own.put_thread_name(&w, wire.utf8_prefix(text.bytes, bytes_max - 96)) catch return way;
        way.len = w.len;
        way.state_id = state_id;
        way.ident = number;
        way.dict = py.PyObject_GetAttrString(thread, "__dict__");
        way.name = py.new_ref(name);
        return way;
    }

    pub fn reset(cache: *ThreadCache) void {
        for (&cache.ways) |*way| {
            way.state_id = std.math.maxInt(u64);
            py.clear(&way.dict);
            py.clear(&way.name);
        }
    }
};
