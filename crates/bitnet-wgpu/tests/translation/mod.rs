//! Kernels as other platforms compile them: Metal's language in two versions, and DirectX's.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use naga::back::{hlsl, msl};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Translates each of `sources` that was not translated yet; returns how many there were.
pub(crate) fn translate_all(sources: Vec<String>) -> usize {
    static DONE: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let done = done.get_or_insert_default();
    let mut count = 0;
    for source in sources {
        // Matrix units: of the size that this kernel uses neither Metal nor DX12 has any.
        if source.contains("enable wgpu_cooperative_matrix") || done.contains(&source) {
            continue;
        }
        translate(&source).unwrap_or_else(|error| panic!("{error}\n{source}"));
        done.insert(source);
        count += 1;
    }
    count
}

fn translate(source: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).map_err(|error| format!("{error:?}"))?;
    // The driver is not asked how much memory its workgroups have: this is what all have.
    let bytes = shared_bytes(&module)?;
    if source.contains("row_codes") && bytes > 16 << 10 {
        return Err(format!("{bytes} bytes of shared memory"));
    }
    for lang_version in [(2, 4), (3, 0)] {
        let options =
            msl::Options { lang_version, fake_missing_bindings: true, ..Default::default() };
        let (text, translated) =
            msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
                .map_err(|error| format!("MSL {lang_version:?}: {error}"))?;
        for name in &translated.entry_point_names {
            name.as_ref().map_err(|error| format!("MSL {lang_version:?}: {error}"))?;
        }
        assert!(text.contains("kernel void"), "{text}");
    }
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        fake_missing_bindings: true,
        ..Default::default()
    };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
        .write(&module, &info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    assert!(text.contains("numthreads"), "{text}");
    Ok(())
}

/// Bytes that the threads of a workgroup share.
fn shared_bytes(module: &naga::Module) -> Result<u32, String> {
    let mut layouts = naga::proc::Layouter::default();
    layouts.update(module.to_ctx()).map_err(|error| format!("{error:?}"))?;
    let shared = module.global_variables.iter().map(|(_, variable)| variable);
    let shared = shared.filter(|variable| variable.space == naga::AddressSpace::WorkGroup);
    Ok(shared.map(|variable| layouts[variable.ty].size).sum())
}
