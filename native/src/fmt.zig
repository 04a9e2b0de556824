//! `{}`, `{0}` and `{name}` templates, as str.format fills them. Whatever is beyond these is left to str.format itself.

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const O = py.O;
const Writer = wire.Writer;
const Text = otlp.Text;

pub const field_count_max = 12;
const no_argument = std.math.maxInt(u16);

/// A literal run and, behind it, one argument (index into the call's own vector) or none.
const Field = struct { begin: u32, end: u32, argument: u16 };

/// A parsed template. `python`: str.format must do it (a spec, a conversion, an attribute, or a mistake to report).
pub const Program = struct {
    kind: enum { fields, python },
    count: usize = 0,
    fields: [field_count_max]Field = undefined,

    pub const python_format = Program{ .kind = .python };

    /// The arguments that stand in the text, by their bits (the first is bit 0).
    pub fn shown(program: *const Program) u64 {
        var bits: u64 = 0;
        if (program.kind == .python) return bits;
        for (program.fields[0..program.count]) |field| {
            if (field.argument != no_argument and field.argument <= 64) bits |= @as(u64, 1) << @intCast(field.argument - 1);
        }
        return bits;
    }

    fn add(program: *Program, begin: usize, end: usize, argument: u16) bool {
        if (program.count == field_count_max) return false;
        program.fields[program.count] = .{ .begin = @intCast(begin), .end = @intCast(end), .argument = argument };
        program.count += 1;
        return true;
    }
};

/// Parse `template` for a call with `positional` arguments (at index 1 and on; the template is 0) followed by those
/// that `names` (a tuple of str, or null) names.
pub fn parse(template: []const u8, positional: usize, names: ?O) Program {
    var program = Program{ .kind = .fields };
    if (template.len > std.math.maxInt(u32)) return .python_format;
    var begin: usize = 0;
    var i: usize = 0;
    var automatic: usize = 0;
    var numbered = false;
    while (i < template.len) {
        const byte = template[i];
        if (byte != '{' and byte != '}') {
            i += 1;
            continue;
        }
        if (i + 1 < template.len and template[i + 1] == byte) { // a doubled brace is one brace
            if (!program.add(begin, i + 1, no_argument)) return .python_format;
            i += 2;
            begin = i;
            continue;
        }
        if (byte == '}') return .python_format;
        const name_begin = i + 1;
        var name_end = name_begin;
        while (name_end < template.len and template[name_end] != '}') : (name_end += 1) {
            switch (template[name_end]) {
                ':', '!', '.', '[', '{' => return .python_format,
                else => {},
            }
        }
        if (name_end == template.len) return .python_format;
        const name = template[name_begin..name_end];
        const argument = if (name.len == 0) index: {
            automatic += 1;
            break :index automatic;
        } else if (std.ascii.isDigit(name[0])) index: {
            numbered = true;
            if (name.len > 4) return .python_format;
            const number = std.fmt.parseInt(usize, name, 10) catch return .python_format;
            break :index number + 1;
        } else {
            const found = find_name(names, name) orelse return .python_format;
            if (!program.add(begin, i, @intCast(1 + positional + found))) return .python_format;
            i = name_end + 1;
            begin = i;
            continue;
        };
        // Too few arguments, or `{}` beside `{0}`: str.format raises, and says it best.
        if (argument > positional or (automatic > 0 and numbered)) return .python_format;
        if (!program.add(begin, i, @intCast(argument))) return .python_format;
        i = name_end + 1;
        begin = i;
    }
    if (begin < template.len and !program.add(begin, template.len, no_argument)) return .python_format;
    return program;
}

fn find_name(names: ?O, name: []const u8) ?usize {
    const tuple = names orelse return null;
    const count: usize = @intCast(py.PyTuple_Size(tuple));
    for (0..count) |i| {
        const text = Text.of(py.PyTuple_GetItem(tuple, @intCast(i)).?);
        defer text.release();
        if (text.owner == null and std.mem.eql(u8, text.bytes, name)) return i;
    }
    return null;
}

pub const Error = wire.Error || error{
    /// A Python error is set: an argument's `__format__` raised, or str.format did.
    Raised,
};

/// Fill a parsed template; `arguments` is the call's vector, the template at index 0.
pub inline fn fill(w: *Writer, program: *const Program, template: []const u8, arguments: [*]const O) Error!void {
    for (program.fields[0..program.count]) |field| {
        try w.raw_cut(template[field.begin..field.end]);
        if (field.argument != no_argument) try argument_text(w, arguments[field.argument]);
    }
}

/// What `format(value, "")` gives.
inline fn argument_text(w: *Writer, value: O) Error!void {
    const t = py.type_of(value);
    if (t == &py.PyUnicode_Type) {
        if (otlp.utf8(value)) |text| return w.raw_cut(text);
    } else if (t == &py.PyLong_Type) {
        var overflow: c_int = 0;
        const number = py.PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow == 0) return w.decimal(number);
    }
    return argument_text_rare(w, value, t);
}
noinline fn argument_text_rare(w: *Writer, value: O, t: *py.TypeObject) Error!void {
    if (t == &py.PyFloat_Type) {
        const add_dot_0 = 2;
        const text = py.PyOS_double_to_string(py.PyFloat_AsDouble(value), 'r', 0, add_dot_0, null) orelse
            return error.Raised;
        defer py.PyMem_Free(text);
        return w.raw_cut(std.mem.span(text));
    }
    const string = py.PyObject_Format(value, null) orelse return error.Raised;
    defer py.Py_DecRef(string);
    const text = Text.of(string);
    defer text.release();
    return w.raw_cut(text.bytes);
}

/// `template.format(*positional, **named)` by Python itself.
pub noinline fn fill_python(w: *Writer, arguments: [*]const O, positional: usize, names: ?O) Error!void {
    const args = tuple_of(arguments + 1, positional) orelse return error.Raised;
    defer py.Py_DecRef(args);
    const kwargs = dict_of(arguments + 1 + positional, names) orelse return error.Raised;
    defer py.Py_DecRef(kwargs);
    const method = py.PyObject_GetAttrString(arguments[0], "format") orelse return error.Raised;
    defer py.Py_DecRef(method);
    const string = py.PyObject_Call(method, args, kwargs) orelse return error.Raised;
    defer py.Py_DecRef(string);
    if (!py.has_flag(py.type_of(string), py.subclass_unicode)) return error.Raised;
    const text = Text.of(string);
    defer text.release();
    return w.raw_cut(text.bytes);
}

/// A new tuple of `count` values; null: a Python error is set.
pub fn tuple_of(values: [*]const O, count: usize) ?O {
    const tuple = py.PyTuple_New(@intCast(count)) orelse return null;
    for (0..count) |i| _ = py.PyTuple_SetItem(tuple, @intCast(i), py.new_ref(values[i]));
    return tuple;
}
/// A new dict of the names (a tuple of str, or null) and their values; null: a Python error is set.
pub fn dict_of(values: [*]const O, names: ?O) ?O {
    const dict = py.PyDict_New() orelse return null;
    const tuple = names orelse return dict;
    const count: usize = @intCast(py.PyTuple_Size(tuple));
    for (0..count) |i| {
        if (py.PyDict_SetItem(dict, py.PyTuple_GetItem(tuple, @intCast(i)).?, values[i]) < 0) {
            py.Py_DecRef(dict);
            return null;
        }
    }
    return dict;
}
