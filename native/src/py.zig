//! CPython's stable ABI (3.11), declared by hand: no Python headers, no translate-c. Knows nothing of OTLP.
//!
//! Ownership in this file follows the C API: a function that returns `?O` gives a new reference unless its comment
//! says "borrowed". Everything here needs the GIL.

const builtin = @import("builtin");

/// Opaque to us but for its address; extern so that pointers to it are aligned.
pub const TypeObject = extern struct { head: [2]usize };
/// Layout of a GIL build's object header, fixed by the stable ABI until 3.15's abi3t.
pub const Object = extern struct { ob_refcnt: isize, ob_type: *TypeObject };
pub const O = *Object;

pub const MethodDef = extern struct {
    name: ?[*:0]const u8 = null,
    meth: ?*const anyopaque = null,
    flags: c_int = 0,
    doc: ?[*:0]const u8 = null,

    pub fn method(name: [:0]const u8, function: *const anyopaque, flags: c_int) MethodDef {
        return .{ .name = name, .meth = function, .flags = flags };
    }
};
pub const ModuleDefBase = extern struct {
    ob_base: [@sizeOf(Object)]u8 align(@alignOf(usize)) = @splat(0),
    m_init: ?*const anyopaque = null,
    m_index: isize = 0,
    m_copy: ?O = null,
};
pub const ModuleDefSlot = extern struct { slot: c_int = 0, value: ?*const anyopaque = null };
pub const ModuleDef = extern struct {
    base: ModuleDefBase,
    name: [*:0]const u8,
    doc: ?[*:0]const u8 = null,
    size: isize = 0,
    methods: ?[*]MethodDef = null,
    slots: ?[*]ModuleDefSlot = null,
    traverse: ?*const anyopaque = null,
    clear: ?*const anyopaque = null,
    free: ?*const anyopaque = null,
};
pub const TypeSlot = extern struct { slot: c_int = 0, pfunc: ?*const anyopaque = null };
pub const TypeSpec = extern struct {
    name: [*:0]const u8,
    basicsize: c_int,
    itemsize: c_int = 0,
    flags: c_uint,
    slots: [*]TypeSlot,
};
pub const Getter = *const fn (self: O, closure: ?*anyopaque) callconv(.c) ?O;
pub const Setter = *const fn (self: O, value: ?O, closure: ?*anyopaque) callconv(.c) c_int;
pub const GetSetDef = extern struct {
    name: ?[*:0]const u8 = null,
    get: ?Getter = null,
    set: ?Setter = null,
    doc: ?[*:0]const u8 = null,
    closure: ?*anyopaque = null,
};
pub const MemberDef = extern struct {
    name: ?[*:0]const u8 = null,
    type: c_int = 0,
    offset: isize = 0,
    flags: c_int = 0,
    doc: ?[*:0]const u8 = null,
};
pub const VisitProc = *const fn (object: ?O, arg: ?*anyopaque) callconv(.c) c_int;

pub const METH_KEYWORDS = 2;
pub const METH_NOARGS = 4;
pub const METH_O = 8;
pub const METH_FASTCALL = 0x80;
pub const slot_clear = 51;
pub const slot_dealloc = 52;
pub const slot_doc = 56;
pub const slot_methods = 64;
pub const slot_new = 65;
pub const slot_hash = 59;
pub const slot_repr = 66;
pub const slot_richcompare = 67;
pub const slot_str = 70;
pub const slot_traverse = 71;
pub const slot_members = 72;
pub const slot_getset = 73;
pub const slot_free = 74;
pub const mod_exec = 2;
pub const member_ssize = 19;
pub const member_object = 6;
pub const member_object_ex = 16;
pub const member_bool = 14;
pub const member_readonly = 1;
pub const flag_default: c_uint = 1 << 18;
pub const flag_basetype: c_uint = 1 << 10;
pub const flag_gc: c_uint = 1 << 14;
pub const subclass_long: c_ulong = 1 << 24;
pub const subclass_list: c_ulong = 1 << 25;
pub const subclass_tuple: c_ulong = 1 << 26;
pub const subclass_bytes: c_ulong = 1 << 27;
pub const subclass_unicode: c_ulong = 1 << 28;
pub const subclass_dict: c_ulong = 1 << 29;
pub const subclass_exception: c_ulong = 1 << 30;
pub const subclass_type: c_ulong = 1 << 31;
/// What is, or is registered as, a collections.abc.Mapping.
pub const flag_mapping: c_ulong = 1 << 6;

// Extern variables: only their addresses are used, but for the exceptions, which are pointers.
pub extern var PyUnicode_Type: TypeObject;
pub extern var PyLong_Type: TypeObject;
pub extern var PyBool_Type: TypeObject;
pub extern var PyFloat_Type: TypeObject;
pub extern var PyBytes_Type: TypeObject;
pub extern var PyList_Type: TypeObject;
pub extern var PyTuple_Type: TypeObject;
pub extern var PyDict_Type: TypeObject;
pub extern var PyBaseObject_Type: TypeObject;
pub extern var PyByteArray_Type: TypeObject;
pub extern var PyFrozenSet_Type: TypeObject;
pub extern var _Py_NoneStruct: Object;
pub extern var _Py_TrueStruct: Object;
pub extern var _Py_FalseStruct: Object;
pub extern var PyExc_Exception: O;
pub extern var PyExc_ImportError: O;
pub extern var PyExc_KeyError: O;
pub extern var PyExc_RuntimeError: O;
pub extern var PyExc_TypeError: O;
pub extern var PyExc_ValueError: O;

pub extern fn Py_IncRef(?O) void;
pub extern fn Py_DecRef(?O) void;
pub extern fn PyUnicode_AsUTF8AndSize(O, *isize) ?[*]const u8; // borrowed from the str
pub extern fn PyUnicode_FromStringAndSize(?[*]const u8, isize) ?O;
pub extern fn PyUnicode_DecodeUTF8([*]const u8, isize, ?[*:0]const u8) ?O;
pub extern fn PyUnicode_DecodeLatin1([*]const u8, isize, ?[*:0]const u8) ?O;
pub extern fn PyUnicode_AsLatin1String(O) ?O;
pub extern fn PyUnicode_FromObject(O) ?O; // of exactly str
pub extern fn PyUnicode_GetLength(O) isize;
pub extern fn PyUnicode_Substring(O, isize, isize) ?O;
pub extern fn PyUnicode_Concat(O, O) ?O;
pub extern fn PyUnicode_AsEncodedString(O, [*:0]const u8, [*:0]const u8) ?O;
pub extern fn PyUnicode_InternFromString([*:0]const u8) ?O;
pub extern fn PyByteArray_AsString(O) ?[*]u8;
pub extern fn PyByteArray_Size(O) isize;
pub extern fn PyBytes_FromStringAndSize(?[*]const u8, isize) ?O;
pub extern fn PyBytes_AsString(O) ?[*]u8;
pub extern fn PyBytes_AsStringAndSize(O, *?[*]u8, *isize) c_int;
pub extern fn PyLong_AsLongLongAndOverflow(O, *c_int) c_longlong;
pub extern fn PyLong_AsLongLong(O) c_longlong;
pub extern fn PyLong_AsUnsignedLongLong(O) c_ulonglong;
pub extern fn PyLong_AsUnsignedLongLongMask(O) c_ulonglong;
pub extern fn PyLong_FromLongLong(c_longlong) ?O;
pub extern fn PyLong_FromUnsignedLongLong(c_ulonglong) ?O;
pub extern fn PyLong_FromLong(c_long) ?O;
pub extern fn PyFloat_AsDouble(O) f64;
pub extern fn PyFloat_FromDouble(f64) ?O;
pub extern fn PyNumber_Index(O) ?O;
pub extern fn PyIndex_Check(O) c_int;
pub extern fn PyNumber_Lshift(O, O) ?O;
pub extern fn PyNumber_Or(O, O) ?O;
pub extern fn PyNumber_Rshift(O, O) ?O;
pub extern fn PyNumber_ToBase(O, c_int) ?O;
pub extern fn PyObject_Str(O) ?O;
pub extern fn PyObject_Repr(O) ?O;
pub extern fn PyObject_Format(O, ?O) ?O;
pub extern fn PyObject_IsTrue(O) c_int;
pub extern fn PyObject_IsInstance(O, O) c_int;
pub extern fn PyObject_GetAttr(O, O) ?O;
pub extern fn PyObject_GetAttrString(O, [*:0]const u8) ?O;
pub extern fn PyObject_SetAttr(O, O, O) c_int;
pub extern fn PyObject_GetItem(O, O) ?O;
pub extern fn PyObject_SetItem(O, O, O) c_int;
pub extern fn PyObject_GenericGetDict(O, ?*anyopaque) ?O;
pub extern fn PyObject_GetIter(O) ?O;
pub extern fn PyIter_Next(O) ?O;
pub extern fn PyObject_CallNoArgs(O) ?O;
pub extern fn PyObject_CallFunctionObjArgs(O, ...) ?O;
pub extern fn PyObject_Call(O, O, ?O) ?O;
pub extern fn PyCallable_Check(O) c_int;
pub extern fn PyMapping_Items(O) ?O;
pub extern fn PyErr_Clear() void;
pub extern fn PyErr_Occurred() ?O; // borrowed
pub extern fn PyErr_ExceptionMatches(O) c_int;
pub extern fn PyErr_Fetch(*?O, *?O, *?O) void;
pub extern fn PyErr_Restore(?O, ?O, ?O) void;
pub extern fn PyErr_NormalizeException(*?O, *?O, *?O) void;
pub extern fn PyErr_SetString(O, [*:0]const u8) void;
pub extern fn PyErr_Format(O, [*:0]const u8, ...) ?O;
pub extern fn PyErr_NoMemory() ?O;
pub extern fn PyType_GetFlags(*TypeObject) c_ulong;
pub extern fn PyType_GetSlot(*TypeObject, c_int) ?*const anyopaque;
pub extern fn PyType_IsSubtype(*TypeObject, *TypeObject) c_int;
pub extern fn PyType_FromSpec(*TypeSpec) ?O;
pub extern fn PyType_GenericAlloc(*TypeObject, isize) ?O;
pub extern fn PyObject_GC_UnTrack(?*anyopaque) void;
pub extern fn PyDict_Next(O, *isize, *?O, *?O) c_int; // key and value borrowed
pub extern fn PyDict_New() ?O;
pub extern fn PyDict_Copy(O) ?O;
pub extern fn PyDict_Size(O) isize;
pub extern fn PyDict_SetItem(O, O, O) c_int;
pub extern fn PyDict_Update(O, O) c_int;
pub extern fn PyDict_GetItemWithError(O, O) ?O; // borrowed
pub extern fn PyDict_GetItemString(O, [*:0]const u8) ?O; // borrowed
pub extern fn PyDict_Contains(O, O) c_int;
pub extern fn PySet_Contains(O, O) c_int;
pub extern fn PyList_Append(O, O) c_int;
pub extern fn PyList_New(isize) ?O;
pub extern fn PyList_Size(O) isize;
pub extern fn PyList_GetItem(O, isize) ?O; // borrowed
pub extern fn PyTuple_Size(O) isize;
pub extern fn PyTuple_GetItem(O, isize) ?O; // borrowed
pub extern fn PyTuple_New(isize) ?O;
pub extern fn PyTuple_SetItem(O, isize, O) c_int; // steals
pub extern fn PyImport_ImportModule([*:0]const u8) ?O;
pub extern fn PyImport_GetModuleDict() O; // borrowed
pub extern fn PyModuleDef_Init(*ModuleDef) ?O;
pub extern fn PyModule_AddObjectRef(O, [*:0]const u8, ?O) c_int;
pub extern fn PyEval_GetFrame() ?O; // borrowed
pub extern fn PyEval_GetGlobals() ?O; // borrowed
pub extern fn PyFrame_GetCode(O) ?O;
pub extern fn PyFrame_GetLineNumber(O) c_int;
pub extern fn PyThreadState_Get() *anyopaque;
pub extern fn PyThreadState_GetID(*anyopaque) u64;
pub extern fn PyInterpreterState_Get() *anyopaque;
pub extern fn PyMem_Free(?*anyopaque) void;
pub extern fn PyOS_double_to_string(f64, u8, c_int, c_int, ?*c_int) ?[*:0]u8;
pub extern fn PySys_GetObject([*:0]const u8) ?O; // borrowed

pub inline fn type_of(object: O) *TypeObject {
    return object.ob_type;
}
pub inline fn is_none(object: O) bool {
    return object == &_Py_NoneStruct;
}
pub inline fn none() ?O {
    Py_IncRef(&_Py_NoneStruct);
    return &_Py_NoneStruct;
}
pub inline fn new_ref(object: O) O {
    Py_IncRef(object);
    return object;
}
/// Raise TypeError; null, for a function to return.
pub fn type_error(sentence: [*:0]const u8) ?O {
    PyErr_SetString(PyExc_TypeError, sentence);
    return null;
}
/// A C long long from Python; null with TypeError or OverflowError set.
pub fn integer(object: O) ?i64 {
    const number = PyLong_AsLongLong(object);
    if (number == -1 and PyErr_Occurred() != null) return null;
    return number;
}
pub fn boolean(value: bool) ?O {
    return new_ref(if (value) &_Py_TrueStruct else &_Py_FalseStruct);
}
/// A tuple of new references, which it takes over; null: one of them is, or memory is short.
pub fn tuple(parts: []const ?O) ?O {
    const result = if (has_null(parts)) null else PyTuple_New(@intCast(parts.len));
    for (parts, 0..) |part, i| {
        if (result) |made| _ = PyTuple_SetItem(made, @intCast(i), part.?) else Py_DecRef(part);
    }
    return result;
}
fn has_null(parts: []const ?O) bool {
    for (parts) |part| if (part == null) return true;
    return false;
}
pub inline fn has_flag(t: *TypeObject, flag: c_ulong) bool {
    return PyType_GetFlags(t) & flag != 0;
}

/// Whether `object` is a class derived from `base`.
/// Whether a type is hashed and compared as most are, by identity: no metaclass has a word in it.
pub fn has_plain_hash(object: O) bool {
    const metaclass = type_of(object);
    const plain = type_of(@ptrCast(@alignCast(&PyUnicode_Type))); // `type` itself
    if (metaclass == plain) return true;
    for ([_]c_int{ slot_hash, slot_richcompare }) |slot| {
        if (PyType_GetSlot(metaclass, slot) != PyType_GetSlot(plain, slot)) return false;
    }
    return true;
}
pub fn is_subclass(object: O, base: *TypeObject) bool {
    return has_flag(type_of(object), subclass_type) and PyType_IsSubtype(@ptrCast(@alignCast(object)), base) != 0;
}

/// Release whatever `field` holds and leave null in it (Py_CLEAR: the field is emptied before any destructor runs).
pub fn clear(field: *?O) void {
    const old = field.*;
    field.* = null;
    Py_DecRef(old);
}

/// Exceptions that belong to the user's program (Ctrl-C, SystemExit), put aside while the record is finished.
pub const Fault = struct {
    kind: ?O = null,
    value: ?O = null,
    trace: ?O = null,

    /// Take the current error off the interpreter: forget an Exception, keep anything that is not one.
    pub fn absorb(fault: *Fault) void {
        if (PyErr_Occurred() == null) return;
        if (fault.kind != null or PyErr_ExceptionMatches(PyExc_Exception) != 0) return PyErr_Clear();
        PyErr_Fetch(&fault.kind, &fault.value, &fault.trace);
    }

    /// Give back what was put aside; true when there was something (the caller then returns null to Python).
    pub fn restore(fault: *Fault) bool {
        if (fault.kind == null) return false;
        PyErr_Restore(fault.kind, fault.value, fault.trace);
        fault.* = .{};
        return true;
    }
};

// ---- exported by every CPython >= 3.11 but not part of the stable ABI: looked up once, with a slower public way.

const ContextVarGet = *const fn (variable: O, default: ?O, out: *?O) callconv(.c) c_int;
const ContextVarSet = *const fn (variable: O, value: O) callconv(.c) ?O;
const ContextVarReset = *const fn (variable: O, token: O) callconv(.c) c_int;
const FrameGetLasti = *const fn (frame: O) callconv(.c) c_int;
var context_var_get_fast: ?ContextVarGet = null;
var context_var_set_fast: ?ContextVarSet = null;
var context_var_reset_fast: ?ContextVarReset = null;
var frame_get_lasti_fast: ?FrameGetLasti = null;
const Vectorcall = *const fn (callable: O, arguments: [*]const ?O, count: usize, names: ?O) callconv(.c) ?O;
var vectorcall_fast: ?Vectorcall = null;
var name_get: ?O = null;
var name_lasti: ?O = null;
/// "__name__", interned.
pub var name_dunder_name: ?O = null;

const posix = struct {
    extern fn dlsym(handle: ?*anyopaque, name: [*:0]const u8) ?*anyopaque;
};
const windows = struct {
    extern "kernel32" fn GetProcAddress(module: ?*anyopaque, name: [*:0]const u8) callconv(.winapi) ?*anyopaque;
};

fn lookup(name: [*:0]const u8) ?*anyopaque {
    switch (builtin.os.tag) {
        .windows => {
            // sys.dllhandle is the handle of pythonXY.dll, which exports more than the stable python3.dll.
            const handle = PySys_GetObject("dllhandle") orelse return null;
            const address = PyLong_AsUnsignedLongLongMask(handle);
            return windows.GetProcAddress(@ptrFromInt(@as(usize, @intCast(address))), name);
        },
        .macos => return posix.dlsym(@ptrFromInt(@as(usize, @bitCast(@as(isize, -2)))), name), // RTLD_DEFAULT
        else => return posix.dlsym(null, name),
    }
}

/// Call once, when the module is made. False: a Python error is set.
pub fn init() bool {
    context_var_get_fast = @ptrCast(@alignCast(lookup("PyContextVar_Get")));
    context_var_set_fast = @ptrCast(@alignCast(lookup("PyContextVar_Set")));
    context_var_reset_fast = @ptrCast(@alignCast(lookup("PyContextVar_Reset")));
    frame_get_lasti_fast = @ptrCast(@alignCast(lookup("PyFrame_GetLasti")));
    vectorcall_fast = @ptrCast(@alignCast(lookup("PyObject_Vectorcall")));
    name_get = PyUnicode_InternFromString("get") orelse return false;
    name_dunder_name = PyUnicode_InternFromString("__name__") orelse return false;
    name_lasti = PyUnicode_InternFromString("f_lasti") orelse return false;
    return true;
}

/// Value of a contextvars.ContextVar that has a default or was set; null (no error set) otherwise.
pub inline fn context_var_get(variable: O) ?O {
    if (context_var_get_fast) |get| {
        var out: ?O = null;
        if (get(variable, null, &out) >= 0) return out;
        PyErr_Clear();
        return null;
    }
    return context_var_get_slow(variable);
}
/// `variable.get()`; null (no error set) when that raises.
pub noinline fn context_var_get_slow(variable: O) ?O {
    const method = PyObject_GetAttr(variable, name_get.?) orelse {
        PyErr_Clear();
        return null;
    };
    defer Py_DecRef(method);
    const value = PyObject_CallNoArgs(method);
    if (value == null) PyErr_Clear();
    return value;
}

/// Set a ContextVar; the token that resets it, or null with a Python error.
pub fn context_var_set(variable: O, value: O) ?O {
    if (context_var_set_fast) |set| return set(variable, value);
    return call_method(variable, "set", value);
}
/// False: a Python error is set.
pub fn context_var_reset(variable: O, token: O) bool {
    if (context_var_reset_fast) |reset| return reset(variable, token) >= 0;
    const result = call_method(variable, "reset", token) orelse return false;
    Py_DecRef(result);
    return true;
}
fn call_method(object: O, name: [*:0]const u8, argument: O) ?O {
    const method = PyObject_GetAttrString(object, name) orelse return null;
    defer Py_DecRef(method);
    return call_one(method, argument);
}

/// Whether `variable` is one that context_var_get can read (else it only has a method `get`).
pub fn is_context_var(variable: O) bool {
    const get = context_var_get_fast orelse return false;
    var out: ?O = null;
    if (get(variable, null, &out) < 0) {
        PyErr_Clear();
        return false;
    }
    Py_DecRef(out);
    return true;
}

/// `callable(argument)`.
pub inline fn call_one(callable: O, argument: O) ?O {
    if (vectorcall_fast) |call| {
        // The slot before the arguments is the callee's to use, if the count says so.
        var vector = [_]?O{ null, argument };
        return call(callable, vector[1..].ptr, 1 | vectorcall_offset, null);
    }
    const end: ?O = null;
    return PyObject_CallFunctionObjArgs(callable, argument, end);
}
const vectorcall_offset = @as(usize, 1) << (@bitSizeOf(usize) - 1);

/// Index of the frame's last instruction: with its code object, the identity of a call site.
pub inline fn frame_lasti(frame: O) usize {
    if (frame_get_lasti_fast) |get| return @bitCast(@as(isize, get(frame)));
    const index = PyObject_GetAttr(frame, name_lasti.?) orelse {
        PyErr_Clear();
        return 0;
    };
    defer Py_DecRef(index);
    return @truncate(PyLong_AsUnsignedLongLongMask(index));
}
