//! Array jobs: the files of each shard, and its manifest.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// One of several runs that share the work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shard {
    pub index: u32,
    pub count: u32,
}

impl Shard {
    /// Whether a file is in this shard. The hash is FNV-1a with the finalizer of MurmurHash 3, so the same text is in
    /// the same shard on every machine and in every version.
    pub fn has(self, path: &Path) -> bool {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        for part in path.components().filter(|part| *part != Component::CurDir) {
            add(b'/');
            match part {
                // The root is a backslash on Windows, but a file must be in the same shard on every system.
                Component::RootDir => add(b'/'),
                part => part.as_os_str().as_encoded_bytes().iter().for_each(|byte| add(*byte)),
            }
        }
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        (hash ^ (hash >> 33)) % u64::from(self.count) == u64::from(self.index)
    }
}

/// Returns the manifest of this run: for a shard, `uploads.jsonl` becomes `uploads.0-of-8.jsonl`.
///
/// Fails if a manifest for another number of shards exists, because its files would be in other shards now.
pub fn manifest(all: &Path, shard: Option<Shard>) -> Result<PathBuf, String> {
    let own = shard.map_or_else(
        || all.to_path_buf(),
        |shard| {
            let (before, after) = parts(all);
            all.with_file_name(format!("{before}.{}-of-{}{after}", shard.index, shard.count))
        },
    );
    if shard.is_none() && is_of_array_job(all) {
        return Err(format!(
            "{} belongs to an array job, which identifies files by their path below a folder; rename it to \
             uploads.0-of-1.jsonl, for example, and continue with --manifest uploads.jsonl --shard 0/1",
            all.display()
        ));
    }
    match of_other_shards(all, shard) {
        Ok(None) => Ok(own),
        Ok(Some(other)) => Err(format!(
            "{} belongs to another number of shards, so its files would be uploaded again; use that number of shards, or \
             name another manifest (the guide says how to change the number)",
            other.display()
        )),
        Err(e) => Err(format!("cannot look for manifests beside {}: {e}", all.display())),
    }
}

/// Whether the first file in a manifest is identified by a relative path. Read errors are left for the upload to
/// report.
fn is_of_array_job(manifest: &Path) -> bool {
    #[derive(serde::Deserialize)]
    struct Line {
        path: PathBuf,
    }

    let Ok(file) = File::open(manifest) else { return false };
    // A line is a few hundred bytes long, but the file may not be a manifest, so reading is limited.
    let lines = BufReader::new(file.take(1 << 20)).lines().map_while(Result::ok);
    let first = lines.take(3).find_map(|line| serde_json::from_str::<Line>(&line).ok());
    first.is_some_and(|line| line.path.is_relative() && !line.path.to_string_lossy().starts_with('"'))
}

fn of_other_shards(all: &Path, shard: Option<Shard>) -> io::Result<Option<PathBuf>> {
    if shard.is_some() && all.exists() {
        return Ok(Some(all.to_path_buf()));
    }
    let folder = all.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (before, after) = parts(all);
    for entry in folder.read_dir()? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let middle = name.strip_prefix(&format!("{before}.")).and_then(|rest| rest.strip_suffix(&after));
        let other = middle.and_then(|middle| middle.replacen("-of-", "/", 1).parse::<Shard>().ok());
        if other.is_some_and(|other| shard.is_none_or(|shard| other.count != shard.count)) {
            return Ok(Some(folder.join(&*name)));
        }
    }
    Ok(None)
}

/// Returns the parts of a manifest's name before and after the shard.
fn parts(all: &Path) -> (String, String) {
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = text(all.extension());
    (text(all.file_stem()), if extension.is_empty() { extension } else { format!(".{extension}") })
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (index, count) = text.split_once('/').unwrap_or((text, ""));
        let (Ok(index), Ok(count)) = (index.parse(), count.parse()) else {
            return Err(format!("--shard must be K/N, such as 0/8 for the first of eight, not `{text}`"));
        };
        match count {
            0 => Err("--shard K/N: N must be at least 1".into()),
            _ if index < count => Ok(Shard { index, count }),
            _ => Err(format!(
                "--shard {text}: K counts from 0, so the last of {count} is {}/{count} (Slurm: --array=0-{})",
                count - 1,
                count - 1
            )),
        }
    }
}
