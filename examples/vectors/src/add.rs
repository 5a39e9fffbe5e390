//! `add`: embeds the videos of a folder that are not in the database.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use twelvelabs::assets::AssetType;
use twelvelabs::embed::{EmbedInput, VideoInput};
use twelvelabs::{Error, TwelveLabs};

use crate::store::{Known, Store, Video};
use crate::support::{Result, with_causes};

/// Embeds the new videos of a folder. A video that fails does not stop the others.
pub fn add(client: &TwelveLabs, store: &mut Store, folder: &Path) -> Result {
    let (mut fresh, mut tasks, mut done, mut failed) = (BTreeMap::new(), BTreeMap::new(), 0, 0);
    for path in videos(folder)? {
        let video = match look(&path) {
            Ok(video) => video,
            Err(e) => {
                eprintln!("{e}");
                failed += 1;
                continue;
            }
        };
        match store.known(&video)? {
            Known::Done => done += 1,
            Known::Task(task_id) => drop(tasks.insert(task_id, video)),
            Known::No => drop(fresh.insert(path, video)),
        }
    }
    eprintln!("{} to embed, {} in progress, {done} already done", fresh.len(), tasks.len());

    let api = client.embed().v2().tasks();
    if !fresh.is_empty() {
        let uploads = client.assets().upload_all(fresh.keys()).manifest(beside(store.path(), ".manifest")).send()?;
        for outcome in uploads {
            let Some(video) = fresh.remove(&outcome.path) else { continue };
            let started = outcome.result.and_then(|asset| {
                let clips = VideoInput::new(&asset).embedding_option(["visual"]).embedding_scope(["clip"]);
                Ok((asset.id, api.create(EmbedInput::video(clips), store.model()).send()?.id))
            });
            match started {
                Ok((asset_id, task_id)) => {
                    store.begin(&video, &asset_id, &task_id)?;
                    tasks.insert(task_id, video);
                }
                Err(e) => failed += complain(&video, &e),
            }
        }
    }

    for (task_id, result) in api.wait_for_all(tasks.keys()).send()? {
        let Some(video) = tasks.get(&task_id) else { continue };
        match result {
            Ok(task) => {
                let asset_id = store.asset_id(video)?;
                let clips = store.keep(video, &task.into_records(asset_id, store.model())?)?;
                eprintln!("{}: {clips} clips", video.path);
            }
            Err(e) => {
                if matches!(e, Error::Failed(_)) || e.is_not_found() {
                    // The next run creates another task.
                    store.forget(video)?;
                }
                failed += complain(video, &e);
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of the videos failed; run the same command again to retry them").into()),
    }
}

fn complain(video: &Video, e: &Error) -> usize {
    eprintln!("{}: {}", video.path, with_causes(e));
    1
}

/// Returns the videos directly in a folder, ordered by name. A video that cannot be inspected, such as a link to a disk
/// that is not mounted, is included, so that it is reported.
fn videos(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| format!("cannot read the folder {}: {e}", folder.display());
    let mut videos = Vec::new();
    for entry in fs::read_dir(folder.canonicalize().map_err(failed)?).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || AssetType::from_path(&path) != Some(AssetType::Video) {
            continue;
        }
        if path.metadata().map_or(true, |metadata| metadata.is_file()) {
            videos.push(path);
        }
    }
    videos.sort();
    Ok(videos)
}

fn look(path: &Path) -> Result<Video> {
    let failed = |e| format!("{}: {e}", path.display());
    let metadata = path.metadata().map_err(failed)?;
    let modified = metadata.modified().map_err(failed)?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Video {
        path: path.to_str().ok_or_else(|| format!("{}: its name is not Unicode", path.display()))?.into(),
        size: metadata.len().try_into()?,
        modified: modified.as_nanos().try_into()?,
    })
}

fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    name.into()
}
