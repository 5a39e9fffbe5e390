//! Measures batches with a million files, and batches with a manifest of a million files.
//!
//! `cargo bench --bench manifest` uses one million files, or `MANIFEST_LINES`. The limits are 3 s and 200 MB to upload
//! one file with such a manifest, and 3 s for `send()` of a million paths.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use support::{BenchFile, Fallible, content_length, cpu_time, head, memory, reset_peak};
use twelvelabs::{CancelHandle, TwelveLabs};

fn main() -> Fallible {
    let lines: usize = std::env::var("MANIFEST_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let platform = TcpListener::bind("127.0.0.1:0")?;
    let client = TwelveLabs::builder().api_key("bench").base_url(format!("http://{}", platform.local_addr()?));
    let client = client.build()?;
    std::thread::spawn(move || platform.incoming().flatten().try_for_each(|stream| answer(stream).or(Ok::<_, ()>(()))));
    let file = BenchFile::new("one.mp4", 1000)?;
    let manifest = file.path().with_extension("jsonl");

    for old in [1, 3] {
        fs::remove_file(&manifest).ok();
        write_manifest(&client, &manifest, lines, old)?;
        let size = manifest.metadata()?.len();
        reset_peak();
        let (began, cpu) = (Instant::now(), cpu_time().unwrap_or_default());
        let uploaded = client.assets().upload_all([file.path()]).manifest(&manifest).send()?;
        let failed = uploaded.filter(|outcome| outcome.result.is_err()).count();
        let cpu = cpu_time().unwrap_or_default() - cpu;
        let (time, peak) = (began.elapsed(), memory("VmHWM:").unwrap_or_default() as f64 / 1e6);
        let (before, after) = (size as f64 / 1e6, manifest.metadata()?.len() as f64 / 1e6);
        println!(
            "one file, {lines} known, {old} lines each: {time:?} ({cpu:?} of CPU), {peak:.0} MB, {before:.0} to {after:.0} MB on disk"
        );
        if failed > 0 {
            return Err("the upload failed".into());
        }
    }
    fs::remove_file(&manifest)?;

    let paths: Vec<PathBuf> = (0..lines).map(|n| std::env::temp_dir().join(format!("no-such-file-{n}.mp4"))).collect();
    let cancel = CancelHandle::new();
    cancel.cancel();
    let (began, cpu) = (Instant::now(), cpu_time().unwrap_or_default());
    let uploads = client.assets().upload_all(paths).cancel_handle(&cancel).send()?;
    let (time, cpu) = (began.elapsed(), cpu_time().unwrap_or_default() - cpu);
    println!("send() of {lines} paths: {time:?} ({cpu:?} of CPU)");
    drop(uploads);
    Ok(())
}

/// Writes a manifest of this many files, with this many lines for each.
fn write_manifest(client: &TwelveLabs, path: &Path, files: usize, each: usize) -> Fallible {
    // The crate writes the first line.
    drop(client.assets().upload_all(Vec::<PathBuf>::new()).manifest(path).send()?);
    let mut output = BufWriter::new(fs::File::options().append(true).open(path)?);
    let (user, mut line) = ("\"user_metadata\":{\"place\":\"Lisbon\",\"year\":2026}", String::new());
    for _ in 0..each {
        for n in 0..files {
            line.clear();
            writeln!(
                line,
                "{{\"event\":\"done\",\"path\":\"/recordings/2026/camera-{n:07}.mp4\",\"size\":104857600,\
                 \"modified\":1795542656727967971,\"asset_id\":\"65f0{n:020x}\",\"asset\":{{\"_id\":\"65f0{n:020x}\",\
                 \"method\":\"direct\",\"status\":\"ready\",\"filename\":\"camera-{n:07}.mp4\",\"file_type\":\"video/mp4\",\
                 \"created_at\":\"2026-01-02T03:04:05Z\",{user},\"size\":104857600,\"duration\":3600.5,\"hls\":null,\
                 \"thumbnail\":null,\"error\":null}},\"permanent\":false,\"at\":\"2026-11-24T17:50:57.32510893Z\"}}"
            )?;
            output.write_all(line.as_bytes())?;
        }
    }
    output.flush()?;
    Ok(())
}

/// Responds to an upload, and to each poll, with an asset that is ready.
fn answer(stream: TcpStream) -> Fallible {
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some(head) = head(&mut input)? {
        let mut body = Vec::new();
        (&mut input).take(content_length(&head)?).read_to_end(&mut body)?;
        let asset = "{\"_id\":\"1\",\"status\":\"ready\"}";
        write!(output, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{asset}", asset.len())?;
    }
    Ok(())
}
