//! Scope: a `contextualize` block. One without ids is entered and left here; others by Python (otelbridge/context.py).

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const fmt = @import("fmt.zig");
const context = @import("context.zig");
const O = py.O;
const AttrSet = context.AttrSet;

/// One `with` under way. `entry`: the token of the ContextVar, or what Python's `enter` returned.
const Entry = struct {
    entry: O,
    is_native: bool,
    outer: ?*Entry,
};

pub const Scope = extern struct {
    head: py.Object,
    values: ?O,
    /// Innermost first; null while no block is open.
    entries: ?*Entry,
    names_ids: bool,
};

/// The class of scopes that loggers make, the ContextVar of the surrounding AttrSet, and Python's enter(values) -> entry
/// and leave(entry).
var made_type: ?O = null;
var variable: ?O = null;
var python_enter: ?O = null;
var python_leave: ?O = null;

/// Names whose values may be ids; interned when the module is made.
var id_names: [4]?O = @splat(null);

pub fn init() bool {
    const names = [id_names.len][*:0]const u8{ "trace_id", "span_id", "traceparent", "span" };
    for (&id_names, names) |*object, name| object.* = py.PyUnicode_InternFromString(name) orelse return false;
    return true;
}

/// set_scope(kind, context_var, enter, leave)
pub fn module_set_scope(_: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 4) return py.type_error("set_scope takes (kind, context_var, enter, leave)");
    if (!py.is_subclass(arguments[0], scope_type.?)) return py.type_error("set_scope: kind must be a subclass of Scope");
    if (!py.is_context_var(arguments[1])) return py.type_error("set_scope: context_var must be a ContextVar with a default");
    const fields = [_]*?O{ &made_type, &variable, &python_enter, &python_leave };
    for (fields, arguments[0..4]) |field, object| {
        const old = field.*;
        field.* = py.new_ref(object);
        py.Py_DecRef(old);
    }
    return py.none();
}

/// Scope(values)
pub fn new(t: *py.TypeObject, args: O, kwargs: ?O) callconv(.c) ?O {
    const has_names = if (kwargs) |k| py.PyDict_Size(k) != 0 else false;
    const values = if (py.PyTuple_Size(args) == 1) py.PyTuple_GetItem(args, 0).? else null;
    if (values == null or has_names or !py.has_flag(py.type_of(values.?), py.subclass_dict))
        return py.type_error("Scope takes (values), a dict");
    return make(t, values.?);
}
fn make(t: *py.TypeObject, values: O) ?O {
    if (variable == null) {
        py.PyErr_SetString(py.PyExc_RuntimeError, "set_scope was not called");
        return null;
    }
    const self = py.PyType_GenericAlloc(t, 0) orelse return null;
    const scope: *Scope = @ptrCast(self);
    scope.values = py.new_ref(values);
    for (id_names) |name| {
        if (py.PyDict_GetItemWithError(values, name.?) != null) scope.names_ids = true;
    }
    py.PyErr_Clear(); // a name of a str subclass may have raised when it was compared
    return self;
}

/// LoggerBase.contextualize(**values)
pub fn contextualize(_: O, arguments: [*]const O, count: isize, names: ?O) callconv(.c) ?O {
    if (count != 0) return py.type_error("contextualize() takes keyword arguments only");
    const values = fmt.dict_of(arguments, names) orelse return null;
    defer py.Py_DecRef(values);
    return make(@ptrCast(@alignCast(made_type orelse @as(O, @ptrCast(@alignCast(scope_type.?))))), values);
}

pub fn enter(self: O, _: ?O) callconv(.c) ?O {
    const scope: *Scope = @ptrCast(self);
    const values = scope.values orelse return py.none();
    const link = wire.create(Entry) orelse return py.PyErr_NoMemory();
    const entry = if (scope.names_ids)
        py.call_one(python_enter.?, values)
    else
        set_values(values);
    if (entry == null) {
        wire.free(link);
        return null;
    }
    link.* = .{ .entry = entry.?, .is_native = !scope.names_ids, .outer = scope.entries };
    scope.entries = link;
    return py.none();
}

/// Make `values` surround what follows; the token that ends it.
fn set_values(values: O) ?O {
    const current = py.context_var_get(variable.?);
    defer py.Py_DecRef(current);
    const set = context.attr_set_inside(context.attr_set_of(current), values) orelse return null;
    defer py.Py_DecRef(set);
    return py.context_var_set(variable.?, set);
}

pub fn exit(self: O, _: [*]const O, _: isize) callconv(.c) ?O {
    const scope: *Scope = @ptrCast(self);
    const link = scope.entries orelse return py.none();
    scope.entries = link.outer;
    const entry = link.entry;
    const is_native = link.is_native;
    wire.free(link);
    defer py.Py_DecRef(entry);
    if (!is_native) return py.call_one(python_leave.?, entry);
    // Another context (a task that was closed from elsewhere): its own values end with it.
    if (!py.context_var_reset(variable.?, entry)) {
        if (py.PyErr_ExceptionMatches(py.PyExc_ValueError) == 0) return null;
        py.PyErr_Clear();
    }
    return py.none();
}

fn get_values(self: O, _: ?*anyopaque) callconv(.c) ?O {
    return py.new_ref(@as(*Scope, @ptrCast(self)).values orelse return py.PyDict_New());
}

pub fn traverse(self: O, visit: py.VisitProc, arg: ?*anyopaque) callconv(.c) c_int {
    const scope: *Scope = @ptrCast(self);
    for ([_]?O{ scope.values, @ptrCast(@alignCast(py.type_of(self))) }) |object| {
        const o = object orelse continue;
        const result = visit(o, arg);
        if (result != 0) return result;
    }
    var next = scope.entries;
    while (next) |link| : (next = link.outer) {
        const result = visit(link.entry, arg);
        if (result != 0) return result;
    }
    return 0;
}
pub fn clear(self: O) callconv(.c) c_int {
    const scope: *Scope = @ptrCast(self);
    while (scope.entries) |link| {
        scope.entries = link.outer;
        const entry = link.entry;
        wire.free(link);
        py.Py_DecRef(entry);
    }
    py.clear(&scope.values);
    return 0;
}
pub fn dealloc(self: O) callconv(.c) void {
    py.PyObject_GC_UnTrack(self);
    _ = clear(self);
    context.free_instance(self);
}

pub var methods = [_]py.MethodDef{
    .method("__enter__", &enter, py.METH_NOARGS),
    .method("__exit__", &exit, py.METH_FASTCALL),
    .{},
};
pub var getset = [_]py.GetSetDef{ .{ .name = "values", .get = &get_values }, .{} };
pub var scope_type: ?*py.TypeObject = null;
