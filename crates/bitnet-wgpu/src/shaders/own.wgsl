// Which row a workgroup has, or what it has the number of.
fn own_group(threads: Threads) -> u32 { return threads.group.y * threads.groups.x + threads.group.x; }

// Which element a thread has.
fn own_element(threads: Threads) -> u32 { return own_group(threads) * WORKGROUP + number(threads); }
