//! Secrets in text: which bytes nobody may see, and what stands there instead. Knows nothing of Python.
//!
//! Always: credentials and secret parameters of URLs. If asked for: the values that Detectors names. One pass from left
//! to right; no byte is looked at more often than a constant number of times, whatever the text.

const std = @import("std");
const wire = @import("wire.zig");
const Writer = wire.Writer;

/// What is looked for beside URLs. The numbers of the bits are Python's, too (text/redaction.py).
pub const Detectors = packed struct(u8) {
    card: bool = false,
    bearer: bool = false,
    jwt: bool = false,
    aws: bool = false,
    private_key: bool = false,
    email: bool = false,
    /// Not a detector: names of parameters are not ours to judge. `scan` then stops at any parameter with a value.
    any_parameter: bool = false,
    unused: bool = false,

    const none = Detectors{};

    pub inline fn finds_values(d: Detectors) bool {
        return @as(u8, @bitCast(d)) & 0x3f != 0;
    }
};

/// Who judges the names of parameters, if not `is_secret`.
pub const Judge = struct {
    context: *anyopaque,
    is_secret: *const fn (context: *anyopaque, name: []const u8) bool,
};

/// Where the first secret begins; null: `write` would change nothing.
pub inline fn scan(text: []const u8, detectors: Detectors) ?usize {
    if (!detectors.finds_values() and candidate(text, 0) == null) return null; // nearly every text
    return first(.{ .text = text, .detectors = detectors });
}
noinline fn first(beginning: Finder) ?usize {
    var finder = beginning;
    return if (finder.next()) |secret| secret.begin else null;
}

/// Whether there may be a secret in `text`, or in a part of it that is to be seen alone: what apostrophes around the
/// part do is not counted on. (Of detectors that look for values this cannot be said: they look at what is beside.)
pub inline fn may_hold(text: []const u8, detectors: Detectors) bool {
    if (!detectors.finds_values() and candidate(text, 0) == null) return false;
    return first(.{ .text = text, .detectors = detectors, .quotes_count = false }) != null;
}

/// The same of what stands behind the `?` of a URL.
pub fn scan_query(query: []const u8, detectors: Detectors) ?usize {
    var finder = Finder{ .text = query, .detectors = detectors };
    finder.enter_url(true);
    finder.name_begin = 0;
    return if (finder.next()) |secret| secret.begin else null;
}

/// `text` without its secrets.
pub fn write(w: *Writer, text: []const u8, detectors: Detectors, judge: ?Judge) wire.Error!void {
    var finder = Finder{ .text = text, .detectors = detectors, .judge = judge };
    var done: usize = 0;
    while (finder.next()) |secret| {
        try w.raw(text[done..secret.begin]);
        try w.raw(secret.mark);
        done = secret.end;
    }
    try w.raw(text[done..]);
}

const mark_value = "[REDACTED]";
// In URLs as OpenTelemetry's conventions for url.full have it: brackets would not be legal there.
const mark_url = "REDACTED";
const mark_credentials = "REDACTED:REDACTED";

const Secret = struct { begin: usize, end: usize, mark: []const u8 = mark_value };

const Finder = struct {
    text: []const u8,
    detectors: Detectors,
    judge: ?Judge = null,
    at: usize = 0,
    /// End of the last secret, found now or marked before: nothing looks back beyond it.
    floor: usize = 0,
    /// End of the URL that `at` is in, if it is in one. There, `? & ; #` begin parameters.
    url_end: usize = 0,
    /// Where the name of a parameter began, until its `=`.
    name_begin: ?usize = null,
    /// Whether an apostrophe may end a URL.
    quotes_count: bool = true,

    fn next(f: *Finder) ?Secret {
        while (true) {
            if (f.at >= f.url_end) f.at = f.skip() orelse return null;
            if (f.at >= f.text.len) return null;
            if (f.step()) |secret| {
                f.at = secret.end;
                f.floor = secret.end;
                return secret;
            }
        }
    }

    /// The next place outside of URLs that is worth a look.
    fn skip(f: *const Finder) ?usize {
        if (!f.detectors.finds_values()) return candidate(f.text, f.at);
        const wanted = @as(u8, @bitCast(f.detectors)) | url_bit;
        for (f.text[f.at..], f.at..) |byte, i| if (first_bytes[byte] & wanted != 0) return i;
        return null;
    }

    /// The secret that is found at `at`; null: `at` has moved on.
    fn step(f: *Finder) ?Secret {
        const byte = f.text[f.at];
        if (f.detectors.finds_values()) if (f.value(byte)) |secret| return secret;
        switch (byte) {
            ':' => if (std.mem.startsWith(u8, f.text[f.at..], "://")) {
                if (f.at >= f.url_end) f.enter_url(f.is_quoted());
                f.at += 3;
                return f.credentials();
            },
            '?' => {
                // Where its path begins, and whether that is quoted, is not seen.
                if (f.at >= f.url_end) f.enter_url(true);
                f.name_begin = f.at + 1;
            },
            '&', ';', '#' => f.name_begin = f.at + 1,
            '=' => if (f.at < f.url_end) if (f.parameter()) |secret| return secret,
            else => {},
        }
        f.at += 1;
        return null;
    }

    /// An apostrophe is legal in a URL, but ends one that it is the quotation mark of.
    fn enter_url(f: *Finder, is_quoted_by_apostrophe: bool) void {
        var end = f.at;
        while (end < f.text.len) : (end += 1) switch (f.text[end]) {
            0...' ', 0x7f, '"', '<', '>', '`' => break,
            '\'' => if (is_quoted_by_apostrophe and f.quotes_count) break,
            else => {},
        };
        f.url_end = end;
        f.name_begin = null;
    }

    /// Whether an apostrophe stands before the scheme that ends at `at`.
    fn is_quoted(f: *const Finder) bool {
        var begin = f.at;
        while (begin > f.floor and is_in(scheme_bytes, f.text[begin - 1])) begin -= 1;
        return begin > 0 and f.text[begin - 1] == '\'';
    }

    /// Name and password before the host that begins, or they do, at `at`.
    fn credentials(f: *Finder) ?Secret {
        const begin = f.at;
        var end: ?usize = null;
        const host_end = f.authority(begin, &end);
        // A slash in a password, which nobody has escaped: what is behind the colon is no port.
        if (end == null and f.has_odd_port(begin, host_end)) {
            const next_url = std.mem.findPos(u8, f.text[0..f.url_end], begin, "://") orelse f.url_end;
            if (std.mem.findScalar(u8, f.text[@min(host_end, next_url)..next_url], '@')) |i|
                _ = f.authority(host_end + i, &end);
        }
        const found = f.text[begin .. end orelse return null];
        const mark = if (std.mem.findScalar(u8, found, ':') != null) mark_credentials else mark_url;
        if (found.len == 0) return null;
        f.floor = end.?;
        return if (std.mem.eql(u8, found, mark)) null else .{ .begin = begin, .end = end.?, .mark = mark };
    }

    /// The end of the authority that begins at `begin`; its last `@` goes to `last_at`.
    fn authority(f: *const Finder, begin: usize, last_at: *?usize) usize {
        var i = begin;
        while (i < f.url_end) : (i += 1) switch (f.text[i]) {
            '/', '?', '#' => break,
            '@' => last_at.* = i,
            else => {},
        };
        return i;
    }

    fn has_odd_port(f: *const Finder, begin: usize, end: usize) bool {
        const host = f.text[begin..end];
        const colon = std.mem.findScalar(u8, host, ':') orelse return false;
        if (host[0] == '[') return false; // IPv6
        for (host[colon + 1 ..]) |byte| if (!std.ascii.isDigit(byte)) return true;
        return false;
    }

    /// The value of the parameter whose name ends at `at`, if that is a secret name.
    fn parameter(f: *Finder) ?Secret {
        const name = f.text[f.name_begin orelse return null .. f.at];
        f.name_begin = null;
        if (name.len == 0 or !f.judges_secret(name)) return null; // before its value is looked at, for the sake of time
        const value_begin = f.at + 1;
        // A `;` inside belongs to the value: too much is better than too little.
        var end = value_begin;
        while (end < f.url_end and f.text[end] != '&' and f.text[end] != '#') end += 1;
        // Punctuation of the sentence that the URL stands in.
        while (end > value_begin and is_in(").,]};:!\\", f.text[end - 1])) end -= 1;
        const found = f.text[value_begin..end];
        if (found.len == 0 or is_marked(found)) return null;
        return .{ .begin = value_begin, .end = end, .mark = mark_url };
    }

    fn judges_secret(f: *const Finder, name: []const u8) bool {
        if (!f.detectors.any_parameter) return is_secret(name);
        return if (f.judge) |judge| judge.is_secret(judge.context, name) else true;
    }

    fn is_marked(found: []const u8) bool {
        return std.mem.eql(u8, found, mark_url) or std.mem.eql(u8, found, mark_value[0 .. mark_value.len - 1]);
    }

    /// What a detector finds at `at`.
    fn value(f: *const Finder, byte: u8) ?Secret {
        const d = f.detectors;
        return switch (byte) {
            '0'...'9' => if (d.card) f.card() else null,
            'b', 'B' => if (d.bearer) f.bearer() else null,
            'e' => if (d.jwt) f.jwt() else null,
            'A' => if (d.aws) f.aws() else null,
            '-' => if (d.private_key) f.private_key() else null,
            '@' => if (d.email) f.email() else null,
            else => null,
        };
    }

    fn before(f: *const Finder) u8 {
        return if (f.at > f.floor) f.text[f.at - 1] else ' ';
    }
    fn is_digit_at(f: *const Finder, i: usize) bool {
        return i < f.text.len and std.ascii.isDigit(f.text[i]);
    }
    fn is_word_at(f: *const Finder, i: usize) bool {
        return i < f.text.len and is_word(f.text[i]);
    }
    /// The end of the run of such bytes that begins at `begin`.
    fn run(f: *const Finder, begin: usize, comptime bytes: []const u8) usize {
        var i = begin;
        while (i < f.text.len and is_in(bytes, f.text[i])) i += 1;
        return i;
    }

    /// 13 to 19 digits with a right check digit: in one piece, or in groups as on cards (4-4-4-4, 4-4-4-4-3, 4-6-5,
    /// 4-6-4).
    fn card(f: *const Finder) ?Secret {
        const begin = f.at;
        if (is_word(f.before())) return null;
        if (f.before() == '.' and begin > 1 and std.ascii.isDigit(f.text[begin - 2])) return null; // a fraction
        // No card begins with 0, 1 or 7: times in milliseconds, and in nanoseconds, begin with 1.
        if (is_in("017", f.text[begin])) return null;
        const first_end = f.run(begin, digits);
        if (first_end - begin != 4) return f.card_if_valid(begin, first_end);
        const separator = if (first_end < f.text.len) f.text[first_end] else return null;
        if (separator != ' ' and separator != '-') return null;
        var ends: [4]usize = undefined; // of the groups behind the first
        var sizes: [4]usize = @splat(0);
        var count: usize = 0;
        var end = first_end;
        while (count < ends.len and end < f.text.len and f.text[end] == separator) : (count += 1) {
            const group_begin = end + 1;
            while (end + 1 < f.text.len and end + 1 - group_begin < 7 and f.is_digit_at(end + 1)) end += 1;
            end += 1;
            if (end == group_begin) break;
            ends[count] = end;
            sizes[count] = end - group_begin;
        }
        if (count >= 2 and sizes[0] == 6 and (sizes[1] == 5 or sizes[1] == 4)) return f.card_if_valid(begin, ends[1]);
        if (count < 3 or sizes[0] != 4 or sizes[1] != 4 or sizes[2] > 4) return null;
        if (count == 4 and sizes[2] == 4 and sizes[3] <= 3) if (f.card_if_valid(begin, ends[3])) |secret| return secret;
        return f.card_if_valid(begin, ends[2]);
    }
    fn card_if_valid(f: *const Finder, begin: usize, end: usize) ?Secret {
        if (f.is_word_at(end)) return null;
        if (end < f.text.len and f.text[end] == '.' and f.is_digit_at(end + 1)) return null;
        return if (end - begin <= 19 + 4 and is_card(f.text[begin..end])) .{ .begin = begin, .end = end } else null;
    }

    /// The token behind the word `Bearer`.
    fn bearer(f: *const Finder) ?Secret {
        const word = "bearer";
        if (is_word(f.before()) or f.text.len - f.at < word.len) return null;
        if (!std.ascii.eqlIgnoreCase(word, f.text[f.at..][0..word.len])) return null;
        const begin = f.run(f.at + word.len, " ");
        if (begin == f.at + word.len) return null;
        const token_end = f.run(begin, letters ++ digits ++ "-._~+/");
        const padded_end = f.run(token_end, "=");
        var end = token_end;
        while (end > begin and f.text[end - 1] == '.') end -= 1; // of a sentence
        if (padded_end > token_end) end = padded_end;
        // "bearer of news", "Bearer authentication", "Bearer realm=": words, not tokens.
        const token = f.text[begin..@min(end, token_end)];
        const is_word_of_prose = for (token) |byte| {
            if (!std.ascii.isAlphabetic(byte)) break false;
        } else token.len < 20;
        return if (token.len < 6 or is_word_of_prose) null else .{ .begin = begin, .end = end };
    }

    /// A JSON Web Token: base64url of `{"…`, and two (JWS) to four (JWE) parts more.
    fn jwt(f: *const Finder) ?Secret {
        const base64url = letters ++ digits ++ "-_";
        if (is_in(base64url, f.before()) or !std.mem.startsWith(u8, f.text[f.at..], "eyJ")) return null;
        var end = f.run(f.at, base64url);
        if (end - f.at < 8) return null;
        var parts: usize = 1;
        while (parts < 5 and end < f.text.len and f.text[end] == '.') : (parts += 1) {
            const begin = end + 1;
            end = f.run(begin, base64url);
            // Only an unsigned token ends with an empty part (and JWE may have an empty key).
            if (parts == 3 and end == begin) {
                end -= 1;
                break;
            }
        }
        return if (parts >= 3) .{ .begin = f.at, .end = end } else null;
    }

    /// The id of an AWS access key.
    fn aws(f: *const Finder) ?Secret {
        const size = 20;
        if (is_word(f.before()) or f.text.len - f.at < size) return null;
        const kind = f.text[f.at..][0..4];
        for ([_]*const [4]u8{ "AKIA", "ASIA", "ABIA", "ACCA" }) |known| {
            if (std.mem.eql(u8, kind, known)) break;
        } else return null;
        for (f.text[f.at + 4 ..][0 .. size - 4]) |byte| {
            if (!std.ascii.isUpper(byte) and !std.ascii.isDigit(byte)) return null;
        }
        return if (f.is_word_at(f.at + size)) null else .{ .begin = f.at, .end = f.at + size };
    }

    /// A private key in PEM, to its end or the text's.
    fn private_key(f: *const Finder) ?Secret {
        var end = f.armour(f.at, "-----BEGIN ") orelse return null;
        while (std.mem.findPos(u8, f.text, end, "-----END ")) |i| {
            if (f.armour(i, "-----END ")) |armour_end| return .{ .begin = f.at, .end = armour_end };
            end = i + 1;
        }
        return .{ .begin = f.at, .end = f.text.len };
    }
    /// The end of `-----BEGIN … PRIVATE KEY-----` at `begin`; null if there is none.
    fn armour(f: *const Finder, begin: usize, comptime head: []const u8) ?usize {
        const label_size_max = 48;
        if (!std.mem.startsWith(u8, f.text[begin..], head)) return null;
        const rest = f.text[begin + head.len ..];
        const size = std.mem.find(u8, rest[0..@min(rest.len, label_size_max)], "-----") orelse return null;
        const label = rest[0..size];
        const kind = if (std.mem.endsWith(u8, label, " BLOCK")) label[0 .. size - " BLOCK".len] else label;
        if (!std.mem.endsWith(u8, kind, "PRIVATE KEY")) return null;
        return begin + head.len + size + "-----".len;
    }

    /// The address around an `@`, in ASCII.
    fn email(f: *const Finder) ?Secret {
        var begin = f.at;
        while (begin > f.floor and is_in(letters ++ digits ++ "._%+-", f.text[begin - 1])) begin -= 1;
        while (begin < f.at and f.text[begin] == '.') begin += 1;
        if (begin == f.at) return null;
        // The domain ends with the last part that may be a top-level one: two letters or more, behind a dot.
        const domain_begin = f.at + 1;
        const domain = f.text[domain_begin..f.run(domain_begin, letters ++ digits ++ ".-")];
        var end: usize = 0;
        var part_begin: usize = 0;
        var is_alphabetic = true;
        for (0..domain.len + 1) |i| {
            if (i < domain.len and domain[i] != '.') {
                is_alphabetic = is_alphabetic and std.ascii.isAlphabetic(domain[i]);
                continue;
            }
            if (part_begin > 1 and is_alphabetic and i - part_begin >= 2) end = i;
            part_begin = i + 1;
            is_alphabetic = true;
        }
        return if (end > 0) .{ .begin = begin, .end = domain_begin + end } else null;
    }
};

const digits = "0123456789";
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const scheme_bytes = letters ++ digits ++ "+-.";

inline fn is_in(comptime bytes: []const u8, byte: u8) bool {
    const table = comptime table: {
        var bits: [256]bool = @splat(false);
        for (bytes) |b| bits[b] = true;
        break :table bits;
    };
    return table[byte];
}
fn is_word(byte: u8) bool {
    return is_in(letters ++ digits ++ "_", byte);
}

/// Luhn's check over 13 to 19 digits, whatever stands between them.
fn is_card(text: []const u8) bool {
    var sum: usize = 0;
    var count: usize = 0;
    var i = text.len;
    while (i > 0) {
        i -= 1;
        if (!std.ascii.isDigit(text[i])) continue;
        const digit = text[i] - '0';
        sum += if (count % 2 == 0) digit else if (digit < 5) digit * 2 else digit * 2 - 9;
        count += 1;
    }
    return count >= 13 and count <= 19 and sum % 10 == 0;
}

const url_bit = 0x80;
/// The bytes that something begins with, by the bit of who looks for it.
const first_bytes = table: {
    var bits: [256]u8 = @splat(0);
    for (":?") |byte| bits[byte] |= url_bit;
    for (digits) |byte| bits[byte] |= @bitCast(Detectors{ .card = true });
    for ("bB") |byte| bits[byte] |= @bitCast(Detectors{ .bearer = true });
    bits['e'] |= @bitCast(Detectors{ .jwt = true });
    bits['A'] |= @bitCast(Detectors{ .aws = true });
    bits['-'] |= @bitCast(Detectors{ .private_key = true });
    bits['@'] |= @bitCast(Detectors{ .email = true });
    break :table bits;
};

/// The first `:/` or `?x` from `from` on: what every URL with a secret has.
inline fn candidate(whole: []const u8, from: usize) ?usize {
    const text = whole[from..];
    if (text.len >= 16) return candidate_in_blocks(16, text, from);
    if (text.len >= 8) return candidate_in_blocks(8, text, from);
    for (0..text.len) |i| if (is_candidate(text, i)) return from + i;
    return null;
}
/// A text of at least `size` bytes; the last block lies over the one before it.
inline fn candidate_in_blocks(comptime size: usize, text: []const u8, from: usize) ?usize {
    const Vector = @Vector(size, u8);
    const Bits = std.meta.Int(.unsigned, size);
    const last = text.len - size;
    var i: usize = 0;
    while (true) : (i = @min(i + size, last)) {
        const block: Vector = text[i..][0..size].*;
        const colons: Bits = @bitCast(block == @as(Vector, @splat(':')));
        const questions: Bits = @bitCast(block == @as(Vector, @splat('?')));
        var found = colons | questions;
        while (found != 0) : (found &= found - 1) {
            if (is_candidate(text, i + @ctz(found))) return from + i + @ctz(found);
        }
        if (i == last) return null;
    }
}
inline fn is_candidate(text: []const u8, i: usize) bool {
    if (i + 1 >= text.len) return false;
    return switch (text[i]) {
        ':' => text[i + 1] == '/',
        '?' => text[i + 1] > ' ',
        else => false,
    };
}

// The names that the default policy (DEFAULT_NAMES and URL_NAMES in text/redaction.py) calls secret. A test holds both
// lists together.
const public_endings = split(
    \\page_token next_token continuation_token pagination_token cancel_token cancellation_token
);
const secret_endings = split(
    \\password passwords password1 password2 password_hash password_confirm password_confirmation
    \\passwd passphrase passcode _pwd
    \\secret secrets secret_key secretkey
    \\_token accesstoken authtoken refreshtoken sessiontoken bearertoken csrftoken xsrftoken _jwt client_assertion
    \\api_key apikey api_keys apikeys access_key accesskey private_key privatekey
    \\signing_key encryption_key master_key account_key accountkey
    \\authorization auth_header _auth cookie cookies credential credentials _creds
    \\connection_string connectionstring
    \\_otp _ssn social_security_number credit_card creditcard credit_card_number card_number cardnumber _cvv _cvc
    \\signature
);
/// Without separators: `db_pass` is `dbpass` here.
const secret_names = split(
    \\pwd pass userpass dbpass smtppass token jwt bearer auth creds phpsessid jsessionid otp ssn cvv cvc
    \\key sig awsaccesskeyid
);

fn split(comptime text: []const u8) []const []const u8 {
    comptime {
        @setEvalBranchQuota(100_000);
        var list: []const []const u8 = &.{};
        var words = std.mem.tokenizeAny(u8, text, " \n");
        while (words.next()) |word| list = list ++ [_][]const u8{word};
        return list;
    }
}

const name_size_max = 64;

/// Whether the value of a parameter of that name is secret: its last part (`user[password]`, `form.password`) decides,
/// then the whole.
pub fn is_secret(name: []const u8) bool {
    var buffer: [name_size_max]u8 = undefined;
    const plain = unescape(name[name.len -| name_size_max..], &buffer);
    const last = if (std.mem.findLastAny(u8, plain, ".[")) |i| i + 1 else 0;
    return verdict(plain[last..]) orelse (if (last == 0) null else verdict(plain)) orelse false;
}

fn verdict(name: []const u8) ?bool {
    var buffer: [2 * name_size_max]u8 = undefined;
    const folded = fold(name, &buffer);
    if (matches(.ending, public_endings, folded)) return false;
    if (matches(.ending, secret_endings, folded)) return true;
    return if (matches(.whole, secret_names, without_separators(folded))) true else null;
}

fn matches(comptime part: enum { ending, whole }, comptime list: []const []const u8, name: []const u8) bool {
    @setEvalBranchQuota(10_000);
    if (name.len == 0) return false;
    switch (name[name.len - 1]) { // most names are done with by their last letter
        inline 'a'...'z', '0'...'9' => |last| inline for (list) |known| {
            if (comptime known[known.len - 1] != last) continue;
            if (part == .ending and std.mem.endsWith(u8, name, known)) return true;
            if (part == .whole and std.mem.eql(u8, name, known)) return true;
        },
        else => {},
    }
    return false;
}

fn unescape(name: []const u8, out: *[name_size_max]u8) []const u8 {
    var size: usize = 0;
    var i: usize = 0;
    while (i < name.len) : (size += 1) {
        out[size] = name[i];
        if (name[i] == '%' and i + 2 < name.len) {
            if (std.fmt.parseInt(u8, name[i + 1 ..][0..2], 16)) |byte| {
                out[size] = byte;
                i += 2;
            } else |_| {}
        }
        i += 1;
    }
    return out[0..size];
}

/// The words of a name, in lower case, joined by `_`: `X-Api-Key`, `xApiKey` and `x_api_key` are one.
fn fold(name: []const u8, out: *[2 * name_size_max]u8) []u8 {
    var size: usize = 0;
    var is_apart = false;
    for (name, 0..) |byte, i| {
        const is_upper = std.ascii.isUpper(byte);
        if (!std.ascii.isAlphanumeric(byte) and byte < 0x80) {
            is_apart = true;
            continue;
        }
        if (is_upper and i > 0) {
            const last = name[i - 1];
            const is_next_lower = i + 1 < name.len and std.ascii.isLower(name[i + 1]);
            if (std.ascii.isLower(last) or std.ascii.isDigit(last) or (std.ascii.isUpper(last) and is_next_lower))
                is_apart = true;
        }
        if (is_apart and size > 0) {
            out[size] = '_';
            size += 1;
        }
        is_apart = false;
        out[size] = std.ascii.toLower(byte);
        size += 1;
    }
    return out[0..size];
}

/// In place.
fn without_separators(folded: []u8) []const u8 {
    var size: usize = 0;
    for (folded) |byte| {
        folded[size] = byte;
        size += @intFromBool(byte != '_');
    }
    return folded[0..size];
}

// ------------------------------------------------------------------------------------------------------- tests

const testing = std.testing;

fn expect(text: []const u8, detectors: Detectors, expected: []const u8) !void {
    var buffer: [8]u8 = undefined; // small, so that it moves to the heap
    var w = Writer.init(&buffer);
    defer w.deinit();
    try write(&w, text, detectors, null);
    try testing.expectEqualStrings(expected, w.written());
    try testing.expectEqual(std.mem.eql(u8, text, expected), scan(text, detectors) == null);
}
fn expect_url(text: []const u8, expected: []const u8) !void {
    return expect(text, .none, expected);
}
fn expect_same(text: []const u8, detectors: Detectors) !void {
    return expect(text, detectors, text);
}
const all = Detectors{ .card = true, .bearer = true, .jwt = true, .aws = true, .private_key = true, .email = true };

test "credentials of a URL" {
    try expect_url("to https://me:pw@host/x.", "to https://REDACTED:REDACTED@host/x.");
    try expect_url("https://token@host", "https://REDACTED@host");
    try expect_url("redis://:pw@host:6379/0", "redis://REDACTED:REDACTED@host:6379/0");
    try expect_url("a://u:p@ss@h b://u:p@h", "a://REDACTED:REDACTED@h b://REDACTED:REDACTED@h");
    try expect_url("'https://u:it@h'", "'https://REDACTED:REDACTED@h'");
    try expect_url("https://u:it's@h", "https://REDACTED:REDACTED@h");
}

test "credentials that nobody has escaped" {
    try expect_url("amqp://u:pa/ss@host:5672//", "amqp://REDACTED:REDACTED@host:5672//");
    try expect_url("amqp://u:p?a#s/s@host/v?x=@", "amqp://REDACTED:REDACTED@host/v?x=@");
    try expect_url("amqp://u:p/a@b@host/v", "amqp://REDACTED:REDACTED@host/v");
}

test "texts and URLs without secrets stay" {
    for ([_][]const u8{
        "",                             ":",                           "?",                        "a: b, c://",
        "https://host/path?page=2&q=x", "https://medium.com/@me",      "http://h:8080/@x",         "http://[::1]:8080/@x",
        "what? token=5",                "C://dir",                     "see x;token=1",            "12:30:45 - why?",
        "https://h?token=[REDACTED]",   "https://REDACTED:REDACTED@h", "https://h?token=REDACTED", "https://h?token=&x",
        "https://h?token",              "://",                         "a://@h",                   "http://h:port/x",
        "https://h?tokens=12",
    }) |text| try expect_same(text, .none);
}

test "secret parameters of a URL" {
    try expect_url("https://h/p?color=blue&sig=abc#x", "https://h/p?color=blue&sig=REDACTED#x");
    try expect_url("GET /login?token=abc HTTP/1.1", "GET /login?token=REDACTED HTTP/1.1");
    try expect_url("https://h/cb#access_token=abc&state=1", "https://h/cb#access_token=REDACTED&state=1");
    try expect_url("https://h/a;jsessionid=abc?x=1", "https://h/a;jsessionid=REDACTED");
    try expect_url("https://h?a=1&amp;api_key=b;c", "https://h?a=1&amp;api_key=REDACTED");
    try expect_url("(https://h?token=a.b).", "(https://h?token=REDACTED).");
    try expect_url("'https://h?token=a', 'b'", "'https://h?token=REDACTED', 'b'");
    try expect_url("{\\\"u\\\": \\\"https://h?key=a\\\"}", "{\\\"u\\\": \\\"https://h?key=REDACTED\\\"}");
    try expect_url("https://h?next=https://u:p@h/?sig=1", "https://h?next=https://REDACTED:REDACTED@h/?sig=REDACTED");
    try expect_url("jdbc:postgresql://h/d?user=u&password=p", "jdbc:postgresql://h/d?user=u&password=REDACTED");
}

test "a query without its URL" {
    try testing.expectEqual(6, scan_query("token=a&b=1", .none).?);
    try testing.expectEqual(10, scan_query("a=1&token=b c", .none).?);
    try testing.expectEqual(null, scan_query("a=1&b=2", .none));
    try testing.expectEqual(null, scan_query("select 1 where token=1", .none));
    try testing.expectEqual(null, scan_query("", .none));
}

test "a part of a text that is clean by its apostrophes" {
    try expect_same("'https://u:it's@h'", .none);
    try testing.expect(may_hold("'https://u:it's@h'", .none));
    try testing.expect(!may_hold("'https://h', 'x'", .none));
}

test "names of parameters" {
    for ([_][]const u8{
        "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "X-Goog-Signature",   "AWSAccessKeyId", "Signature",
        "access_token",    "accessToken",          "api%5Fkey",        "user%5Bpassword%5D", "user[pass]",     "form.auth",
        "APIKey",          "db_password",          "userPassword",     "PHPSESSID",
    }) |name| try testing.expect(is_secret(name));
    for ([_][]const u8{
        "", "author", "tokens", "token_count", "max_tokens", "next_page_token", "form.pageToken", "monkey", "keys", "%", "%5", "%zz",
    }) |name| try testing.expect(!is_secret(name));
}

test "someone else judges the names of parameters" {
    const Odd = struct {
        fn is_secret(_: *anyopaque, name: []const u8) bool {
            return name.len % 2 == 1;
        }
    };
    var nothing: u8 = 0;
    var buffer: [64]u8 = undefined;
    var w = Writer.init(&buffer);
    const judge = Judge{ .context = &nothing, .is_secret = &Odd.is_secret };
    try write(&w, "/?abc=1&ab=2&sig=3&token2=4", .{ .any_parameter = true }, judge);
    try testing.expectEqualStrings("/?abc=REDACTED&ab=2&sig=REDACTED&token2=4", w.written());
    try testing.expectEqual(6, scan("/?abc=1", .{ .any_parameter = true }).?);
}

test "card numbers" {
    const card = Detectors{ .card = true };
    for ([_][]const u8{
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "378282246310005",
        "4222222222222",    "3056 930902 5904",    "6304000000000000000",
    }) |number| {
        try expect(number, card, mark_value);
        var buffer: [64]u8 = undefined;
        try expect(try std.fmt.bufPrint(&buffer, "12 {s} 12/27", .{number}), card, "12 [REDACTED] 12/27");
        try expect_same(number, .none);
    }
    for ([_][]const u8{
        "4111111111111112",     "0.4111111111111111",  "a4111111111111111",    "4111111111111111a", "1763734665000000008",
        "41111111111111111111", "4111 1111-1111 1111", "4111 111 1111 1111 1", "4111",              "4111 ",
        "4111 1111 1111 ",      "4111111111111111.5",
    }) |text| try expect_same(text, card);
}

test "tokens" {
    try expect("Authorization: Bearer abc.def-1", .{ .bearer = true }, "Authorization: Bearer [REDACTED]");
    try expect("bearer  Abc123==, x", .{ .bearer = true }, "bearer  [REDACTED], x");
    try expect("Bearer s3cr3t.", .{ .bearer = true }, "Bearer [REDACTED].");
    try expect_same("the bearer of bad news; Bearer authentication; Bearer realm=\"x\"; forbearer a1b2c3d4", .{ .bearer = true });
    try expect("t=eyJhbGciOi.eyJzdWIi.c2ln!", .{ .jwt = true }, "t=[REDACTED]!");
    try expect("eyJhbGciOi.eyJzdWIi.", .{ .jwt = true }, mark_value);
    try expect("eyJhbGciOi..iv.text.tag.x", .{ .jwt = true }, "[REDACTED].x");
    try expect_same("eyJhbGciOi.eyJzdWIi eyJ.a.b heyJhbGciOi.a.b", .{ .jwt = true });
    try expect("AKIAIOSFODNN7EXAMPLE", .{ .aws = true }, mark_value);
    try expect_same("AKIAIOSFODNN7EXAMPLEX xAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPL", .{ .aws = true });
}

test "private keys, whole or cut" {
    const key = Detectors{ .private_key = true };
    const pem = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";
    try expect("a " ++ pem ++ " b " ++ pem, key, "a [REDACTED] b [REDACTED]");
    try expect("-----BEGIN PGP PRIVATE KEY BLOCK-----abc", key, mark_value);
    try expect("-----BEGIN PRIVATE KEY-----\n-----END CERTIFICATE-----", key, mark_value);
    try expect_same("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----", key);
}

test "addresses" {
    const email = Detectors{ .email = true };
    try expect("to <a.b+c@example.com>.", email, "to <[REDACTED]>.");
    try expect("a@x.com,b@y.org.", email, "[REDACTED],[REDACTED].");
    try expect("https://u:p@x.com", email, "https://REDACTED:REDACTED@x.com");
    try expect_same("a@b @x.com a@.com a@x.c1 a@x.c https://medium.com/@me", email);
}

test "every detector inside of URLs as well" {
    try expect("https://h/eyJhbGciOi.eyJzdWIi.c2ln/AKIAIOSFODNN7EXAMPLE?m=a@x.com", all, "https://h/[REDACTED]/[REDACTED]?m=[REDACTED]");
}

test "what was redacted once stays" {
    var random = std.Random.DefaultPrng.init(3);
    const pieces = [_][]const u8{
        "https://",    "u:p@",                 "h", "/",     "?",          "token=", "a", "&", "x=", ";", "#", "'", " ", "4111111111111111", "Bearer ", "abc123",
        "eyJhbGciOi.", "AKIAIOSFODNN7EXAMPLE", "@", "x.com", "[REDACTED]",
        "é",
        ".",
    };
    for (0..20_000) |_| {
        var text: [400]u8 = undefined;
        var size: usize = 0;
        for (0..random.random().uintLessThan(usize, 12)) |_| {
            const piece = pieces[random.random().uintLessThan(usize, pieces.len)];
            @memcpy(text[size..][0..piece.len], piece);
            size += piece.len;
        }
        var buffer: [64]u8 = undefined;
        var once = Writer.init(&buffer);
        defer once.deinit();
        try write(&once, text[0..size], all, null);
        try testing.expectEqual(std.mem.eql(u8, text[0..size], once.written()), scan(text[0..size], all) == null);
        try expect_same(once.written(), all);
    }
}

test "candidate finds at every offset" {
    for (0..70) |size| for (0..size -| 1) |i| {
        var text: [70]u8 = @splat('a');
        text[i] = ':';
        text[i + 1] = '/';
        try testing.expectEqual(i, candidate(text[0..size], 0).?);
        try testing.expectEqual(null, candidate(text[0..size], i + 1));
        text[i] = '?';
        try testing.expectEqual(i, candidate(text[0..size], 0).?);
        text[i + 1] = ' ';
        try testing.expectEqual(null, candidate(text[0..size], 0));
    };
}
