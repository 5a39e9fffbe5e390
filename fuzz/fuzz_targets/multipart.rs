#![no_main]

#[path = "../../src/fuzzing/form.rs"]
mod form;

libfuzzer_sys::fuzz_target!(|data: &[u8]| twelvelabs::fuzzing::multipart(data, form::parse));
