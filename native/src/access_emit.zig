//! An access record on its way to OTLP, if that is all who wants it: Dispatcher.emit_access. Whatever is not plain is
//! left to Python (Logger.event), which makes the same record.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const moment = @import("moment.zig");
const context = @import("context.zig");
const attributes = @import("attributes.zig");
const log_record = @import("record.zig");
const shared = @import("state.zig");
const access = @import("access.zig");
const text = @import("access_text.zig");
const view = @import("access_view.zig");
const Dispatcher = @import("dispatcher.zig").Dispatcher;
const O = py.O;
const Writer = wire.Writer;
const AttrSet = context.AttrSet;
const Record = access.Record;

/// emit_access(record, level_no, event_name, body or None) -> whether nothing is left to do
pub fn emit_access(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 4) return py.type_error("emit_access takes (record, level_no, event_name, body)");
    const r = access.of(arguments[0]) orelse return py.type_error("emit_access: record must be an AccessBase");
    const level_no = py.PyLong_AsLongLong(arguments[1]);
    if (level_no == -1 and py.PyErr_Occurred() != null) return null;
    if (!py.has_flag(py.type_of(arguments[2]), py.subclass_unicode)) return py.type_error("emit_access: event_name must be a str");
    const body = if (py.is_none(arguments[3])) null else arguments[3];
    if (body) |b| if (!py.has_flag(py.type_of(b), py.subclass_unicode)) return py.type_error("emit_access: body must be a str or None");

    return py.boolean(emit(@ptrCast(self), r, level_no, arguments[2], body, null) orelse return null);
}
/// Whether a record of that level is Python's from the start.
pub inline fn is_pythons(d: *const Dispatcher, r: *const Record, level_no: i64) bool {
    return level_no >= d.threshold and (d.python_way or level_no >= d.sink_level or !r.has_plain_views);
}
/// Whether nothing is left to do; `where`: the OpenTelemetry context whose ids it gets (null: the current one); null: a Python error is set, and the record is stored.
pub fn emit(d: *Dispatcher, r: *Record, level_no: i64, event_name: O, body: ?O, where: ?O) ?bool {
    if (level_no < d.threshold) return true; // nobody wants it
    const level = level_of(level_no) orelse return false;
    if (is_pythons(d, r, level_no)) return false;
    const state = d.state;
    if (state.mode != .on) {
        state.count(level);
        state.lose(&state.counters.dropped_shutdown);
        return true;
    }
    var fault = py.Fault{};
    var scratch: [2048]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    w.size_max = log_record.size_max;
    const time_ns = moment.now_ns(&fault);
    const call = Call{ .record = r, .state = state, .level = level, .event_name = event_name, .body = body, .where = where };
    const result = call.write(d.extra, @intCast(@max(time_ns, 0)), &w, &fault);
    if (result) state.commit(w.written(), &fault) else |err| switch (err) {
        error.TooLarge => state.lose(&state.counters.dropped_too_large),
        error.Unusual => {},
    }
    if (result != error.Unusual) state.count(level);
    if (fault.restore()) return null;
    return result != error.Unusual;
}

fn level_of(no: i64) ?*const shared.Level {
    for (&shared.levels) |*level| if (level.no == no) return level;
    return null;
}

const Call = struct {
    record: *Record,
    state: *shared.State,
    level: *const shared.Level,
    event_name: O,
    body: ?O,
    where: ?O,

    fn write(call: *const Call, extra: ?*AttrSet, time_ns: u64, w: *Writer, fault: *py.Fault) view.Error!void {
        const state = call.state;
        // Any of them may be replaced while the `__str__` of an addition runs.
        const surrounding: ?O = if (call.record.context) |last|
            py.new_ref(@ptrCast(last))
        else
            py.context_var_get(state.context_var.?);
        defer py.Py_DecRef(surrounding);
        py.Py_IncRef(@ptrCast(extra));
        defer py.Py_DecRef(@ptrCast(extra));
        const inner = context.attr_set_of(surrounding);
        const policy = if (state.policy.is_on()) &state.policy else null;
        for ([_]?*AttrSet{ extra, inner }) |set| {
            if (policy) |p| if (p.hides_set(set, fault)) return error.Unusual;
            if (!stands_alone(set, call.record.additions)) return error.Unusual;
        }
        if (have_common(extra, inner)) return error.Unusual;

        try log_record.put_head(w, time_ns, call.level.severity);
        try call.write_body(w);
        var encoder = otlp.Encoder{ .w = w, .limits = &state.limits, .fault = fault };
        var sink = view.WireSink{ .encoder = &encoder, .policy = policy, .count = 2 };
        try attributes.put_thread(&encoder, &state.threads, true, true);
        try view.put(&sink, call.record);
        for ([_]?*AttrSet{ extra, inner }) |maybe| {
            const set = maybe orelse continue;
            try w.raw(set.bytes.?[0..set.len]);
            sink.count += set.count;
        }
        if (state.limits.value_length != 0 or sink.count > state.limits.attribute_count) return error.Unusual;
        const event_name = otlp.utf8(call.event_name) orelse return error.Unusual;
        var mark: context.TraceField = .{};
        const ids = state.trace.read_in(call.where, &mark, inner, fault);
        try log_record.put_tail(w, sink.dropped, ids, time_ns, wire.utf8_prefix(event_name, 1024));
    }

    fn write_body(call: *const Call, w: *Writer) view.Error!void {
        const begin = try log_record.begin_body(w);
        if (call.body) |given| {
            try w.raw_cut(otlp.utf8(given) orelse return error.Unusual);
        } else try text.put_line(w, call.record, "HTTP");
        const policy = &call.state.policy;
        const written = log_record.body_text(w, begin);
        // A text that is cut is judged whole, or not at all.
        if (written.len > 64 << 10 or (policy.is_on() and policy.hides_text(written))) return error.Unusual;
        try log_record.end_body(w, begin);
    }
};

/// Whether the encoded attributes of a set can stand behind a record's: no value may change, and no name is there twice.
fn stands_alone(maybe: ?*AttrSet, additions: ?O) bool {
    const set = maybe orelse return true;
    if (set.bytes == null or set.reserved) return false;
    var position: isize = 0;
    var name: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(set.values.?, &position, &name, &value) != 0) {
        if (py.type_of(name.?) != &py.PyUnicode_Type) return false;
        if (view.is_ours(otlp.utf8(name.?) orelse return false)) return false;
        if (has(additions, name.?)) return false;
    }
    return true;
}
fn have_common(first: ?*AttrSet, second: ?*AttrSet) bool {
    const one = first orelse return false;
    const two = second orelse return false;
    if (one.bits & two.bits == 0) return false;
    var position: isize = 0;
    var name: ?O = null;
    var value: ?O = null;
    while (py.PyDict_Next(one.values.?, &position, &name, &value) != 0) if (has(two.values, name.?)) return true;
    return false;
}
fn has(dict: ?O, name: O) bool {
    const answer = py.PyDict_Contains(dict orelse return false, name);
    if (answer < 0) py.PyErr_Clear();
    return answer != 0;
}
