//! The database of videos, their clips, and the vectors of the clips.

use std::path::{Path, PathBuf};

use rusqlite::auto_extension::{RawAutoExtension, register_auto_extension};
use rusqlite::{Connection, OptionalExtension, params};
use twelvelabs::embed::EmbeddingRecord;

use crate::support::Result;

const MODEL: &str = "marengo3.0";
/// The largest number of results that `sqlite-vec` returns.
pub const MAX_NEIGHBORS: u32 = 4096;
/// The tables. `task_id` is set while a video is not finished.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS store (
        id INTEGER PRIMARY KEY CHECK (id = 1), model TEXT NOT NULL, dimension INTEGER
    );
    CREATE TABLE IF NOT EXISTS video (
        id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, modified INTEGER NOT NULL,
        asset_id TEXT NOT NULL, task_id TEXT
    );
    CREATE TABLE IF NOT EXISTS clip (
        id INTEGER PRIMARY KEY, video_id INTEGER NOT NULL REFERENCES video(id), start_sec REAL, end_sec REAL
    );
    CREATE INDEX IF NOT EXISTS clip_video ON clip (video_id);
";

/// A version of a file: another size or time means another video.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    pub path: String,
    pub size: i64,
    /// The modification time, in nanoseconds since 1970.
    pub modified: i64,
}

/// The state of a video.
#[derive(Debug, PartialEq)]
pub enum Known {
    No,
    /// The task with this id embeds it.
    Task(String),
    Done,
}

/// A clip in the results of a search.
#[derive(Debug, PartialEq)]
pub struct Hit {
    pub path: String,
    pub start: f64,
    pub end: f64,
    pub similarity: f64,
}

pub struct Store {
    db: Connection,
    path: PathBuf,
    model: String,
}

impl Store {
    /// Opens or creates a database, for this model or for the model it was created with.
    pub fn open(path: &Path, model: Option<&str>) -> Result<Self> {
        register_sqlite_vec()?;
        let failed = |e: rusqlite::Error| format!("{}: {e}", path.display());
        let db = Connection::open(path).map_err(failed)?;
        db.execute_batch(SCHEMA).map_err(failed)?;
        db.execute("INSERT OR IGNORE INTO store (id, model) VALUES (1, ?1)", [MODEL])?;
        if let Some(model) = model {
            db.execute("UPDATE store SET model = ?1 WHERE NOT EXISTS (SELECT 1 FROM video)", [model])?;
        }
        let own: String = db.query_row("SELECT model FROM store", [], |row| row.get(0))?;
        match model.filter(|model| *model != own) {
            Some(model) => Err(format!(
                "{} has vectors of {own}, which cannot be compared with those of {model}: use --db for another file",
                path.display()
            )
            .into()),
            None => Ok(Store { db, path: path.into(), model: own }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the state of this version of a video.
    pub fn known(&self, video: &Video) -> Result<Known> {
        let sql = "SELECT task_id FROM video WHERE path = ?1 AND size = ?2 AND modified = ?3";
        let task_id = self.db.query_row(sql, params![video.path, video.size, video.modified], |row| row.get(0));
        Ok(match task_id.optional()? {
            None => Known::No,
            Some(None) => Known::Done,
            Some(Some(task_id)) => Known::Task(task_id),
        })
    }

    /// Records that a task embeds a video. The clips of an earlier version stay until the task is done.
    pub fn begin(&self, video: &Video, asset_id: &str, task_id: &str) -> Result {
        let sql = "INSERT INTO video (path, size, modified, asset_id, task_id) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (path) DO UPDATE SET size = ?2, modified = ?3, asset_id = ?4, task_id = ?5";
        self.db.execute(sql, params![video.path, video.size, video.modified, asset_id, task_id])?;
        Ok(())
    }

    pub fn asset_id(&self, video: &Video) -> Result<String> {
        Ok(self.db.query_row("SELECT asset_id FROM video WHERE path = ?1", [&video.path], |row| row.get(0))?)
    }

    /// Forgets a video whose task failed.
    pub fn forget(&mut self, video: &Video) -> Result {
        let transaction = self.db.transaction()?;
        remove_clips(&transaction, video)?;
        transaction.execute("DELETE FROM video WHERE path = ?1", [&video.path])?;
        Ok(transaction.commit()?)
    }

    /// Replaces the clips of a video, all or none, and returns their number.
    pub fn keep(&mut self, video: &Video, records: &[EmbeddingRecord]) -> Result<usize> {
        for record in records {
            self.expect_dimension(record.dimension)?;
        }
        let transaction = self.db.transaction()?;
        if let Some(record) = records.first() {
            let dimension = record.dimension;
            transaction.execute("UPDATE store SET dimension = ?1", [i64::try_from(dimension)?])?;
            transaction.execute_batch(&format!(
                "CREATE VIRTUAL TABLE IF NOT EXISTS vector
                 USING vec0 (embedding float[{dimension}] distance_metric=cosine)"
            ))?;
        }
        remove_clips(&transaction, video)?;
        let mut clip = transaction
            .prepare("INSERT INTO clip (video_id, start_sec, end_sec) SELECT id, ?2, ?3 FROM video WHERE path = ?1")?;
        let mut vector = transaction.prepare("INSERT INTO vector (rowid, embedding) VALUES (?1, ?2)")?;
        for record in records {
            let id = clip.insert(params![video.path, record.data.start_sec, record.data.end_sec])?;
            vector.execute(params![id, bytes(&record.data.embedding)])?;
        }
        drop((clip, vector));
        transaction.execute("UPDATE video SET task_id = NULL WHERE path = ?1", [&video.path])?;
        transaction.commit()?;
        Ok(records.len())
    }

    /// Finds the clips that are most similar to a vector, the most similar first.
    pub fn nearest(&self, vector: &[f32], most: u32) -> Result<Vec<Hit>> {
        if self.dimension()?.is_none() {
            return Ok(Vec::new());
        }
        self.expect_dimension(vector.len())?;
        let mut sql = self.db.prepare(
            "WITH nearest AS (SELECT rowid, distance FROM vector WHERE embedding MATCH ?1 AND k = ?2)
             SELECT path, coalesce(start_sec, 0.0), coalesce(end_sec, 0.0), 1 - distance
             FROM nearest JOIN clip ON clip.id = nearest.rowid JOIN video ON video.id = clip.video_id
             ORDER BY distance, path, start_sec",
        )?;
        let hits = sql.query_map(params![bytes(vector), most], |row| {
            Ok(Hit { path: row.get(0)?, start: row.get(1)?, end: row.get(2)?, similarity: row.get(3)? })
        })?;
        Ok(hits.collect::<Result<_, _>>()?)
    }

    fn dimension(&self) -> Result<Option<usize>> {
        let dimension: Option<i64> = self.db.query_row("SELECT dimension FROM store", [], |row| row.get(0))?;
        Ok(dimension.map(TryInto::try_into).transpose()?)
    }

    fn expect_dimension(&self, dimension: usize) -> Result {
        match self.dimension()? {
            Some(own) if own != dimension => {
                let path = self.path.display();
                Err(format!("the vectors in {path} have {own} numbers, but this one has {dimension}").into())
            }
            _ => Ok(()),
        }
    }
}

fn remove_clips(db: &Connection, video: &Video) -> Result {
    let ids = "SELECT clip.id FROM clip JOIN video ON video.id = clip.video_id WHERE path = ?1";
    let ids: Vec<i64> = db.prepare(ids)?.query_map([&video.path], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in ids {
        db.execute("DELETE FROM vector WHERE rowid = ?1", [id])?;
        db.execute("DELETE FROM clip WHERE id = ?1", [id])?;
    }
    Ok(())
}

/// Encodes a vector for `sqlite-vec`.
fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// Registers `sqlite-vec` for every connection that is opened from now on. It may be called more than once.
///
/// SQLite takes a function pointer that Rust cannot check, and `sqlite-vec` declares its function without its
/// parameters. This is the only `unsafe` in the example.
#[allow(unsafe_code)]
fn register_sqlite_vec() -> Result {
    let function = sqlite_vec::sqlite3_vec_init as *const ();
    // SAFETY: in C, the function is `int sqlite3_vec_init(sqlite3 *, char **, const sqlite3_api_routines *)`, as SQLite
    // requires.
    unsafe { register_auto_extension(std::mem::transmute::<*const (), RawAutoExtension>(function)) }?;
    Ok(())
}
