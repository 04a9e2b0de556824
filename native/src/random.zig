//! Random ids: unpredictable, seeded from the operating system, and other ones after a fork. Needs the GIL.

const std = @import("std");
const py = @import("py.zig");
const fork = @import("fork.zig");
const O = py.O;

const Generator = std.Random.ChaCha;

var generator: Generator = undefined;
var is_seeded = false;
var mark = fork.Mark{};

/// Begin anew with the next id (in a forked child, which would give its parent's ids).
pub fn forget() void {
    is_seeded = false;
}

/// 16 bytes as 32 lower-case hexadecimal characters; null: a Python error is set.
pub fn hex_id() ?[32]u8 {
    if (!is_seeded or mark.happened()) if (!seed()) return null;
    var bytes: [16]u8 = undefined;
    generator.fill(&bytes);
    return std.fmt.bytesToHex(bytes, .lower);
}

noinline fn seed() bool {
    const os = py.PyImport_ImportModule("os") orelse return false;
    defer py.Py_DecRef(os);
    const urandom = py.PyObject_GetAttrString(os, "urandom") orelse return false;
    defer py.Py_DecRef(urandom);
    const size = py.PyLong_FromLong(Generator.secret_seed_length) orelse return false;
    defer py.Py_DecRef(size);
    const secret = py.call_one(urandom, size) orelse return false;
    defer py.Py_DecRef(secret);
    var bytes: ?[*]u8 = null;
    var length: isize = 0;
    if (py.PyBytes_AsStringAndSize(secret, &bytes, &length) < 0) return false;
    if (length != Generator.secret_seed_length) {
        py.PyErr_SetString(py.PyExc_RuntimeError, "os.urandom gave no 32 bytes");
        return false;
    }
    generator = .init(bytes.?[0..Generator.secret_seed_length].*);
    mark.renew();
    is_seeded = true;
    return true;
}
