//! What of a call nobody may see: whether Python has to make it fit to be seen (Policy), and redact.zig for Python.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const redact = @import("redact.zig");
const limits = @import("limits.zig");
const site = @import("site.zig");
const context = @import("context.zig");
const O = py.O;
const Text = otlp.Text;

/// What a name says of its value. The numbers are Python's, too (text/redaction.py); of types there are the first two:
/// nothing special, and shown as text.
const Kind = enum { open, secret, query, unknown };

/// Whether something may be shown as it is. `unknown`: Python has not judged a name in it yet, and does so when it gets
/// the call.
pub const Verdict = enum(u8) { clean, queries, hides, unknown };

/// The policy of a core. It only ever asks "is this clean?": a call that is not, or may not be, goes to Python, which
/// knows what to do. Nothing here runs Python code, except to get the text of an exception that was passed itself.
pub const Policy = struct {
    /// What names and types say; filled by Python. Null: nothing is redacted.
    kinds: ?O = null,
    detectors: redact.Detectors = .{},
    /// Among all policies that there were: what another one has judged is judged again.
    generation: u32 = 0,

    var generation_last: u32 = 0;

    pub fn replace(p: *Policy, kinds: ?O, detectors: redact.Detectors) void {
        generation_last += 1;
        const old = p.kinds;
        p.* = .{ .kinds = if (kinds) |dict| py.new_ref(dict) else null, .detectors = detectors, .generation = generation_last };
        py.Py_DecRef(old);
    }

    pub inline fn is_on(p: *const Policy) bool {
        return p.kinds != null;
    }

    pub inline fn hides_text(p: *const Policy, text: []const u8) bool {
        return redact.scan(text, p.detectors) != null;
    }
    /// A formatted message, with the texts that went into it (see `arguments_in`).
    pub inline fn hides_body(p: *const Policy, text: []const u8) bool {
        return text.len >= limits.text_size_max or redact.may_hold(text, p.detectors);
    }
    /// The arguments that a clean message vouches for, if they are exactly str: they stand in it as they are.
    inline fn arguments_in(p: *const Policy, shape: ?*site.Shape) u64 {
        return if (p.detectors.finds_values()) 0 else if (shape) |s| s.shown else 0;
    }

    /// A message without arguments, which is what the shape says it is.
    pub inline fn hides_literal(p: *const Policy, maybe: ?*site.Shape, text: []const u8) bool {
        const shape = maybe orelse return p.hides_text(text);
        if (shape.judged_by != p.generation) {
            shape.verdict = if (p.hides_text(text)) .hides else .clean;
            shape.judged_by = p.generation;
        }
        return shape.verdict != .clean;
    }

    /// The arguments of a call whose message is clean; the last of them are those that `names` (a tuple of str) names.
    /// `are_in_message`: it was formatted with them.
    pub inline fn hides_arguments(
        p: *const Policy,
        shape: ?*site.Shape,
        arguments: []const O,
        names: ?O,
        are_in_message: bool,
        fault: *py.Fault,
    ) bool {
        if (names) |tuple| {
            const verdict = p.judge_call(shape, tuple);
            if (verdict != .clean and (verdict != .queries or p.hides_queries(arguments, tuple))) return true;
        }
        const vouched_for = if (are_in_message) p.arguments_in(shape) else 0;
        for (arguments, 0..) |value, i| {
            const t = py.type_of(value);
            if (t == &py.PyUnicode_Type) {
                if (i < 64 and vouched_for >> @intCast(i) & 1 != 0) continue;
                if (p.hides_str(value)) return true;
            } else if (t != &py.PyLong_Type and t != &py.PyFloat_Type and p.hides_rare(value, fault)) return true;
        }
        return false;
    }
    noinline fn hides_queries(p: *const Policy, arguments: []const O, names: O) bool {
        const count: usize = @intCast(py.PyTuple_Size(names));
        for (arguments[arguments.len - count ..], 0..) |value, i| {
            if (p.hides_item(py.PyTuple_GetItem(names, @intCast(i)).?, value)) return true;
        }
        return false;
    }

    inline fn judge_call(p: *const Policy, shape: ?*site.Shape, names: O) Verdict {
        const s = shape orelse return p.judge_names(names);
        if (s.judged_by == p.generation) return s.verdict;
        const verdict = p.judge_names(names);
        if (verdict != .unknown) {
            s.verdict = verdict;
            s.judged_by = p.generation;
        }
        return verdict;
    }
    noinline fn judge_names(p: *const Policy, names: O) Verdict {
        var verdict = Verdict.clean;
        for (0..@intCast(py.PyTuple_Size(names))) |i| switch (p.kind_of(py.PyTuple_GetItem(names, @intCast(i)).?)) {
            .open => {},
            .query => verdict = .queries,
            .secret => return .hides,
            .unknown => return .unknown,
        };
        return verdict;
    }

    /// Bound or contextualized attributes: those that cannot change are judged once.
    pub inline fn hides_set(p: *const Policy, maybe: ?*context.AttrSet, fault: *py.Fault) bool {
        const set = maybe orelse return false;
        if (set.judged_by == p.generation) return set.verdict != .clean;
        return p.judge_set(set, fault);
    }
    noinline fn judge_set(p: *const Policy, set: *context.AttrSet, fault: *py.Fault) bool {
        const verdict = p.verdict_of_items(set.values.?, fault);
        if (set.bytes != null and verdict != .unknown) {
            set.verdict = verdict;
            set.judged_by = p.generation;
        }
        return verdict != .clean;
    }
    fn verdict_of_items(p: *const Policy, dict: O, fault: *py.Fault) Verdict {
        var position: isize = 0;
        var key: ?O = null;
        var value: ?O = null;
        while (py.PyDict_Next(dict, &position, &key, &value) != 0) {
            if (!py.has_flag(py.type_of(key.?), py.subclass_unicode)) return .unknown;
            switch (p.kind_of(key.?)) {
                .open => {},
                .secret => return .hides,
                .query => if (p.hides_query(value.?)) return .hides,
                .unknown => return .unknown,
            }
            // The dict is one that nobody changes, so its values stay while the text of one is made.
            if (p.hides(value.?, fault)) return .hides;
        }
        return .clean;
    }

    /// A value that the caller holds on to.
    inline fn hides(p: *const Policy, value: O, fault: *py.Fault) bool {
        const t = py.type_of(value);
        if (t == &py.PyUnicode_Type) return p.hides_str(value);
        if (t == &py.PyLong_Type or t == &py.PyFloat_Type) return false;
        return p.hides_rare(value, fault);
    }
    noinline fn hides_rare(p: *const Policy, value: O, fault: *py.Fault) bool {
        if (py.type_of(value) == &py.PyBool_Type or py.is_none(value)) return false;
        const is_exception = py.has_flag(py.type_of(value), py.subclass_exception);
        if (is_exception or p.kind_of_type(py.type_of(value)) == .secret) {
            const text = Text.of_object(value, fault);
            defer text.release();
            return text.owner == null or p.hides_text(text.bytes);
        }
        var walk = Walk{ .policy = p };
        return walk.hides(value, 0, false);
    }

    /// Whether the value of an attribute of that name is not to be seen as it is. The caller holds on to both.
    pub fn hides_attribute(p: *const Policy, name: O, value: O, fault: *py.Fault) bool {
        return p.hides_item(name, value) or p.hides(value, fault);
    }
    /// Whether a name says nothing of its value.
    pub fn is_open(p: *const Policy, name: O) bool {
        return p.kind_of(name) == .open;
    }

    fn hides_item(p: *const Policy, name: O, value: O) bool {
        return switch (p.kind_of(name)) {
            .open => false,
            .query => p.hides_query(value),
            .secret, .unknown => true,
        };
    }
    fn hides_query(p: *const Policy, value: O) bool {
        const t = py.type_of(value);
        if (py.has_flag(t, py.subclass_unicode)) {
            const text = otlp.utf8(value) orelse return true;
            return redact.scan_query(text, p.detectors) != null;
        }
        return py.has_flag(t, py.subclass_bytes);
    }
    fn hides_str(p: *const Policy, value: O) bool {
        const text = otlp.utf8(value) orelse return true; // lone surrogates
        return p.hides_text(text);
    }

    /// What is known of a str. Looking it up runs no code but the core's own: only exact strings are looked up.
    fn kind_of(p: *const Policy, name: O) Kind {
        if (py.type_of(name) != &py.PyUnicode_Type) return .unknown;
        return p.look_up(name);
    }
    fn kind_of_type(p: *const Policy, t: *py.TypeObject) Kind {
        const object: O = @ptrCast(@alignCast(t));
        return if (py.has_plain_hash(object)) p.look_up(object) else .unknown;
    }
    fn look_up(p: *const Policy, key: O) Kind {
        const known = py.PyDict_GetItemWithError(p.kinds.?, key) orelse {
            py.PyErr_Clear();
            return .unknown;
        };
        var overflow: c_int = 0;
        return switch (py.PyLong_AsLongLongAndOverflow(known, &overflow)) {
            0 => .open,
            1 => .secret,
            2 => .query,
            else => .unknown,
        };
    }
};

/// A way through nested containers. What it cannot judge without running Python code, it calls hidden.
const Walk = struct {
    policy: *const Policy,
    /// Values that may still be looked at: a container that holds itself many times over ends here.
    left: usize = 100_000,

    const depth_max = 16;

    fn hides(walk: *Walk, value: O, depth: usize, in_list: bool) bool {
        if (walk.left == 0 or depth == depth_max) return true;
        walk.left -= 1;
        const t = py.type_of(value);
        if (py.has_flag(t, py.subclass_long) or t == &py.PyFloat_Type or py.is_none(value)) return false;
        if (py.has_flag(t, py.subclass_unicode)) return walk.policy.hides_str(value);
        if (t == &py.PyDict_Type) return walk.hides_dict(value, depth);
        if (t == &py.PyList_Type) {
            const list = Items{ .container = value, .get = &py.PyList_GetItem, .count = @intCast(py.PyList_Size(value)) };
            return walk.hides_items(list, depth, in_list);
        }
        if (t == &py.PyTuple_Type) {
            const tuple = Items{ .container = value, .get = &py.PyTuple_GetItem, .count = @intCast(py.PyTuple_Size(value)) };
            return walk.hides_items(tuple, depth, in_list);
        }
        if (t == &py.PyBytes_Type) {
            var bytes: ?[*]u8 = null;
            var size: isize = 0;
            if (py.PyBytes_AsStringAndSize(value, &bytes, &size) < 0) {
                py.PyErr_Clear();
                return true;
            }
            return walk.policy.hides_text(bytes.?[0..@intCast(size)]);
        }
        const containers = py.subclass_list | py.subclass_tuple | py.subclass_bytes | py.subclass_dict | py.flag_mapping;
        if (py.has_flag(t, containers | py.subclass_exception)) return true;
        return walk.policy.kind_of_type(t) != .open;
    }

    fn hides_dict(walk: *Walk, dict: O, depth: usize) bool {
        var position: isize = 0;
        var key: ?O = null;
        var value: ?O = null;
        while (py.PyDict_Next(dict, &position, &key, &value) != 0) {
            const t = py.type_of(key.?);
            if (t == &py.PyUnicode_Type) {
                if (walk.policy.hides_item(key.?, value.?) or walk.policy.hides_str(key.?)) return true;
            } else if (t != &py.PyLong_Type) return true;
            if (walk.hides(value.?, depth + 1, false)) return true;
        }
        return false;
    }

    const Items = struct { container: O, get: *const fn (O, isize) callconv(.c) ?O, count: usize };

    fn hides_items(walk: *Walk, items: Items, depth: usize, in_list: bool) bool {
        for (0..items.count) |i| if (walk.hides(items.get(items.container, @intCast(i)).?, depth + 1, true)) return true;
        if (!in_list or items.count != 2) return false;
        const first = items.get(items.container, 0).?; // a header, perhaps
        if (py.has_flag(py.type_of(first), py.subclass_bytes)) return true;
        if (!py.has_flag(py.type_of(first), py.subclass_unicode)) return false;
        return walk.policy.hides_item(first, items.get(items.container, 1).?);
    }
};

/// Core.set_redaction(kinds or None, detectors)
pub fn set_policy(p: *Policy, arguments: [*]const O, count: isize) ?O {
    if (count != 2) return py.type_error("set_redaction takes (kinds, detectors)");
    const is_off = py.is_none(arguments[0]);
    if (!is_off and py.type_of(arguments[0]) != &py.PyDict_Type)
        return py.type_error("set_redaction: kinds must be a dict or None");
    const detectors = detectors_of(arguments[1]) orelse return null;
    p.replace(if (is_off) null else arguments[0], detectors);
    return py.none();
}

fn detectors_of(object: O) ?redact.Detectors {
    const bits = py.PyLong_AsLongLong(object);
    if (bits == -1 and py.PyErr_Occurred() != null) return null;
    return @bitCast(@as(u8, @truncate(@as(u64, @bitCast(bits)))));
}

/// redact_text(text, detectors, is_secret=None) -> the text without secrets; the same object if there are none
pub fn redact_text(_: O, arguments: [*]const O, count: isize) callconv(.c) ?O {
    if (count != 2 and count != 3) return py.type_error("redact_text takes (text, detectors, is_secret=None)");
    const string = arguments[0];
    if (!py.has_flag(py.type_of(string), py.subclass_unicode)) return py.type_error("redact_text: text must be a str");
    var detectors = detectors_of(arguments[1]) orelse return null;
    var judge = NameJudge{ .callable = if (count == 3 and !py.is_none(arguments[2])) arguments[2] else null };
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

    fn is_secret(pointer: *anyopaque, name: []const u8) bool {
        const self: *NameJudge = @ptrCast(@alignCast(pointer));
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
