//! Dispatcher: what the loggers of one family share (a deep copy of a logger begins another family on the same Core):
//! which calls do anything, and the two ways into Python.

const std = @import("std");
const py = @import("py.zig");
const site = @import("site.zig");
const context = @import("context.zig");
const shared = @import("state.zig");
const O = py.O;
const AttrSet = context.AttrSet;
const level_off = shared.level_off;

pub const Dispatcher = extern struct {
    head: py.Object,
    /// Lives as long as `core`.
    state: *shared.State,
    core: ?O,
    /// Others of the same core; null and unlinked once this one is being collected.
    next: ?*Dispatcher,
    linked: bool,
    /// Every call that passes the threshold goes to `dispatch`.
    python_way: bool,
    /// The lowest level that a sink wants, and the lower of it and the core's otlp_level.
    sink_level: i64,
    threshold: i64,
    /// dispatch(logger, level, message, args, kwargs, exception), and deliver(event) for plain calls.
    dispatch: ?O,
    deliver: ?O,
    /// record["level"] of our own levels, in their order.
    level_objects: [shared.level_count]?O,
    /// configure(extra=…)
    extra: ?*AttrSet,
    /// Module name -> whether its calls count, and decide(name) for those that are not in it.
    activation: ?O,
    decide: ?O,

    pub fn set_threshold(d: *Dispatcher) void {
        d.threshold = @min(d.state.otlp_level, d.sink_level);
    }

    /// Whether calls of the module that is running count; null: a Python error is set.
    pub inline fn is_active(d: *Dispatcher) ?bool {
        const cache = d.activation orelse return true;
        return ask(d, cache);
    }

    fn link(d: *Dispatcher) void {
        d.next = d.state.dispatchers;
        d.state.dispatchers = d;
        d.linked = true;
    }
    fn unlink(d: *Dispatcher) void {
        if (!d.linked) return;
        d.linked = false;
        var place = &d.state.dispatchers;
        while (place.*) |other| : (place = &other.next) {
            if (other != d) continue;
            place.* = d.next;
            return;
        }
    }
};
pub var dispatcher_type: ?*py.TypeObject = null;

noinline fn ask(d: *Dispatcher, cache: O) ?bool {
    const globals = py.PyEval_GetGlobals();
    const name = (if (globals) |g| site.module_of(g) else null) orelse py.none().?;
    defer py.Py_DecRef(name);
    if (py.PyDict_GetItemWithError(cache, name)) |known| {
        if (known == &py._Py_TrueStruct) return true;
        return truth(known);
    }
    if (py.PyErr_Occurred() != null) return null;
    const decide = py.new_ref(d.decide orelse return true);
    defer py.Py_DecRef(decide);
    const end: ?O = null;
    const answer = py.PyObject_CallFunctionObjArgs(decide, name, end) orelse return null;
    defer py.Py_DecRef(answer);
    return truth(answer);
}
fn truth(object: O) ?bool {
    const answer = py.PyObject_IsTrue(object);
    return if (answer < 0) null else answer == 1;
}

/// Dispatcher(core, dispatch, deliver)
pub fn new(t: *py.TypeObject, args: O, _: ?O) callconv(.c) ?O {
    if (py.PyTuple_Size(args) != 3) return py.type_error("Dispatcher takes (core, dispatch, deliver)");
    const core_object = py.PyTuple_GetItem(args, 0).?;
    if (py.type_of(core_object) != shared.core_type.?) return py.type_error("Dispatcher: core must be a Core");
    for (1..3) |i| {
        if (py.PyCallable_Check(py.PyTuple_GetItem(args, @intCast(i)).?) == 0)
            return py.type_error("Dispatcher: dispatch and deliver must be callable");
    }
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const d: *Dispatcher = @ptrCast(self);
    const core: *shared.Core = @ptrCast(core_object);
    d.state = core.state;
    d.core = py.new_ref(core_object);
    d.dispatch = py.new_ref(py.PyTuple_GetItem(args, 1).?);
    d.deliver = py.new_ref(py.PyTuple_GetItem(args, 2).?);
    d.sink_level = level_off;
    for (&d.level_objects, &shared.level_names) |*object, name| object.* = py.new_ref(name.?);
    d.link();
    d.set_threshold();
    return self;
}
pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const d: *Dispatcher = @ptrCast(self);
    const kind: O = @ptrCast(@alignCast(py.type_of(self)));
    const held = [_]?O{ d.core, d.dispatch, d.deliver, @ptrCast(d.extra), d.activation, d.decide, kind };
    for (held ++ d.level_objects) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(self: O) callconv(.c) c_int {
    const d: *Dispatcher = @ptrCast(self);
    // A logger that outlives this does nothing. `core` stays, and the levels: an event may be under way.
    d.unlink();
    d.threshold = level_off;
    py.clear(&d.dispatch);
    py.clear(&d.deliver);
    py.clear(@ptrCast(&d.extra));
    py.clear(&d.activation);
    py.clear(&d.decide);
    return 0;
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    const d: *Dispatcher = @ptrCast(self);
    _ = clear(self);
    for (&d.level_objects) |*object| py.clear(object);
    py.clear(&d.core);
    context.free_instance(self);
}

/// set_sink_level(level_no or None)
pub fn set_sink_level(self: O, level: O) callconv(.c) ?O {
    const d: *Dispatcher = @ptrCast(self);
    var number: i64 = level_off;
    if (!py.is_none(level)) {
        number = py.PyLong_AsLongLong(level);
        if (number == -1 and py.PyErr_Occurred() != null) return null;
    }
    d.sink_level = number;
    if (d.linked) d.set_threshold();
    return py.none();
}
/// set_python_way(flag)
pub fn set_python_way(self: O, flag: O) callconv(.c) ?O {
    const on = truth(flag) orelse return null;
    @as(*Dispatcher, @ptrCast(self)).python_way = on;
    return py.none();
}
/// set_levels(seven objects)
pub fn set_levels(self: O, objects: O) callconv(.c) ?O {
    const d: *Dispatcher = @ptrCast(self);
    if (!py.has_flag(py.type_of(objects), py.subclass_tuple) or py.PyTuple_Size(objects) != d.level_objects.len)
        return py.type_error("set_levels takes a tuple of the seven levels from TRACE to CRITICAL");
    const old = d.level_objects;
    for (&d.level_objects, 0..) |*object, i| object.* = py.new_ref(py.PyTuple_GetItem(objects, @intCast(i)).?);
    for (old) |object| py.Py_DecRef(object);
    return py.none();
}
/// set_extra(AttrSet or None)
pub fn set_extra(self: O, extra: O) callconv(.c) ?O {
    const d: *Dispatcher = @ptrCast(self);
    if (!py.is_none(extra) and context.attr_set_of(extra) == null)
        return py.type_error("set_extra takes an AttrSet or None");
    const old = d.extra;
    d.extra = if (py.is_none(extra)) null else @ptrCast(py.new_ref(extra));
    py.Py_DecRef(@ptrCast(old));
    return py.none();
}
/// set_activation(cache or None, decide)
pub fn set_activation(self: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    const d: *Dispatcher = @ptrCast(self);
    if (count != 2) return py.type_error("set_activation takes (cache, decide)");
    const is_off = py.is_none(arguments[0]);
    if (!is_off and py.type_of(arguments[0]) != &py.PyDict_Type)
        return py.type_error("set_activation: cache must be a dict or None");
    if (!is_off and py.PyCallable_Check(arguments[1]) == 0)
        return py.type_error("set_activation: decide must be callable");
    const old = [_]?O{ d.activation, d.decide };
    d.activation = if (is_off) null else py.new_ref(arguments[0]);
    d.decide = if (is_off) null else py.new_ref(arguments[1]);
    for (old) |object| py.Py_DecRef(object);
    return py.none();
}

fn get_core(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.new_ref(@as(*Dispatcher, @ptrCast(self)).core orelse &py._Py_NoneStruct);
}
fn get_extra(self: O, _: ?*anyopaque) callconv(.c) ?O {
    const extra: ?O = @ptrCast(@as(*Dispatcher, @ptrCast(self)).extra);
    return py.new_ref(extra orelse &py._Py_NoneStruct);
}
fn get_threshold(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.PyLong_FromLongLong(@as(*Dispatcher, @ptrCast(self)).threshold);
}

pub var methods = [_]py.MethodDef{
    .method("set_sink_level", &set_sink_level, py.METH_O),
    .method("set_python_way", &set_python_way, py.METH_O),
    .method("set_levels", &set_levels, py.METH_O),
    .method("set_extra", &set_extra, py.METH_O),
    .method("set_activation", &set_activation, py.METH_FASTCALL),
    .method("emit_access", &@import("access_emit.zig").emit_access, py.METH_FASTCALL),
    .{},
};
pub var getset = [_]py.GetSetDef{
    .{ .name = "core", .get = &get_core },
    .{ .name = "extra", .get = &get_extra },
    .{ .name = "threshold", .get = &get_threshold },
    .{},
};
