//! Word count in Zig, in the buffer contract: `alloc` makes room for the event, `handle` answers.
const std = @import("std");

/// Nothing is freed within an invocation, and the next one finds the arena as initialisation left it.
var arena: std.heap.ArenaAllocator = .init(std.heap.wasm_allocator);

/// Room for an event of `len` bytes.
export fn alloc(len: usize) [*]u8 {
    return (arena.allocator().alloc(u8, @max(len, 1)) catch @trap()).ptr;
}

/// The reply's address in the upper half, its length in the lower.
export fn handle(at: [*]const u8, len: usize) u64 {
    const reply = count(at[0..len]) catch @trap();
    return @as(u64, @intFromPtr(reply.ptr)) << 32 | reply.len;
}

fn count(event: []const u8) ![]const u8 {
    const lines = std.mem.countScalar(u8, event, '\n');
    var words: usize = 0;
    var rest = std.mem.tokenizeAny(u8, event, " \t\n\x0b\x0c\r");
    while (rest.next()) |_| words += 1;
    const reply = "{{\"lines\":{d},\"words\":{d},\"bytes\":{d}}}";
    return std.fmt.allocPrint(arena.allocator(), reply, .{ lines, words, event.len });
}
