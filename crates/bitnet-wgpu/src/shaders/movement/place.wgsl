// Elements where they belong: operand 0 of the walk is where they are, operand 1 where they go.
// A thread for each; parameter 1 is how many there are.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let i = own_element(threads);
    if (i >= param(1u)) { return; }
    store_out(position(i, 1u), load_x(position(i, 0u)));
}
