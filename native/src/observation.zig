//! The plain request without Python: Gate opens it, ObservationBase ends it (otelbridge/access/observe.py says what both
//! mean). Plain: no span of ours, an answer below 500 that was sent whole, a record for OTLP alone, points for Traffic.
//! Whatever is not plain is left to Python, before anything was done that Python would do again.

const std = @import("std");
const py = @import("py.zig");
const otlp = @import("otlp.zig");
const context = @import("context.zig");
const access = @import("access.zig");
const access_read = @import("access_read.zig");
const access_emit = @import("access_emit.zig");
const traffics = @import("traffic.zig");
const dispatchers = @import("dispatcher.zig");
const remote = @import("remote.zig");
const shared = @import("state.zig");
const O = py.O;
const Record = access.Record;

var names: struct {
    state: ?O = null,
    access_log: ?O = null,
    @"otelbridge.access_log": ?O = null,
    @"otelbridge.exception": ?O = null,
    neighbour: ?O = null,
    makes_span: ?O = null,
    report: ?O = null,
    _end: ?O = null,
    _log_only: ?O = null,
    raised: ?O = null,
    client_left: ?O = null,
    complete: ?O = null,
} = .{};

pub fn init() bool {
    inline for (@typeInfo(@TypeOf(names)).@"struct".fields) |field|
        @field(names, field.name) = py.PyUnicode_InternFromString(field.name) orelse return false;
    return true;
}

// ---------------------------------------------------------------------------------------------------- Gate

pub const Gate = extern struct {
    head: py.Object,
    kind: ?O,
    core: ?O,
    reader: ?O,
    /// Path -> whether requests to it pass untouched, or are quiet.
    excludes: ?O,
    quiets: ?O,
    /// What a plain request goes to; null: nowhere.
    traffic: ?O,
    dispatcher: ?O,
    /// wants(level): whether anybody else takes the record.
    wants: ?O,
    level: ?O,
    level_no: i64,
    /// logging's own answers, by level; False there is that of wants.
    answers: ?O,
    number: ?O,
    event_name: ?O,
    /// A request that took longer is not plain.
    slow_ns: f64,
    /// Without it no request is.
    is_plain: bool,
    trusts: bool,
    reads_plain: bool,
    log_query: bool,

    fn state(gate: *const Gate) *shared.State {
        return @as(*shared.Core, @ptrCast(gate.core.?)).state;
    }

    const held = .{
        "kind",  "core",  "reader",     "excludes",   "quiets",  "traffic",
        "wants", "level", "event_name", "dispatcher", "answers", "number",
    };
};
pub var gate_type: ?*py.TypeObject = null;

/// Gate(kind, core, reader, excludes, plain)
/// plain: None, or (quiets, traffic, dispatcher, wants, answers, level, level_no, event_name, slow_ns, trusts, reads_plain,
/// log_query)
pub fn gate_new(t: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    const sentence = "Gate takes (kind, core, reader, excludes, plain): a subclass of ObservationBase, a Core, an " ++
        "AccessReader, a callable or None, None or a tuple of twelve";
    if (py.PyTuple_Size(args) != 5 or (if (kwargs) |k| py.PyDict_Size(k) != 0 else false)) return py.type_error(sentence);
    var given: [5]O = undefined;
    for (&given, 0..) |*item, i| item.* = py.PyTuple_GetItem(args, @intCast(i)).?;
    if (!py.is_subclass(given[0], base_type.?) or py.type_of(given[1]) != shared.core_type.? or
        py.type_of(given[2]) != access_read.reader_type.?) return py.type_error(sentence);
    var slow_ns: f64 = 0;
    var level_no: i64 = 0;
    var parts: [12]O = undefined;
    const is_plain = !py.is_none(given[4]);
    if (is_plain) {
        if (!py.has_flag(py.type_of(given[4]), py.subclass_tuple) or py.PyTuple_Size(given[4]) != 12) return py.type_error(sentence);
        for (&parts, 0..) |*item, i| item.* = py.PyTuple_GetItem(given[4], @intCast(i)).?;
        if (!py.is_none(parts[1]) and py.type_of(parts[1]) != traffics.traffic_type.?) return py.type_error(sentence);
        if (!py.is_none(parts[2]) and py.PyType_IsSubtype(py.type_of(parts[2]), dispatchers.dispatcher_type.?) == 0)
            return py.type_error(sentence);
        if (!py.has_flag(py.type_of(parts[7]), py.subclass_unicode)) return py.type_error(sentence);
        level_no = py.integer(parts[6]) orelse return null;
        slow_ns = py.PyFloat_AsDouble(parts[8]);
        if (slow_ns == -1 and py.PyErr_Occurred() != null) return null;
    }
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const gate: *Gate = @ptrCast(self);
    gate.kind = py.new_ref(given[0]);
    gate.core = py.new_ref(given[1]);
    gate.reader = py.new_ref(given[2]);
    gate.excludes = if_some(given[3]);
    if (!is_plain) return self;
    gate.is_plain = true;
    gate.quiets = if_some(parts[0]);
    gate.traffic = if_some(parts[1]);
    gate.dispatcher = if_some(parts[2]);
    gate.wants = if_some(parts[3]);
    gate.answers = if (py.type_of(parts[4]) == &py.PyDict_Type) py.new_ref(parts[4]) else null;
    gate.level = if_some(parts[5]);
    gate.number = py.new_ref(parts[6]);
    gate.level_no = level_no;
    gate.event_name = py.new_ref(parts[7]);
    gate.slow_ns = slow_ns;
    gate.trusts = parts[9] == &py._Py_TrueStruct;
    gate.reads_plain = parts[10] == &py._Py_TrueStruct;
    gate.log_query = parts[11] == &py._Py_TrueStruct;
    return self;
}
fn if_some(object: O) ?O {
    return if (py.is_none(object)) null else py.new_ref(object);
}
pub fn gate_traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const gate: *Gate = @ptrCast(self);
    inline for (Gate.held) |field| {
        if (@field(gate, field)) |object| {
            const result = visit(object, arg);
            if (result != 0) return result;
        }
    }
    return visit(@ptrCast(@alignCast(py.type_of(self))), arg);
}
pub fn gate_clear(_: O) callconv(.c) c_int {
    return 0; // what it holds leads back to no gate; a request may be under way
}
pub fn gate_dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const gate: *Gate = @ptrCast(self);
    inline for (Gate.held) |field| py.clear(&@field(gate, field));
    context.free_instance(self);
}

/// asgi(observer, scope) -> an observation, None, or what Python begins with
fn method_asgi(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("asgi takes (observer, scope)");
    return open(@ptrCast(self), arguments[0], arguments[1], false);
}
/// wsgi(observer, environ), as asgi
fn method_wsgi(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2) return py.type_error("wsgi takes (observer, environ)");
    return open(@ptrCast(self), arguments[0], arguments[1], true);
}
pub var gate_methods = [_]py.MethodDef{
    .method("asgi", &method_asgi, py.METH_FASTCALL),
    .method("wsgi", &method_wsgi, py.METH_FASTCALL),
    .{},
};

/// None; an observation that has begun; or (record, carrier or None), with which Python begins one. The record is where
/// the app finds it.
fn open(gate: *Gate, observer: O, request: O, comptime is_wsgi: bool) ?O {
    // In WSGI the environ itself; in ASGI the dict in it.
    const place = get(request, if (is_wsgi) names.@"otelbridge.access_log".? else names.state.?) orelse
        if (py.PyErr_Occurred() != null) return null else null;
    defer py.Py_DecRef(place);
    if (is_wsgi) {
        if (place) |known| if (is_observed(known)) return py.none();
    } else if (place) |state| {
        if (py.has_flag(py.type_of(state), py.subclass_dict)) {
            if (py.PyDict_GetItemWithError(state, names.access_log.?)) |known| {
                if (is_observed(known)) return py.none();
            } else if (py.PyErr_Occurred() != null) return null;
        }
    }
    const reader: *const access_read.Reader = @ptrCast(gate.reader.?);
    var found = (if (is_wsgi) access_read.find_wsgi(reader, request) else access_read.find_asgi(reader, request)) orelse return null;
    defer py.Py_DecRef(@ptrCast(found.record));
    defer found.carrier.release();
    if (gate.excludes) |excludes| {
        if (matches(excludes, found.record) orelse return null) return py.none();
    }
    if (!(if (is_wsgi) set(request, names.@"otelbridge.access_log".?, @ptrCast(found.record)) else put_state(request, place, found.record)))
        return null;
    if (begin(gate, observer, request, &found)) |observation| return observation;
    if (py.PyErr_Occurred() != null) return null;
    return py.tuple(&.{ py.new_ref(@ptrCast(found.record)), found.carrier.object() });
}

/// A new reference; null: it is not there, or a Python error is set.
fn get(mapping: O, key: O) ?O {
    if (py.has_flag(py.type_of(mapping), py.subclass_dict)) {
        const value = py.PyDict_GetItemWithError(mapping, key) orelse return null;
        return py.new_ref(value);
    }
    return py.PyObject_GetItem(mapping, key) orelse {
        if (py.PyErr_ExceptionMatches(py.PyExc_KeyError) != 0) py.PyErr_Clear();
        return null;
    };
}
fn set(mapping: O, key: O, value: O) bool {
    if (py.type_of(mapping) == &py.PyDict_Type) return py.PyDict_SetItem(mapping, key, value) >= 0;
    return py.PyObject_SetItem(mapping, key, value) >= 0;
}
/// Whether a request that bears this record is under way already.
fn is_observed(known: O) bool {
    return if (access.of(known)) |r| !r.closed else false;
}
fn matches(rules: O, r: *const Record) ?bool {
    const answer = py.call_one(rules, r.get(.path).?) orelse return null;
    defer py.Py_DecRef(answer);
    const truth = py.PyObject_IsTrue(answer);
    return if (truth < 0) null else truth == 1;
}
/// Servers may share one state between the requests of a connection: the record goes into a copy.
fn put_state(scope: O, maybe: ?O, r: *Record) bool {
    const state = maybe orelse &py._Py_NoneStruct;
    const is_dict = py.has_flag(py.type_of(state), py.subclass_dict);
    if (!is_dict and !py.is_none(state)) return true;
    const own = (if (is_dict) py.PyDict_Copy(state) else py.PyDict_New()) orelse return false;
    defer py.Py_DecRef(own);
    return py.PyDict_SetItem(own, names.access_log.?, @ptrCast(r)) >= 0 and set(scope, names.state.?, own);
}

/// Null without a Python error: Python has to.
fn begin(gate: *Gate, observer: O, request: O, found: *const access_read.Found) ?O {
    const r = found.record;
    if (!gate.is_plain or !is_request(gate, r)) return null;
    const trace = &gate.state().trace;
    if (trace.by_method) return null;
    const current = py.context_var_get(trace.variable orelse return null) orelse return null;
    defer py.Py_DecRef(current);
    if (!is_empty(current)) return null;
    if (gate.quiets) |quiets| {
        if (matches(quiets, r) orelse return null) return null;
    }
    const neighbour = py.PyObject_GetAttr(observer, names.neighbour.?) orelse return null;
    defer py.Py_DecRef(neighbour);
    if (!py.is_none(neighbour) and makes_span(neighbour, request)) return null;
    const parent = parent: {
        if (!gate.trusts or found.carrier.is_empty()) break :parent py.new_ref(current);
        const header = found.carrier.only_value orelse return null;
        if (!gate.reads_plain or !is_traceparent(found.carrier.only_key.?)) return null;
        break :parent remote.context_of(header, current, trace) orelse return null;
    };
    const made = py.PyType_GenericAlloc(@ptrCast(@alignCast(gate.kind.?)), 0) orelse {
        py.Py_DecRef(parent);
        return null;
    };
    const o: *Observation = @ptrCast(made);
    fill(o, gate, observer, request, r);
    o.context = parent;
    o.is_plain = true;
    if (gate.log_query) r.log_query = true;
    const traffic: *traffics.Traffic = @ptrCast(gate.traffic orelse return made);
    if (traffics.start(traffic, r)) |is_counted| {
        o.is_counted = is_counted;
        if (is_counted) return made;
        // The words are Python's to bound; the rest of the request is as well.
        py.Py_DecRef(made);
        return null;
    }
    if (report(observer, "the start of a request")) return made;
    py.Py_DecRef(made);
    return null;
}
fn is_traceparent(name: O) bool {
    return std.mem.eql(u8, otlp.utf8(name) orelse "", "traceparent");
}
/// Exactly a record of the class that the reader makes for HTTP: no WebSocket session.
fn is_request(gate: *const Gate, r: *Record) bool {
    const reader: *const access_read.Reader = @ptrCast(gate.reader.?);
    return @as(O, @ptrCast(@alignCast(py.type_of(@ptrCast(r))))) == reader.record_type.?;
}
fn is_empty(current: O) bool {
    return py.has_flag(py.type_of(current), py.subclass_dict) and py.PyDict_Size(current) == 0;
}
/// A neighbour that raises is asked again by Python, which tells of it.
fn makes_span(neighbour: O, request: O) bool {
    const method = py.PyObject_GetAttr(neighbour, names.makes_span.?) orelse return no_answer();
    defer py.Py_DecRef(method);
    const answer = py.call_one(method, request) orelse return no_answer();
    defer py.Py_DecRef(answer);
    const truth = py.PyObject_IsTrue(answer);
    return if (truth < 0) no_answer() else truth == 1;
}
fn no_answer() bool {
    py.PyErr_Clear();
    return true;
}

/// Tell the observer of the current error; false: it is a program's interruption, and still set.
fn report(observer: O, what: [:0]const u8) bool {
    if (py.PyErr_ExceptionMatches(py.PyExc_Exception) == 0) return false;
    var kind: ?O = null;
    var value: ?O = null;
    var trace: ?O = null;
    py.PyErr_Fetch(&kind, &value, &trace);
    py.PyErr_NormalizeException(&kind, &value, &trace);
    const last: ?O = null;
    if (py.PyObject_GetAttr(observer, names.report.?)) |method| {
        defer py.Py_DecRef(method);
        if (py.PyUnicode_FromStringAndSize(what.ptr, @intCast(what.len))) |text| {
            defer py.Py_DecRef(text);
            py.Py_DecRef(py.PyObject_CallFunctionObjArgs(method, text, value orelse &py._Py_NoneStruct, last));
        }
    }
    for ([_]?O{ kind, value, trace }) |object| py.Py_DecRef(object);
    py.PyErr_Clear();
    return true;
}

// ---------------------------------------------------------------------------------------------------- ObservationBase

pub const Observation = extern struct {
    head: py.Object,
    gate: ?*Gate,
    observer: ?O,
    record: ?*Record,
    /// The scope or environ.
    request: ?O,
    /// OpenTelemetry's, of what happens in the request; null: the one around.
    context: ?O,
    span: ?O,
    /// True or False.
    ended: ?O,
    is_quiet: bool,
    is_foreign: bool,
    is_counted: bool,
    /// Nothing of it was left to Python so far.
    is_plain: bool,

    fn has_ended(o: *const Observation) bool {
        return o.ended == &py._Py_TrueStruct;
    }
};
pub var base_type: ?*py.TypeObject = null;

fn fill(o: *Observation, gate: *Gate, observer: O, request: O, r: *Record) void {
    o.gate = @ptrCast(py.new_ref(@ptrCast(gate)));
    o.record = @ptrCast(py.new_ref(@ptrCast(r)));
    o.observer = py.new_ref(observer);
    o.request = py.new_ref(request);
    o.ended = py.new_ref(&py._Py_FalseStruct);
}

/// ObservationBase(gate, observer, request, record, is_quiet)
pub fn new(t: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    const sentence = "an observation takes (gate, observer, request, record, is_quiet)";
    if (py.PyTuple_Size(args) != 5 or (if (kwargs) |k| py.PyDict_Size(k) != 0 else false)) return py.type_error(sentence);
    const gate = py.PyTuple_GetItem(args, 0).?;
    const r = access.of(py.PyTuple_GetItem(args, 3).?);
    if (py.type_of(gate) != gate_type.? or r == null) return py.type_error(sentence);
    const is_quiet = py.PyObject_IsTrue(py.PyTuple_GetItem(args, 4).?);
    if (is_quiet < 0) return null;
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const o: *Observation = @ptrCast(self);
    fill(o, @ptrCast(gate), py.PyTuple_GetItem(args, 1).?, py.PyTuple_GetItem(args, 2).?, r.?);
    o.is_quiet = is_quiet == 1;
    return self;
}
pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const o: *Observation = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    for ([_]?O{ @ptrCast(o.gate), o.observer, @ptrCast(o.record), o.request, o.context, o.span, o.ended, kind }) |maybe| {
        const object = maybe orelse continue;
        const result = visit(object, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(self: O) callconv(.c) c_int {
    const o: *Observation = @ptrCast(self);
    // Gate, observer and record stay: none leads back to us by itself.
    py.clear(&o.request);
    py.clear(&o.context);
    py.clear(&o.span);
    return 0;
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const o: *Observation = @ptrCast(self);
    _ = clear(self);
    py.clear(@ptrCast(&o.gate));
    py.clear(&o.observer);
    py.clear(@ptrCast(&o.record));
    py.clear(&o.ended);
    context.free_instance(self);
}

/// enter() -> what leave takes
fn enter(self: O, _: ?O) callconv(.c) ?O {
    return enter_request(@ptrCast(self));
}
fn enter_request(o: *Observation) ?O {
    const state = o.gate.?.state();
    const arguments = [_]O{ @ptrCast(o.record.?), o.context orelse &py._Py_NoneStruct };
    return access.enter_request(state.context_var.?, &state.trace, &arguments, arguments.len);
}
/// leave(entry)
fn leave(self: O, entry: O) callconv(.c) ?O {
    const state = @as(*Observation, @ptrCast(self)).gate.?.state();
    return access.leave_request(state.context_var.?, &state.trace, entry);
}

/// end(*, raised=None, client_left=False, complete=True)
fn end(self: O, arguments: [*]const O, count: isize, keywords: ?O) callconv(.c) ?O {
    const o: *Observation = @ptrCast(self);
    const no: O = @ptrCast(&py._Py_FalseStruct);
    const yes: O = @ptrCast(&py._Py_TrueStruct);
    const sentence = "end takes raised, client_left and complete, by keyword";
    var raised: O = &py._Py_NoneStruct;
    var client_left = no;
    var complete = yes;
    if (count != 0) return py.type_error(sentence);
    if (keywords) |given| {
        for (0..@intCast(py.PyTuple_Size(given))) |i| {
            const name = py.PyTuple_GetItem(given, @intCast(i)).?;
            if (name == names.raised) {
                raised = arguments[i];
            } else if (name == names.client_left) {
                client_left = arguments[i];
            } else if (name == names.complete) {
                complete = arguments[i];
            } else return py.type_error(sentence);
        }
    }
    if (o.has_ended()) return py.none();
    const before = o.ended;
    o.ended = py.new_ref(&py._Py_TrueStruct);
    py.Py_DecRef(before);
    if (o.is_plain and py.is_none(raised) and client_left == no and complete == yes) {
        if (end_plain(o)) |is_done| {
            if (is_done) return py.none();
        } else return null;
    }
    const python_way = py.PyObject_GetAttr(self, names._end.?) orelse return null;
    defer py.Py_DecRef(python_way);
    const last: ?O = null;
    return py.PyObject_CallFunctionObjArgs(python_way, raised, client_left, complete, last);
}

/// False: nothing was done that Python does not do again; null: a Python error is set.
fn end_plain(o: *Observation) ?bool {
    const gate = o.gate.?;
    const r = o.record.?;
    const state = gate.state();
    if (r.number(.status)) |status| if (status >= 500) return false;
    if (@as(f64, @floatFromInt(r.number(.duration_ns).?)) > gate.slow_ns) return false;
    if (o.request) |request| if (!lacks_exception(request)) return false;
    const maybe_dispatcher: ?*dispatchers.Dispatcher = @ptrCast(gate.dispatcher);
    if (maybe_dispatcher) |d| {
        if (access_emit.is_pythons(d, r, gate.level_no)) return false;
        if (!is_unwanted(gate) and !is_false(gate.wants.?, gate.level.?)) return false;
    }
    // Every signal is to carry this request's ids, wherever its end is seen.
    const variable = state.trace.variable orelse return false;
    const wanted = o.context orelse return false;
    if (state.trace.by_method) return false;
    const current = py.context_var_get(variable) orelse return false;
    defer py.Py_DecRef(current);
    const is_elsewhere = current != wanted;
    if (is_elsewhere and !is_empty(current)) return false;
    r.take(.ended_by, null);
    r.take(.error_type, null);

    // The texts of additions may be made by code that logs.
    const has_additions = r.additions != null;
    const entry = if (has_additions) enter_request(o) orelse return null else null;
    const where = if (is_elsewhere) wanted else null;
    var is_interrupted = false;
    var is_measured = true;
    var is_logged = true;
    if (gate.traffic) |traffic| {
        if (traffics.end(@ptrCast(traffic), r, o.is_counted, where)) |added| {
            is_measured = added;
        } else is_interrupted = !report(o.observer.?, "metrics");
    }
    if (maybe_dispatcher) |d| if (is_measured and !is_interrupted) {
        if (access_emit.emit(d, r, gate.level_no, gate.event_name.?, null, where)) |done| {
            is_logged = done;
        } else is_interrupted = !report(o.observer.?, "the access record");
    };
    // What is set apart while the context is put back.
    var fault = py.Fault{};
    if (is_interrupted) fault.absorb();
    if (entry) |taken| {
        py.Py_DecRef(access.leave_request(state.context_var.?, &state.trace, taken));
        py.PyErr_Clear();
        py.Py_DecRef(taken);
    }
    if (!is_measured) return false;
    if (!is_logged and !is_interrupted) {
        // Something in it is Python's to judge. It leaves the record open no longer than we do.
        const method = py.PyObject_GetAttr(@ptrCast(o), names._log_only.?);
        const answer = if (method) |m| py.PyObject_CallNoArgs(m) else null;
        py.Py_DecRef(method);
        py.Py_DecRef(answer);
        if (answer == null) fault.absorb();
    }
    r.closed = true;
    py.clear(@ptrCast(&r.context));
    return if (fault.restore()) null else true;
}
fn lacks_exception(request: O) bool {
    if (!py.has_flag(py.type_of(request), py.subclass_dict)) return false;
    const answer = py.PyDict_Contains(request, names.@"otelbridge.exception".?);
    if (answer < 0) py.PyErr_Clear();
    return answer == 0;
}
/// Whether logging has said already that nobody takes the level.
fn is_unwanted(gate: *const Gate) bool {
    const known = py.PyDict_GetItemWithError(gate.answers orelse return false, gate.number.?);
    if (known == null) py.PyErr_Clear();
    return known == &py._Py_FalseStruct;
}
/// Whether `question(about)` is False.
fn is_false(question: O, about: O) bool {
    const answer = py.call_one(question, about) orelse {
        py.PyErr_Clear();
        return false;
    };
    defer py.Py_DecRef(answer);
    return answer == &py._Py_FalseStruct;
}

pub var methods = [_]py.MethodDef{
    .method("enter", &enter, py.METH_NOARGS),
    .method("leave", &leave, py.METH_O),
    .method("end", &end, py.METH_FASTCALL | py.METH_KEYWORDS),
    .{},
};
pub var members = [_]py.MemberDef{
    .{ .name = "_observer", .type = py.member_object_ex, .offset = @offsetOf(Observation, "observer"), .flags = py.member_readonly },
    .{ .name = "record", .type = py.member_object_ex, .offset = @offsetOf(Observation, "record"), .flags = py.member_readonly },
    .{ .name = "ended", .type = py.member_object_ex, .offset = @offsetOf(Observation, "ended"), .flags = py.member_readonly },
    .{ .name = "_request", .type = py.member_object_ex, .offset = @offsetOf(Observation, "request"), .flags = py.member_readonly },
    .{ .name = "_context", .type = py.member_object, .offset = @offsetOf(Observation, "context") },
    .{ .name = "_span", .type = py.member_object, .offset = @offsetOf(Observation, "span") },
    .{ .name = "_is_quiet", .type = py.member_bool, .offset = @offsetOf(Observation, "is_quiet"), .flags = py.member_readonly },
    .{ .name = "_is_foreign", .type = py.member_bool, .offset = @offsetOf(Observation, "is_foreign") },
    .{ .name = "_is_counted", .type = py.member_bool, .offset = @offsetOf(Observation, "is_counted") },
    .{},
};
