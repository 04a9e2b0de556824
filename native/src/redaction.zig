//! `redact_text`: redact.zig for Python.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const redact = @import("redact.zig");
const O = py.O;
const Text = otlp.Text;

/// redact_text(text, detectors, is_secret=None) -> the text without secrets; the same object if there are none
pub fn redact_text(_: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2 and count != 3) return py.type_error("redact_text takes (text, detectors, is_secret=None)");
    const string = arguments[0];
    if (!py.has_flag(py.type_of(string), py.subclass_unicode)) return py.type_error("redact_text: text must be a str");
    const bits = py.PyLong_AsLongLong(arguments[1]);
    if (bits == -1 and py.PyErr_Occurred() != null) return null;
    var judge = NameJudge{ .callable = if (count == 3 and !py.is_none(arguments[2])) arguments[2] else null };
    var detectors: redact.Detectors = @bitCast(@as(u8, @truncate(@as(u64, @bitCast(bits)))));
    detectors.any_parameter = judge.callable != null;

    const text = exact_text(string) orelse return null;
    defer text.release();
    if (redact.scan(text.bytes, detectors) == null) return py.new_ref(string);
    var scratch: [1024]u8 = undefined;
    var w = wire.Writer.init(&scratch);
    defer w.deinit();
    redact.write(&w, text.bytes, detectors, judge.of_names()) catch return py.PyErr_NoMemory();
    if (judge.has_raised) return null;
    if (std.mem.eql(u8, text.bytes, w.written())) return py.new_ref(string);
    return py.PyUnicode_DecodeUTF8(w.written().ptr, @intCast(w.len), "surrogatepass");
}

/// The UTF-8 of a str, and of the lone surrogates that may be in it; null: a Python error is set.
fn exact_text(string: O) ?Text {
    if (otlp.utf8(string)) |bytes| return .{ .bytes = bytes };
    const encoded = py.PyUnicode_AsEncodedString(string, "utf-8", "surrogatepass") orelse return null;
    var bytes: ?[*]u8 = null;
    var size: isize = 0;
    if (py.PyBytes_AsStringAndSize(encoded, &bytes, &size) < 0) {
        py.Py_DecRef(encoded);
        return null;
    }
    return .{ .bytes = bytes.?[0..@intCast(size)], .owner = encoded };
}

/// A Python callable that judges the names of parameters. Once it has raised it is not asked again.
const NameJudge = struct {
    callable: ?O,
    has_raised: bool = false,

    fn of_names(self: *NameJudge) ?redact.Judge {
        return if (self.callable == null) null else .{ .context = self, .is_secret = &is_secret };
    }

    fn is_secret(context: *anyopaque, name: []const u8) bool {
        const self: *NameJudge = @ptrCast(@alignCast(context));
        if (self.has_raised) return true;
        const truth = self.ask(name);
        self.has_raised = truth < 0;
        return truth != 0;
    }

    fn ask(self: *const NameJudge, name: []const u8) c_int {
        const string = py.PyUnicode_DecodeUTF8(name.ptr, @intCast(name.len), "surrogatepass") orelse return -1;
        defer py.Py_DecRef(string);
        const end: ?O = null;
        const result = py.PyObject_CallFunctionObjArgs(self.callable.?, string, end) orelse return -1;
        defer py.Py_DecRef(result);
        return py.PyObject_IsTrue(result);
    }
};
