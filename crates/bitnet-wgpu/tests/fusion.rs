//! What a token's neighbouring operations give when they are one dispatch: the same as when they are not.

mod adapters;
mod chains;
mod translation;

use adapters::each_device;

#[test]
fn a_row_and_its_product_are_one_dispatch() {
    each_device(chains::rows_and_products);
}

#[test]
fn a_tokens_heads_are_rotated_and_remembered_in_one_dispatch() {
    each_device(|backend| {
        chains::heads(backend);
        translation::translate_all(backend.kernel_sources());
    });
}

#[test]
fn other_chains_give_what_their_operations_say() {
    each_device(chains::other_chains);
}

#[test]
fn places_beyond_the_cache_or_the_tables_are_errors() {
    each_device(chains::places_beyond);
}
