//! The attributes of a record: ours, then the user's, no name twice, under the limits. Knows nothing of calls.

const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const limits = @import("limits.zig");
const record = @import("record.zig");
const context = @import("context.zig");
const O = py.O;
const Text = otlp.Text;
const AttrSet = context.AttrSet;

/// The attributes of a record, before they are encoded.
pub const Parts = struct {
    template: ?[]const u8 = null,
    arguments: []const O = &.{},
    complaint: []const u8 = "",
    /// The call site, encoded (simple calls) or as the tuple of site.describe.
    code: []const u8 = "",
    site: ?O = null,
    /// (type, message, stacktrace)
    exception: ?O = null,
    threads: *context.ThreadCache,
    extra: ?O = null,
    /// Whose hidden names are not attributes.
    context: ?*AttrSet = null,
};

/// A larger attribute is left out: one value must not take the room of all others.
const size_max = limits.text_size_max + 4096;

/// One attribute; 1 if it was left out because it is too large, or the record has no room for it.
pub inline fn put_sized(encoder: *otlp.Encoder, key: otlp.Key, value: O) usize {
    const begin = encoder.w.len;
    const record_size_max = encoder.w.size_max;
    // Where a value without end (a container that holds itself many times over) stops.
    encoder.w.size_max = @min(record_size_max, begin + size_max);
    const result = encoder.key_value(record.attribute_tag, key, value);
    encoder.w.size_max = record_size_max;
    return settle(encoder.w, begin, result);
}

/// Take an attribute that did not fit back; 1 if it did not. (The writer itself refuses only when it has to grow.)
inline fn settle(w: *wire.Writer, begin: usize, result: wire.Error!void) usize {
    if (result) {
        if (w.len - begin <= size_max and w.len <= w.size_max) return 0;
    } else |_| {}
    w.len = begin;
    return 1;
}

/// put_sized where speed is no matter: one copy of it for all callers.
pub noinline fn put_apart(encoder: *otlp.Encoder, name: []const u8, value: O) usize {
    return put_sized(encoder, .{ .text = name }, value);
}
/// The same by a name that is encoded already.
pub noinline fn put_apart_as(encoder: *otlp.Encoder, key: otlp.Key, value: O) usize {
    return put_sized(encoder, key, value);
}

/// Our attributes of a simple call; returns how many were dropped.
pub inline fn put_own(encoder: *otlp.Encoder, parts: *const Parts) wire.Error!usize {
    const tag = record.attribute_tag;
    var dropped: usize = 0;
    if (parts.template) |text| try encoder.key_string(tag, record.name_template, text);
    if (parts.arguments.len > 0) dropped += put_arguments(encoder, parts.arguments);
    if (parts.complaint.len > 0) try encoder.key_string(tag, record.name_format_error, parts.complaint);
    try encoder.w.raw(parts.code);
    try put_thread(encoder, parts.threads, true, true);
    return dropped;
}

/// The attribute message.args; 1 if it was left out because it is too large.
fn put_arguments(encoder: *otlp.Encoder, arguments: []const O) usize {
    const begin = encoder.w.len;
    return settle(encoder.w, begin, encoder.key_array(record.attribute_tag, record.name_arguments, arguments));
}

/// The attributes thread.id and thread.name. The cache is read here and not before: other threads write to it whenever
/// Python code runs.
pub inline fn put_thread(
    encoder: *otlp.Encoder,
    threads: *context.ThreadCache,
    with_id: bool,
    with_name: bool,
) wire.Error!void {
    const thread = threads.current(encoder.fault);
    const begin = if (with_id) 0 else thread.split;
    const end = if (with_name) thread.len else thread.split;
    if (begin < end) try encoder.w.raw(thread.bytes[begin..end]);
}

/// Our attributes but those that the user's replace, then the user's, all under the limits; returns how many were
/// dropped. The same records as put_own and the copied sets, for every case.
pub fn put_all(encoder: *otlp.Encoder, parts: *const Parts) wire.Error!usize {
    var all = All{ .encoder = encoder, .extra = parts.extra.?, .shadows = has_reserved(parts.extra.?) };
    const tag = record.attribute_tag;
    if (parts.template) |text| if (all.takes(record.name_template)) try encoder.key_string(tag, record.name_template, text);
    if (parts.arguments.len > 0 and all.takes(record.name_arguments))
        all.dropped += put_arguments(encoder, parts.arguments);
    if (parts.complaint.len > 0 and all.takes(record.name_format_error))
        try encoder.key_string(tag, record.name_format_error, parts.complaint);
    if (parts.site) |described| {
        try all.put(record.name_file, py.PyTuple_GetItem(described, 3).?);
        try all.put(record.name_function, py.PyTuple_GetItem(described, 4).?);
        try all.put(record.name_line, py.PyTuple_GetItem(described, 2).?);
    }
    if (parts.exception) |exception| {
        try all.put(record.name_exception_type, py.PyTuple_GetItem(exception, 0).?);
        try all.put(record.name_exception_message, py.PyTuple_GetItem(exception, 1).?);
        try all.put(record.name_exception_stacktrace, py.PyTuple_GetItem(exception, 2).?);
    }
    const with_id = all.takes(record.name_thread_id);
    const with_name = all.takes(record.name_thread_name);
    try put_thread(encoder, parts.threads, with_id, with_name);
    try all.put_extra(parts.context);
    return all.dropped;
}

const All = struct {
    encoder: *otlp.Encoder,
    extra: O,
    shadows: bool,
    count: usize = 0,
    dropped: usize = 0,

    /// Whether an attribute of ours is to be written, counting it.
    fn takes(all: *All, comptime name: [:0]const u8) bool {
        if (all.shadows and py.PyDict_GetItemString(all.extra, name) != null) return false;
        return all.counts();
    }
    fn counts(all: *All) bool {
        if (all.count >= all.encoder.limits.attribute_count) {
            all.dropped += 1;
            return false;
        }
        all.count += 1;
        return true;
    }
    fn put(all: *All, comptime name: [:0]const u8, value: O) wire.Error!void {
        if (!all.takes(name)) return;
        all.dropped += put_apart(all.encoder, name, value);
    }

    fn put_extra(all: *All, context_set: ?*AttrSet) wire.Error!void {
        // A copy: a foreign `__str__` may change the user's dict.
        const extra = py.PyDict_Copy(all.extra) orelse return py.PyErr_Clear();
        defer py.Py_DecRef(extra);
        var position: isize = 0;
        var key: ?O = null;
        var value: ?O = null;
        while (py.PyDict_Next(extra, &position, &key, &value) != 0) {
            if (context_set) |set| if (is_id(set, key.?, value.?)) continue;
            const name = if (py.has_flag(py.type_of(key.?), py.subclass_unicode))
                Text.of(key.?)
            else
                Text.of_object(key.?, all.encoder.fault);
            defer name.release();
            if (name.bytes.len == 0) {
                all.dropped += 1;
                continue;
            }
            if (!all.counts()) continue;
            all.dropped += put_apart(all.encoder, name.bytes, value.?);
        }
    }
};

/// Whether the entry is an id that contextualize moved to the record's id fields (and nobody has replaced since).
fn is_id(set: *const AttrSet, key: O, value: O) bool {
    if (!context.is_hidden(set, key)) return false;
    const known = py.PyDict_GetItemWithError(set.values.?, key);
    if (known == null) py.PyErr_Clear();
    return known == value;
}

fn has_reserved(extra: O) bool {
    var position: isize = 0;
    var key: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(extra, &position, &key, &value) != 0) {
        if (!py.has_flag(py.type_of(key.?), py.subclass_unicode)) continue;
        const name = Text.of(key.?);
        defer name.release();
        if (record.is_reserved(name.bytes)) return true;
    }
    return false;
}
