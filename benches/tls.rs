//! Sends a file over TLS to a server on loopback, in one request. Compares it with `curl`.
//!
//! `cargo bench --bench tls` sends 512 MiB (or `UPLOAD_MIB` MiB). It prints the ratio of medians. Without `curl`, the
//! bench says so and compares nothing.

mod support;

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::{BenchFile, Fallible, answer_uploads, median, memory, ratio, timed};
use twelvelabs::TwelveLabs;
use twelvelabs::assets::UploadMethod;

const RUNS: usize = 5;
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/root.pem");

fn main() -> Fallible {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("curl is not installed, so there is nothing to compare with");
        return Ok(());
    }
    let mib: u64 = std::env::var("UPLOAD_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(512);
    let file = BenchFile::new("tls.mp4", mib << 20)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base_url = format!("https://localhost:{}", listener.local_addr()?.port());
    let config = config()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || serve(stream, config).ok());
        }
    });
    let client =
        TwelveLabs::builder().api_key("bench").base_url(&base_url).root_certificates(std::fs::read(ROOT)?).build()?;

    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let curled = timed(|| {
            let status = Command::new("curl")
                .args(["--silent", "--show-error", "--fail", "--cacert", ROOT, "--header", "x-api-key: bench"])
                .args(["--form", "method=direct", "--form", &format!("file=@{}", file.path().display())])
                .arg(format!("{base_url}/assets"))
                .stdout(Stdio::null())
                .status()?;
            if status.success() { Ok(()) } else { Err(format!("curl ended with {status}").into()) }
        })?;
        let uploaded = timed(|| {
            client.assets().create(UploadMethod::direct(file.path())).send()?;
            Ok(())
        })?;
        // The first run warms the page cache.
        if run > 0 {
            theirs.push(curled);
            ours.push(uploaded);
        }
    }
    let (theirs, ours) = (median(theirs), median(ours));
    println!("curl           {mib} MiB in {theirs:?}");
    println!("assets.create  {mib} MiB in {ours:?}");
    println!("ratio          {:.2}", ratio(ours, theirs));
    if let Some(peak) = memory("VmHWM:") {
        println!("peak memory    {:.1} MB with the server", peak as f64 / 1e6);
    }
    Ok(())
}

fn config() -> Fallible<Arc<ServerConfig>> {
    let chain = vec![CertificateDer::from_pem_slice(include_bytes!("../tests/fixtures/tls/server.pem"))?];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../tests/fixtures/tls/server.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_no_client_auth().with_single_cert(chain, key)?))
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>) -> Fallible {
    stream.set_nodelay(true)?;
    let secure = StreamOwned::new(ServerConnection::new(config)?, stream);
    answer_uploads(BufReader::with_capacity(256 << 10, secure))
}
