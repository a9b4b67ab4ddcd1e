//! How tensors print where PyTorch has no equal (packed weights, `Debug`), and the options of the
//! process. The elements themselves are compared with PyTorch's text in the golden tests.

use bitnet_tensor::{
    BitNetDType, BitNetTensor, CodeLayout, PrintOptions, Result, print_options, set_print_options,
};

#[test]
fn options_of_the_process_and_of_one_format() -> Result<()> {
    let x = BitNetTensor::from_vec(vec![1.0f32, -2.5], [2])?;
    assert_eq!(x.to_string(), "tensor([ 1.0000, -2.5000])");
    assert_eq!(format!("{x:.1}"), "tensor([ 1.0, -2.5])");
    let options = PrintOptions { sci_mode: Some(true), precision: 1, ..PrintOptions::default() };
    let former = set_print_options(options);
    assert_eq!(former, PrintOptions::default());
    assert_eq!(print_options(), options);
    assert_eq!(x.to_string(), "tensor([ 1.0e+00, -2.5e+00])");
    assert_eq!(format!("{x:.2}"), "tensor([ 1.00e+00, -2.50e+00])");
    set_print_options(former);
    assert_eq!(x.to_string(), "tensor([ 1.0000, -2.5000])");
    Ok(())
}

#[test]
fn packed_weights_show_codes_and_scales() -> Result<()> {
    let codes = BitNetTensor::from_vec(vec![1i8, 0, -1, 0, 1, 1], [6])?;
    let scales = BitNetTensor::from_vec(vec![0.5f32, 0.0], [2])?;
    let weight = BitNetTensor::packed_from_parts(CodeLayout::Bytes, codes, scales, [2, 3])?;
    let options = PrintOptions { line_width: 100, ..PrintOptions::default() };
    assert_eq!(
        weight.display_with(&options).to_string(),
        "tensor([[ 1,  0, -1],\n        [ 0,  1,  1]], scales=[0.5000, 0.0000], size=(2, 3), \
         dtype=ternary, layout=Bytes)"
    );
    assert_eq!(
        format!("{weight:?}"),
        "BitNetTensor { dtype: ternary, shape: [2, 3], device: cpu, layout: Bytes }"
    );
    let large = BitNetTensor::full([64, 64], 1.0f32)?.ternarize()?;
    let text = large.display_with(&options).to_string();
    assert!(text.starts_with("tensor([[1, 1, 1,  ..., 1, 1, 1],\n"), "{text}");
    assert!(text.contains("size=(64, 64)"), "{text}");
    Ok(())
}

#[test]
fn what_cannot_be_read_says_why() -> Result<()> {
    let codes = BitNetTensor::full([6], 2i8)?; // no such code
    let scales = BitNetTensor::ones([2], BitNetDType::F32)?;
    let weight = BitNetTensor::packed_from_parts(CodeLayout::Bytes, codes, scales, [2, 3])?;
    let text = weight.to_string();
    assert!(text.starts_with("tensor(unreadable: to_dtype(ternary[2, 3]): "), "{text}");
    Ok(())
}

#[test]
fn only_what_is_shown_is_read() -> Result<()> {
    // Far more elements than memory has bytes, from one.
    let huge = BitNetTensor::scalar(7i64)?.expand([1 << 30, 1 << 30])?;
    let row = "[7, 7, 7,  ..., 7, 7, 7]";
    let rows = [row, row, row, "...", row, row, row].join(",\n        ");
    assert_eq!(huge.to_string(), format!("tensor([{rows}])"));
    Ok(())
}

#[test]
fn debug_says_what_the_tensor_is() -> Result<()> {
    let x = BitNetTensor::zeros([2, 3], BitNetDType::F32)?;
    assert_eq!(
        format!("{x:?}"),
        "BitNetTensor { dtype: f32, shape: [2, 3], device: cpu, strides: [3, 1], contiguous: true }"
    );
    assert_eq!(
        format!("{:?}", x.transpose(0, 1)?),
        "BitNetTensor { dtype: f32, shape: [3, 2], device: cpu, strides: [1, 3], contiguous: false }"
    );
    Ok(())
}
