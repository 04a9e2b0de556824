//! The extension module `otelbridge._native`: the table of what Python sees, and the type Core.
//! The road of a log call is in logger.zig; each step of it has a file of its own.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const clock = @import("clock.zig");
const otlp = @import("otlp.zig");
const limits = @import("limits.zig");
const record = @import("record.zig");
const attributes = @import("attributes.zig");
const site = @import("site.zig");
const context = @import("context.zig");
const logger = @import("logger.zig");
const redaction = @import("redaction.zig");
const dispatcher = @import("dispatcher.zig");
const events = @import("event.zig");
const moment = @import("moment.zig");
const json = @import("json.zig");
const layout = @import("layout.zig");
const traffic = @import("traffic.zig");
const scopes = @import("scope.zig");
const access = @import("access.zig");
const access_read = @import("access_read.zig");
const access_text = @import("access_text.zig");
const observation = @import("observation.zig");
const remote = @import("remote.zig");
const spans = @import("spans.zig");
const shared = @import("state.zig");
const O = py.O;
const Writer = wire.Writer;
const Text = otlp.Text;
const AttrSet = context.AttrSet;
const Parts = attributes.Parts;
const State = shared.State;
const Export = shared.Export;
const levels = shared.levels;
const level_off = shared.level_off;

const integer = py.integer;

const Core = shared.Core;

/// Core(context_var)
fn core_new(t: *py.TypeObject, args: O, _: ?O) callconv(.c) ?O {
    if (py.PyTuple_Size(args) != 1) return py.type_error("Core takes (context_var)");
    const state = wire.create(State) orelse return py.PyErr_NoMemory();
    const self = py.PyType_GenericAlloc(t, 0) orelse {
        wire.free(state);
        return null;
    };
    state.* = .{ .context_var = py.new_ref(py.PyTuple_GetItem(args, 0).?) };
    state.fork.renew();
    @as(*Core, @ptrCast(self)).state = state;
    return self;
}
fn core_traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const state = @as(*Core, @ptrCast(self)).state;
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ state.wake, state.context_var, state.trace.variable, state.policy.kinds, kind }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
fn core_clear(self: O) callconv(.c) c_int {
    const state = @as(*Core, @ptrCast(self)).state;
    state.set_otlp_level(level_off);
    state.mode = .off;
    py.clear(&state.wake);
    // The policy stays: it is no leave to show what it hides.
    return 0;
}
fn core_dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const state = @as(*Core, @ptrCast(self)).state;
    _ = core_clear(self);
    py.clear(&state.context_var);
    py.clear(&state.policy.kinds);
    py.clear(&state.trace.variable);
    py.clear(&state.trace.span_key);
    state.trace.reset();
    state.threads.reset();
    state.sites.deinit();
    state.pending.deinit();
    state.tally.reset();
    state.fork.deinit();
    wire.free(state);
    context.free_instance(self);
}

fn state_of(self: O) *State {
    return @as(*Core, @ptrCast(self)).state;
}
fn size(object: O) ?usize {
    const number = integer(object) orelse return null;
    if (number < 0) {
        py.PyErr_SetString(py.PyExc_ValueError, "a size must not be negative");
        return null;
    }
    return @intCast(number);
}

/// set_export(mode, level_no, buffer_size)
fn core_set_export(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 3) return py.type_error("set_export takes (mode, level_no, buffer_size)");
    const state = state_of(self);
    if (!py.has_flag(py.type_of(arguments[0]), py.subclass_unicode)) return py.type_error("set_export: mode must be a str");
    const text = Text.of(arguments[0]);
    defer text.release();
    const mode = std.meta.stringToEnum(Export, text.bytes) orelse {
        py.PyErr_SetString(py.PyExc_ValueError, "set_export: mode must be 'off', 'on' or 'shutdown'");
        return null;
    };
    const level_no = integer(arguments[1]) orelse return null;
    const buffer_size = size(arguments[2]) orelse return null;
    state.mode = mode;
    state.pending.size_max = buffer_size;
    state.set_otlp_level(if (mode == .off) level_off else level_no);
    return py.none();
}
/// The level from which records are encoded; the largest integer while none are.
fn core_get_otlp_level(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.PyLong_FromLongLong(state_of(self).otlp_level);
}
/// set_limits(attribute_count, value_length)
fn core_set_limits(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("set_limits takes (attribute_count, value_length)");
    const attribute_count = size(arguments[0]) orelse return null;
    const value_length = size(arguments[1]) orelse return null;
    state_of(self).limits = .{ .attribute_count = attribute_count, .value_length = value_length };
    return py.none();
}
/// set_format_raises(flag)
fn core_set_format_raises(self: O, flag: O) callconv(.c) ?O {
    const truth = py.PyObject_IsTrue(flag);
    if (truth < 0) return null;
    state_of(self).format_raises = truth == 1;
    return py.none();
}
/// set_redaction(kinds or None, detectors)
fn core_set_redaction(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    return redaction.set_policy(&state_of(self).policy, arguments, count);
}
/// set_wake(callback or None, count, size)
fn core_set_wake(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 3) return py.type_error("set_wake takes (callback, count, size)");
    const state = state_of(self);
    if (!py.is_none(arguments[0]) and py.PyCallable_Check(arguments[0]) == 0)
        return py.type_error("set_wake: callback must be callable or None");
    const wake_count = size(arguments[1]) orelse return null;
    const wake_size = size(arguments[2]) orelse return null;
    const old = state.wake;
    state.wake = if (py.is_none(arguments[0])) null else py.new_ref(arguments[0]);
    state.wake_count = wake_count;
    state.wake_size = wake_size;
    state.started = false;
    state.told = false;
    py.Py_DecRef(old);
    return py.none();
}
/// attach_otel(context_var, span_key)
fn core_attach_otel(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("attach_otel takes (context_var, span_key)");
    const trace = &state_of(self).trace;
    trace.reset();
    const old = [_]?O{ trace.variable, trace.span_key };
    trace.variable = py.new_ref(arguments[0]);
    trace.span_key = py.new_ref(arguments[1]);
    trace.by_method = !py.is_context_var(arguments[0]);
    for (old) |object| py.Py_DecRef(object);
    return py.none();
}
fn core_after_fork(self: O, _: ?O) callconv(.c) ?O {
    state_of(self).after_fork();
    return py.none();
}
/// (emitted, pending, pending_size, dropped_buffer_full, dropped_too_large, dropped_internal, dropped_shutdown)
fn core_counters(self: O, _: ?O) callconv(.c) ?O {
    const state = state_of(self);
    if (state.fork.happened()) state.after_fork();
    const c = &state.counters;
    const numbers = [_]u64{
        c.emitted,           state.pending.count, state.pending.size, c.dropped_buffer_full,
        c.dropped_too_large, c.dropped_internal,  c.dropped_shutdown,
    };
    const tuple = py.PyTuple_New(numbers.len) orelse return null;
    for (numbers, 0..) |number, i| {
        const object = py.PyLong_FromUnsignedLongLong(number) orelse {
            py.Py_DecRef(tuple);
            return null;
        };
        _ = py.PyTuple_SetItem(tuple, @intCast(i), object);
    }
    return tuple;
}

/// level_counts() -> {name: number of log records}
fn core_level_counts(self: O, _: ?O) callconv(.c) ?O {
    const state = state_of(self);
    if (state.fork.happened()) state.after_fork();
    return state.tally.dict();
}
/// count_event(event)
fn core_count_event(self: O, object: O) callconv(.c) ?O {
    if (py.type_of(object) != events.event_type.?) return py.type_error("count_event takes an Event");
    const state = state_of(self);
    const event: *events.Event = @ptrCast(object);
    if (event.is_counted) return py.none();
    event.is_counted = true;
    if (state.fork.happened()) state.after_fork();
    state.tally.count(event.level.?);
    return py.none();
}

/// take(resource, scope, size_max, count_max) -> (request, count) or None
fn core_take(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 4) return py.type_error("take takes (resource, scope, size_max, count_max)");
    const state = state_of(self);
    const resource = bytes_of(arguments[0]) orelse return null;
    const scope = bytes_of(arguments[1]) orelse return null;
    const size_max = size(arguments[2]) orelse return null;
    const count_max = size(arguments[3]) orelse return null;
    if (state.fork.happened()) state.after_fork();
    state.told = false;
    const batch = state.pending.measure(size_max, count_max);
    if (batch.count == 0) return py.none();
    const scope_logs_size = scope.len + batch.size;
    const resource_logs_size = resource.len + 1 + wire.varint_size(scope_logs_size) + scope_logs_size;
    const request_size = 1 + wire.varint_size(resource_logs_size) + resource_logs_size;
    const request = py.PyBytes_FromStringAndSize(null, @intCast(request_size)) orelse return null;
    var w = Writer{ .bytes = py.PyBytes_AsString(request).?, .capacity = request_size };
    w.byte_unchecked(0x0a); // ExportLogsServiceRequest.resource_logs
    w.varint_unchecked(resource_logs_size);
    w.raw_unchecked(resource);
    w.byte_unchecked(0x12); // ResourceLogs.scope_logs
    w.varint_unchecked(scope_logs_size);
    w.raw_unchecked(scope);
    state.pending.take(batch, w.bytes[w.len..request_size]);
    const taken = py.PyLong_FromUnsignedLongLong(batch.count);
    const result = py.PyTuple_New(2);
    if (taken == null or result == null) { // the records are in `request`: count them as lost, not as sent
        state.counters.dropped_internal += batch.count;
        for ([_]?O{ taken, result, request }) |object| py.Py_DecRef(object);
        return null;
    }
    _ = py.PyTuple_SetItem(result.?, 0, request);
    _ = py.PyTuple_SetItem(result.?, 1, taken.?);
    return result;
}
fn bytes_of(object: O) ?[]const u8 {
    var bytes: ?[*]u8 = null;
    var length: isize = 0;
    if (py.PyBytes_AsStringAndSize(object, &bytes, &length) < 0) return null;
    return bytes.?[0..@intCast(length)];
}

/// site(depth) -> (name, function, line, path, qualified name) of the frame `depth` above the caller, or None
fn core_site(self: O, depth: O) callconv(.c) ?O {
    const steps = integer(depth) orelse return null;
    var frame = py.new_ref(py.PyEval_GetFrame() orelse return py.none());
    defer py.Py_DecRef(frame);
    var i: i64 = 0;
    while (i < steps) : (i += 1) {
        const back = py.PyObject_GetAttrString(frame, "f_back") orelse {
            py.PyErr_Clear();
            return py.none();
        };
        if (py.is_none(back)) {
            py.Py_DecRef(back);
            return py.none();
        }
        py.Py_DecRef(frame);
        frame = back;
    }
    const place = state_of(self).sites.of_frame(frame) orelse return py.none();
    defer place.release();
    return site.describe(place, frame) orelse py.none();
}

fn core_enter_request(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    const state = state_of(self);
    return access.enter_request(state.context_var.?, &state.trace, arguments, count);
}
fn core_leave_request(self: O, entry: O) callconv(.c) ?O {
    const state = state_of(self);
    return access.leave_request(state.context_var.?, &state.trace, entry);
}

/// emit(time_ns, severity_number, severity_text, body, template, args, format_error, site, exception, extra, event)
fn core_emit(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 11) return py.type_error("emit takes 11 arguments");
    const state = state_of(self);
    if (state.mode != .on) {
        if (state.mode == .shutdown) state.lose(&state.counters.dropped_shutdown);
        return py.none();
    }
    var fault = py.Fault{};
    var scratch: [2048]u8 = undefined;
    var w = Writer.init(&scratch);
    defer w.deinit();
    w.size_max = record.size_max;
    if (write_parts(state, arguments[0..11], &w, &fault)) {
        state.commit(w.written(), &fault);
    } else |_| state.lose(&state.counters.dropped_too_large);
    if (fault.restore()) return null;
    return py.none();
}

fn write_parts(state: *State, arguments: *const [11]O, w: *Writer, fault: *py.Fault) wire.Error!void {
    const time_ns = py.PyLong_AsUnsignedLongLongMask(arguments[0]);
    const severity: u8 = @truncate(py.PyLong_AsUnsignedLongLongMask(arguments[1]));
    fault.absorb();
    const severity_text = text_or_empty(arguments[2]);
    defer severity_text.release();
    try record.put_head(w, time_ns, "");
    try record.put_severity(w, severity, wire.utf8_prefix(severity_text.bytes, 1024));

    const body_text = text_or_empty(arguments[3]);
    defer body_text.release();
    const body = try record.begin_body(w);
    try w.raw(wire.utf8_prefix(body_text.bytes, limits.text_size_max + 1));
    try record.end_body(w, body);

    const template = text_or_empty(arguments[4]);
    defer template.release();
    const complaint = text_or_empty(arguments[6]);
    defer complaint.release();
    const surrounding = py.context_var_get(state.context_var.?);
    defer py.Py_DecRef(surrounding);
    const context_set = context.attr_set_of(surrounding);
    var positional: [64]O = undefined;
    const parts = Parts{
        .template = if (py.is_none(arguments[4])) null else template.bytes,
        .arguments = tuple_items(arguments[5], &positional),
        .complaint = complaint.bytes,
        .site = tuple_or_null(arguments[7], 5),
        .exception = tuple_or_null(arguments[8], 3),
        .threads = &state.threads,
        .extra = arguments[9],
        .context = context_set,
    };
    const event = text_or_empty(arguments[10]);
    defer event.release();
    var dropped: usize = 0;
    if (py.has_flag(py.type_of(arguments[9]), py.subclass_dict)) {
        var encoder = otlp.Encoder{ .w = w, .limits = &state.limits, .fault = fault };
        dropped = try attributes.put_all(&encoder, &parts);
    }
    var mark: context.TraceField = .{};
    const ids = state.trace.read(&mark, context_set, fault);
    try record.put_tail(w, dropped, ids, time_ns, wire.utf8_prefix(event.bytes, 1024));
}
fn text_or_empty(object: O) Text {
    if (!py.has_flag(py.type_of(object), py.subclass_unicode)) return .{ .bytes = "" };
    return Text.of(object);
}
fn tuple_or_null(object: O, length: isize) ?O {
    if (!py.has_flag(py.type_of(object), py.subclass_tuple)) return null;
    return if (py.PyTuple_Size(object) == length) object else null;
}
/// The items of a tuple (at most as many as fit; nobody passes more than 64 arguments to a message).
fn tuple_items(object: O, buffer: []O) []const O {
    if (!py.has_flag(py.type_of(object), py.subclass_tuple)) return &.{};
    const count = @min(@as(usize, @intCast(py.PyTuple_Size(object))), buffer.len);
    for (0..count) |i| buffer[i] = py.PyTuple_GetItem(object, @intCast(i)).?;
    return buffer[0..count];
}

// ---------------------------------------------------------------------------------------------------- functions

var iso_cache = clock.Cache{};
var local_cache = clock.Cache{};

/// now_iso() -> "2026-11-21T14:30:00.123456+00:00"
fn module_now_iso(_: O, _: ?O) callconv(.c) ?O {
    var out: [clock.text_size_max + 6]u8 = undefined;
    var fault = py.Fault{};
    const time_ns = moment.now_ns(&fault);
    if (fault.restore()) return null;
    const end = clock.put_time(&iso_cache, &out, time_ns, 0, 'T', 6);
    @memcpy(out[end..][0..6], "+00:00");
    return py.PyUnicode_FromStringAndSize(&out, @intCast(end + 6));
}
/// time_text(time_ns, offset_s) -> "2026-11-21 14:30:00.123"
fn module_time_text(_: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("time_text takes (time_ns, offset_s)");
    const time_ns = integer(arguments[0]) orelse return null;
    const offset_s = integer(arguments[1]) orelse return null;
    if (offset_s < -86_400 or offset_s > 86_400) {
        py.PyErr_SetString(py.PyExc_ValueError, "time_text: offset_s must be within a day");
        return null;
    }
    var out: [clock.text_size_max]u8 = undefined;
    const end = clock.put_time(&local_cache, &out, time_ns, offset_s, ' ', 3);
    return py.PyUnicode_FromStringAndSize(&out, @intCast(end));
}
/// basename(path) -> what follows the last separator
fn module_basename(_: O, path: O) callconv(.c) ?O {
    if (!py.has_flag(py.type_of(path), py.subclass_unicode)) return py.type_error("basename: path must be a str");
    const text = Text.of(path);
    defer text.release();
    const name = layout.basename(text.bytes);
    return py.PyUnicode_FromStringAndSize(name.ptr, @intCast(name.len));
}
/// module_name() -> the caller's `__name__`, or None
fn module_module_name(_: O, _: ?O) callconv(.c) ?O {
    const globals = py.PyEval_GetGlobals() orelse return py.none();
    return site.module_of(globals) orelse py.none();
}

// ---------------------------------------------------------------------------------------------------- the module

const method = py.MethodDef.method;

var module_methods = [_]py.MethodDef{
    method("now_ns", &moment.module_now_ns, py.METH_NOARGS),
    method("now_iso", &module_now_iso, py.METH_NOARGS),
    method("time_text", &module_time_text, py.METH_FASTCALL),
    method("basename", &module_basename, py.METH_O),
    method("module_name", &module_module_name, py.METH_NOARGS),
    method("encode_json", &json.module_encode_json, py.METH_O),
    method("redact_text", &redaction.redact_text, py.METH_FASTCALL),
    method("client_text", &access_text.module_client_text, py.METH_O),
    method("escape", &access_text.module_escape, py.METH_O),
    method("set_clock", &moment.module_set_clock, py.METH_O),
    method("set_scope", &scopes.module_set_scope, py.METH_FASTCALL),
    method("set_trace_api", &remote.module_set_trace_api, py.METH_FASTCALL),
    method("remote_context", &remote.module_remote_context, py.METH_FASTCALL),
    method("set_span_types", &spans.module_set_span_types, py.METH_FASTCALL),
    method("encode_span", &spans.module_encode_span, py.METH_O),
    method("set_event_makers", &events.module_set_event_makers, py.METH_FASTCALL),
    .{},
};
var core_methods = [_]py.MethodDef{
    method("set_export", &core_set_export, py.METH_FASTCALL),
    method("set_limits", &core_set_limits, py.METH_FASTCALL),
    method("set_format_raises", &core_set_format_raises, py.METH_O),
    method("set_redaction", &core_set_redaction, py.METH_FASTCALL),
    method("set_wake", &core_set_wake, py.METH_FASTCALL),
    method("attach_otel", &core_attach_otel, py.METH_FASTCALL),
    method("after_fork", &core_after_fork, py.METH_NOARGS),
    method("counters", &core_counters, py.METH_NOARGS),
    method("level_counts", &core_level_counts, py.METH_NOARGS),
    method("count_event", &core_count_event, py.METH_O),
    method("take", &core_take, py.METH_FASTCALL),
    method("site", &core_site, py.METH_O),
    method("emit", &core_emit, py.METH_FASTCALL),
    method("enter_request", &core_enter_request, py.METH_FASTCALL),
    method("leave_request", &core_leave_request, py.METH_O),
    .{},
};
var logger_methods = methods: {
    var table: [levels.len + 4]py.MethodDef = @splat(.{});
    for (&levels, 0..) |*level, i| table[i] = .{
        .name = level.method,
        .meth = logger.log_at(level),
        .flags = logger.log_flags,
        .doc = level.method ++ "($self, message, /, *args, **kwargs)\n--\n\n" ++
            "Log message.format(*args, **kwargs) at level " ++ level.name ++ "; kwargs become attributes.",
    };
    table[levels.len] = method("log", &logger.log_by_name, logger.log_flags);
    table[levels.len].doc = "log($self, level, message, /, *args, **kwargs)\n--\n\n" ++
        "Log message.format(*args, **kwargs) at a level's name or number; kwargs become attributes.";
    table[levels.len + 1] = method("exception", &logger.exception, logger.log_flags);
    table[levels.len + 1].doc = "exception($self, message, /, *args, **kwargs)\n--\n\n" ++
        "Log message.format(*args, **kwargs) at level ERROR, with the exception that is being handled.";
    table[levels.len + 2] = method("contextualize", &scopes.contextualize, logger.log_flags);
    table[levels.len + 2].doc = "contextualize($self, /, **values)\n--\n\n" ++
        "A `with` block or decorator: all records made inside carry `values`, in this task or thread only.\n\n" ++
        "Valid `trace_id` and `span_id` (hex or int), `traceparent` (W3C) or `span` (an OpenTelemetry span) become the\n" ++
        "current OpenTelemetry context; a `trace_id` alone marks records only; what is no valid id is an attribute.";
    break :methods table;
};
var core_getset = [_]py.GetSetDef{
    .{ .name = "otlp_level", .get = &core_get_otlp_level },
    .{},
};
var logger_getset = [_]py.GetSetDef{
    .{ .name = "_dispatcher", .get = &logger.get_dispatcher },
    .{ .name = "_bound", .get = &logger.get_bound },
    .{ .name = "_options", .get = &logger.get_options },
    .{},
};
var attr_set_getset = [_]py.GetSetDef{
    .{ .name = "values", .get = &context.attr_set_get_values },
    .{ .name = "hidden", .get = &context.attr_set_get_hidden },
    .{ .name = "mark", .get = &context.attr_set_get_mark },
    .{},
};

const TypeParts = struct {
    name: [:0]const u8,
    new: *const anyopaque,
    dealloc: *const anyopaque,
    traverse: *const anyopaque,
    clear: *const anyopaque,
    methods: ?*const anyopaque = null,
    getset: ?*const anyopaque = null,
    members: ?*const anyopaque = null,
    flags: c_uint = 0,
};

fn make_type(comptime Instance: type, parts: TypeParts) ?*py.TypeObject {
    var slots: [8]py.TypeSlot = @splat(.{});
    var count: usize = 0;
    const wanted = [_]py.TypeSlot{
        .{ .slot = py.slot_new, .pfunc = parts.new },
        .{ .slot = py.slot_dealloc, .pfunc = parts.dealloc },
        .{ .slot = py.slot_traverse, .pfunc = parts.traverse },
        .{ .slot = py.slot_clear, .pfunc = parts.clear },
        .{ .slot = py.slot_methods, .pfunc = parts.methods },
        .{ .slot = py.slot_getset, .pfunc = parts.getset },
        .{ .slot = py.slot_members, .pfunc = parts.members },
    };
    for (wanted) |slot| {
        if (slot.pfunc == null) continue;
        slots[count] = slot;
        count += 1;
    }
    var spec = py.TypeSpec{
        .name = parts.name,
        .basicsize = @sizeOf(Instance),
        .flags = py.flag_default | py.flag_gc | parts.flags,
        .slots = &slots,
    };
    return @ptrCast(@alignCast(py.PyType_FromSpec(&spec) orelse return null));
}

var logger_type: ?*py.TypeObject = null;
/// The only interpreter that may use us: caches and type objects are shared by all that is in this file.
var interpreter: ?*anyopaque = null;

/// Everything that lives as long as the process. False: a Python error is set.
fn init_process() bool {
    if (!py.init() or !otlp.init() or !context.ThreadCache.init() or !context.TraceCache.init() or !scopes.init()) return false;
    if (!access.init() or !access_read.init() or !observation.init()) return false;
    const now_ns: i64 = @intCast(clock.now_ns());
    moment.start_ns = now_ns - @mod(now_ns, 1_000); // so that elapsed and time differ by whole microseconds
    for (&levels, 0..) |*level, i| shared.level_names[i] = py.PyUnicode_InternFromString(level.name) orelse return false;
    context.attr_set_type = make_type(AttrSet, .{
        .name = "otelbridge._native.AttrSet",
        .new = @ptrCast(&context.attr_set_new),
        .dealloc = @ptrCast(&context.attr_set_dealloc),
        .traverse = @ptrCast(&context.attr_set_traverse),
        .clear = @ptrCast(&context.attr_set_clear),
        .getset = &attr_set_getset,
    }) orelse return false;
    shared.core_type = make_type(Core, .{
        .name = "otelbridge._native.Core",
        .new = @ptrCast(&core_new),
        .dealloc = @ptrCast(&core_dealloc),
        .traverse = @ptrCast(&core_traverse),
        .clear = @ptrCast(&core_clear),
        .methods = &core_methods,
        .getset = &core_getset,
    }) orelse return false;
    dispatcher.dispatcher_type = make_type(dispatcher.Dispatcher, .{
        .name = "otelbridge._native.Dispatcher",
        .new = @ptrCast(&dispatcher.new),
        .dealloc = @ptrCast(&dispatcher.dealloc),
        .traverse = @ptrCast(&dispatcher.traverse),
        .clear = @ptrCast(&dispatcher.clear),
        .methods = &dispatcher.methods,
        .getset = &dispatcher.getset,
        .flags = py.flag_basetype,
    }) orelse return false;
    events.event_type = make_type(events.Event, .{
        .name = "otelbridge._native.Event",
        .new = @ptrCast(&events.new),
        .dealloc = @ptrCast(&events.dealloc),
        .traverse = @ptrCast(&events.traverse),
        .clear = @ptrCast(&events.clear),
        .getset = &events.getset,
    }) orelse return false;
    layout.layout_type = make_type(layout.Layout, .{
        .name = "otelbridge._native.Layout",
        .new = @ptrCast(&layout.new),
        .dealloc = @ptrCast(&layout.dealloc),
        .traverse = @ptrCast(&layout.traverse),
        .clear = @ptrCast(&layout.clear),
        .methods = &layout.methods,
    }) orelse return false;
    scopes.scope_type = make_type(scopes.Scope, .{
        .name = "otelbridge._native.Scope",
        .new = @ptrCast(&scopes.new),
        .dealloc = @ptrCast(&scopes.dealloc),
        .traverse = @ptrCast(&scopes.traverse),
        .clear = @ptrCast(&scopes.clear),
        .methods = &scopes.methods,
        .getset = &scopes.getset,
        .flags = py.flag_basetype,
    }) orelse return false;
    traffic.traffic_type = make_type(traffic.Traffic, .{
        .name = "otelbridge._native.Traffic",
        .new = @ptrCast(&traffic.new),
        .dealloc = @ptrCast(&traffic.dealloc),
        .traverse = @ptrCast(&traffic.traverse),
        .clear = @ptrCast(&traffic.clear),
        .methods = &traffic.methods,
    }) orelse return false;
    access.base_type = make_type(access.Record, .{
        .name = "otelbridge._native.AccessBase",
        .new = @ptrCast(&access.new),
        .dealloc = @ptrCast(&access.dealloc),
        .traverse = @ptrCast(&access.traverse),
        .clear = @ptrCast(&access.clear),
        .methods = &access.methods,
        .getset = &access.getset,
        .members = &access.members,
        .flags = py.flag_basetype,
    }) orelse return false;
    access_read.reader_type = make_type(access_read.Reader, .{
        .name = "otelbridge._native.AccessReader",
        .new = @ptrCast(&access_read.new),
        .dealloc = @ptrCast(&access_read.dealloc),
        .traverse = @ptrCast(&access_read.traverse),
        .clear = @ptrCast(&access_read.clear),
        .methods = &access_read.methods,
    }) orelse return false;
    observation.gate_type = make_type(observation.Gate, .{
        .name = "otelbridge._native.Gate",
        .new = @ptrCast(&observation.gate_new),
        .dealloc = @ptrCast(&observation.gate_dealloc),
        .traverse = @ptrCast(&observation.gate_traverse),
        .clear = @ptrCast(&observation.gate_clear),
        .methods = &observation.gate_methods,
    }) orelse return false;
    observation.base_type = make_type(observation.Observation, .{
        .name = "otelbridge._native.ObservationBase",
        .new = @ptrCast(&observation.new),
        .dealloc = @ptrCast(&observation.dealloc),
        .traverse = @ptrCast(&observation.traverse),
        .clear = @ptrCast(&observation.clear),
        .methods = &observation.methods,
        .members = &observation.members,
        .flags = py.flag_basetype,
    }) orelse return false;
    logger_type = make_type(logger.Logger, .{
        .name = "otelbridge._native.LoggerBase",
        .new = @ptrCast(&logger.new),
        .dealloc = @ptrCast(&logger.dealloc),
        .traverse = @ptrCast(&logger.traverse),
        .clear = @ptrCast(&logger.clear),
        .methods = &logger_methods,
        .getset = &logger_getset,
        .flags = py.flag_basetype,
    }) orelse return false;
    return true;
}

fn module_exec(module: O) callconv(.c) c_int {
    const current = py.PyInterpreterState_Get();
    if (interpreter == null) {
        if (!init_process()) return -1;
        interpreter = current;
    }
    if (interpreter != current) {
        py.PyErr_SetString(py.PyExc_ImportError, "otelbridge serves one interpreter of a process, and another " ++
            "one has imported it already; import it in that one only");
        return -1;
    }
    const types = .{
        .AccessBase = access.base_type,
        .AccessReader = access_read.reader_type,
        .AttrSet = context.attr_set_type,
        .Core = shared.core_type,
        .Dispatcher = dispatcher.dispatcher_type,
        .Event = events.event_type,
        .Gate = observation.gate_type,
        .Layout = layout.layout_type,
        .LoggerBase = logger_type,
        .ObservationBase = observation.base_type,
        .Scope = scopes.scope_type,
        .Traffic = traffic.traffic_type,
    };
    inline for (@typeInfo(@TypeOf(types)).@"struct".fields) |field| {
        const object: O = @ptrCast(@alignCast(@field(types, field.name).?));
        if (py.PyModule_AddObjectRef(module, field.name, object) < 0) return -1;
    }
    return 0;
}
var module_slots = [_]py.ModuleDefSlot{ .{ .slot = py.mod_exec, .value = @ptrCast(&module_exec) }, .{} };
var module_definition = py.ModuleDef{
    .base = .{},
    .name = "_native",
    .doc = "The core of otelbridge: stamps and serialises log records. See _native.pyi.",
    .methods = &module_methods,
    .slots = &module_slots,
};

export fn PyInit__native() ?O {
    return py.PyModuleDef_Init(&module_definition);
}
