//! Call sites: file, function and line of the code that logs, read once per place and kept encoded, together with the
//! shape of the call that stands there (its parsed template and the encoded keys of its keyword arguments).

const std = @import("std");
const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const fmt = @import("fmt.zig");
const record = @import("record.zig");
const own = @import("own.zig");
const Verdict = @import("redaction.zig").Verdict;
const O = py.O;
const Text = otlp.Text;

const slot_bits = 11;
const slot_count = 1 << slot_bits;
/// A place whose template changes this often (a message made at run time) is not worth another shape.
const reshape_count_max = 4;
/// Longer templates are not kept with their places.
const template_size_max = 4096;

/// What is constant for a place in the source: the template object and the keyword names come from the same code.
pub const Shape = struct {
    template: O,
    names: ?O,
    positional: usize,
    program: fmt.Program,
    /// The arguments that stand in the message as they are, by their bits.
    shown: u64 = 0,
    text: []const u8,
    /// The attribute message.template and the site's own attributes, encoded one behind the other.
    template_and_code: []u8,
    /// Encoded `key` fields of the keyword arguments, one behind the other, and where each ends.
    keys: []u8,
    key_ends: [name_count_max]u16,
    /// Bloom bits of the keyword names, and whether one is a name that we give ourselves.
    bits: u64,
    reserved: bool,
    /// What the redaction policy of that generation says of the keyword names; of the template, if nothing goes into it.
    judged_by: u32 = 0,
    verdict: Verdict = .clean,
    /// The site that keeps it, and each call under way: an argument's `__format__` may log from the same place.
    users: usize = 1,

    pub const name_count_max = 16;

    pub inline fn fits(shape: *const Shape, template: O, positional: usize, names: ?O) bool {
        return shape.template == template and shape.names == names and shape.positional == positional;
    }

    pub inline fn hold(shape: *Shape) *Shape {
        shape.users += 1;
        return shape;
    }
    pub inline fn release(shape: *Shape) void {
        shape.users -= 1;
        if (shape.users == 0) shape.destroy();
    }
    noinline fn destroy(shape: *Shape) void {
        const template = shape.template;
        const names = shape.names;
        wire.free(shape.keys.ptr);
        wire.free(shape.template_and_code.ptr);
        wire.free(shape);
        py.Py_DecRef(template);
        py.Py_DecRef(names);
    }
};

pub const Site = struct {
    code: O,
    lasti: usize,
    /// The globals that the code runs with: they name its module.
    globals: O,
    /// The three code.* attributes, encoded.
    attributes: []u8,
    /// (name, function, line, path, qualified name) for the Python way; made when first asked for.
    tuple: ?O = null,
    shape: ?*Shape = null,
    reshape_count: u8 = 0,
    /// The cache, and each call under way.
    users: usize = 1,

    pub inline fn release(site: *Site) void {
        site.users -= 1;
        if (site.users == 0) site.destroy();
    }
    noinline fn destroy(site: *Site) void {
        if (site.shape) |shape| shape.release();
        wire.free(site.attributes.ptr);
        const tuple = site.tuple;
        const code = site.code;
        const globals = site.globals;
        wire.free(site);
        py.Py_DecRef(globals);
        py.Py_DecRef(tuple);
        py.Py_DecRef(code);
    }
};

pub const Cache = struct {
    slots: [slot_count]?*Site = @splat(null),

    /// The site of the innermost Python frame, held: release it. Null when no Python code is running (or memory is
    /// short).
    pub inline fn current(cache: *Cache) ?*Site {
        const frame = py.PyEval_GetFrame() orelse return null;
        return cache.find(frame, py.PyEval_GetGlobals() orelse return null);
    }

    /// The same for any frame.
    pub fn of_frame(cache: *Cache, frame: O) ?*Site {
        const globals = py.PyObject_GetAttrString(frame, "f_globals") orelse {
            py.PyErr_Clear();
            return null;
        };
        defer py.Py_DecRef(globals);
        return cache.find(frame, globals);
    }

    inline fn find(cache: *Cache, frame: O, globals: O) ?*Site {
        const code = py.PyFrame_GetCode(frame) orelse return null;
        py.Py_DecRef(code); // the frame keeps it
        const lasti = py.frame_lasti(frame);
        const hash = (@intFromPtr(code) >> 4) *% 0x9e37_79b9_7f4a_7c15 +% lasti *% 0xc2b2_ae3d_27d4_eb4f;
        const slot = &cache.slots[hash >> (64 - slot_bits)];
        const site = if (slot.*) |known| site: {
            if (known.code == code and known.lasti == lasti and known.globals == globals) break :site known;
            break :site read_frame(slot, frame, globals, code, lasti) orelse return null;
        } else read_frame(slot, frame, globals, code, lasti) orelse return null;
        site.users += 1;
        return site;
    }

    pub fn deinit(cache: *Cache) void {
        for (&cache.slots) |*slot| {
            const old = slot.*;
            slot.* = null;
            if (old) |site| site.release();
        }
    }
};

noinline fn read_frame(slot: *?*Site, frame: O, globals: O, code: O, lasti: usize) ?*Site {
    const path = py.PyObject_GetAttrString(code, "co_filename");
    defer py.Py_DecRef(path);
    const qualified = qualified_name(globals, code);
    defer py.Py_DecRef(qualified);
    if (path == null or qualified == null) {
        py.PyErr_Clear();
        return null;
    }
    const path_text = Text.of(path.?);
    defer path_text.release();
    const qualified_text = Text.of(qualified.?);
    defer qualified_text.release();
    var buffer: [1024]u8 = undefined;
    var w = wire.Writer.init(&buffer);
    defer w.deinit();
    own.put_code(&w, path_text.bytes, qualified_text.bytes, py.PyFrame_GetLineNumber(frame)) catch return null;
    const site = wire.create(Site) orelse return null;
    const attributes = wire.duplicate(w.written()) orelse {
        wire.free(site);
        return null;
    };
    site.* = .{
        .code = py.new_ref(code),
        .lasti = lasti,
        .globals = py.new_ref(globals),
        .attributes = attributes,
    };
    const old = slot.*;
    slot.* = site;
    if (old) |previous| previous.release();
    return site;
}

/// `module.Class.function`, as the attribute code.function.name wants it.
fn qualified_name(globals: O, code: O) ?O {
    const name = py.PyObject_GetAttrString(code, "co_qualname") orelse return null;
    const module = module_of(globals) orelse return name;
    defer py.Py_DecRef(module);
    defer py.Py_DecRef(name);
    const module_text = Text.of(module);
    defer module_text.release();
    const name_text = Text.of(name);
    defer name_text.release();
    var buffer: [256]u8 = undefined;
    var w = wire.Writer.init(&buffer);
    defer w.deinit();
    w.raw(module_text.bytes) catch return py.new_ref(name);
    w.raw(".") catch return py.new_ref(name);
    w.raw(name_text.bytes) catch return py.new_ref(name);
    return py.PyUnicode_FromStringAndSize(w.bytes, @intCast(w.len));
}

/// `__name__` in a module's globals, if it is a str; null without an error otherwise.
pub fn module_of(globals: O) ?O {
    const name = py.PyDict_GetItemWithError(globals, py.name_dunder_name.?) orelse {
        py.PyErr_Clear();
        return null;
    };
    if (!py.has_flag(py.type_of(name), py.subclass_unicode)) return null;
    return py.new_ref(name);
}

/// (name or None, function, line, path, qualified name) of the frame; a new reference, null without an error.
pub fn describe(site: *Site, frame: O) ?O {
    if (site.tuple) |tuple| return py.new_ref(tuple);
    const code = site.code;
    const function = py.PyObject_GetAttrString(code, "co_name");
    const path = py.PyObject_GetAttrString(code, "co_filename");
    const qualified = qualified_name(site.globals, code);
    const line = py.PyLong_FromLong(py.PyFrame_GetLineNumber(frame));
    const name = module_of(site.globals) orelse py.none();
    const parts = [_]?O{ name, function, line, path, qualified };
    for (parts) |part| {
        if (part != null) continue;
        py.PyErr_Clear();
        for (parts) |p| py.Py_DecRef(p);
        return null;
    }
    const tuple = py.PyTuple_New(parts.len) orelse {
        py.PyErr_Clear();
        for (parts) |p| py.Py_DecRef(p);
        return null;
    };
    for (parts, 0..) |part, i| _ = py.PyTuple_SetItem(tuple, @intCast(i), part.?);
    if (site.tuple == null) site.tuple = py.new_ref(tuple);
    return tuple;
}

/// Keep the shape of the call that stands at `site`; null when it has none that can be kept.
pub noinline fn reshape(site: *Site, template: O, positional: usize, names: ?O) ?*Shape {
    if (site.reshape_count >= reshape_count_max) return null;
    site.reshape_count += 1;
    const name_count: usize = if (names) |n| @intCast(py.PyTuple_Size(n)) else 0;
    if (name_count > Shape.name_count_max or py.type_of(template) != &py.PyUnicode_Type) return null;
    const text = Text.of(template);
    if (text.owner != null or text.bytes.len > template_size_max) { // lone surrogates: bytes that are not the str's
        text.release();
        return null;
    }
    const shape = wire.create(Shape) orelse return null;
    shape.* = .{
        .template = template,
        .names = names,
        .positional = positional,
        .program = if (positional + name_count == 0) .{ .kind = .fields } else fmt.parse(text.bytes, positional, names),
        .text = text.bytes,
        .template_and_code = &.{},
        .keys = &.{},
        .key_ends = undefined,
        .bits = 0,
        .reserved = false,
    };
    if (positional + name_count > 0) shape.shown = shape.program.shown();
    var buffer: [1024]u8 = undefined;
    var w = wire.Writer.init(&buffer);
    defer w.deinit();
    for (0..name_count) |i| {
        const key = Text.of(py.PyTuple_GetItem(names.?, @intCast(i)).?);
        defer key.release();
        w.ensure(1 + wire.varint_size_max + key.bytes.len) catch return abandon(shape);
        w.byte_unchecked(0x0a);
        w.varint_unchecked(key.bytes.len);
        w.raw_unchecked(key.bytes);
        if (key.owner != null or key.bytes.len == 0 or w.len > std.math.maxInt(u16)) return abandon(shape);
        shape.key_ends[i] = @intCast(w.len);
        shape.bits |= record.name_bit(key.bytes);
        shape.reserved = shape.reserved or record.is_reserved(key.bytes);
    }
    shape.keys = wire.duplicate(w.written()) orelse return abandon(shape);
    w.len = 0;
    own.put_template(&w, text.bytes) catch return abandon(shape);
    w.raw(site.attributes) catch return abandon(shape);
    shape.template_and_code = wire.duplicate(w.written()) orelse return abandon(shape);
    py.Py_IncRef(template);
    py.Py_IncRef(names);
    const old = site.shape;
    site.shape = shape;
    if (old) |previous| previous.release();
    return shape;
}

fn abandon(shape: *Shape) ?*Shape {
    wire.free(if (shape.keys.len > 0) shape.keys.ptr else null); // it owns nothing else yet
    wire.free(shape);
    return null;
}
