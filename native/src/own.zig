//! The attributes that we give a record ourselves: of its template, its call site, its thread.

const py = @import("py.zig");
const wire = @import("wire.zig");
const otlp = @import("otlp.zig");
const record = @import("record.zig");
const Limits = @import("limits.zig").Limits;
const Writer = wire.Writer;
const Error = wire.Error;

const no_limits = Limits{};

pub fn put_template(w: *Writer, template: []const u8) Error!void {
    var fault = py.Fault{};
    var encoder = otlp.Encoder{ .w = w, .limits = &no_limits, .fault = &fault };
    try encoder.key_string(record.attribute_tag, record.name_template, template);
}

/// The three attributes of a call site.
pub fn put_code(w: *Writer, path: []const u8, function: []const u8, line: i64) Error!void {
    var fault = py.Fault{};
    var encoder = otlp.Encoder{ .w = w, .limits = &no_limits, .fault = &fault };
    try encoder.key_string(record.attribute_tag, record.name_file, path);
    try encoder.key_string(record.attribute_tag, record.name_function, function);
    try encoder.key_int(record.attribute_tag, record.name_line, line);
}

pub fn put_thread_id(w: *Writer, id: i64) Error!void {
    var fault = py.Fault{};
    var encoder = otlp.Encoder{ .w = w, .limits = &no_limits, .fault = &fault };
    try encoder.key_int(record.attribute_tag, record.name_thread_id, id);
}
pub fn put_thread_name(w: *Writer, name: []const u8) Error!void {
    var fault = py.Fault{};
    var encoder = otlp.Encoder{ .w = w, .limits = &no_limits, .fault = &fault };
    try encoder.key_string(record.attribute_tag, record.name_thread_name, name);
}
