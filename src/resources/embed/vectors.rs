//! Vectors: storing, comparing and averaging them.

use serde::{Deserialize, Serialize};

use super::{EmbeddingData, EmbeddingSuccessResponse, EmbeddingTask};
use crate::error::{Error, Result};

/// A vector with everything needed to identify it, ready to be stored as a line of a JSON Lines file or a row of a
/// table.
///
/// ```no_run
/// use std::io::Write;
/// use twelvelabs::embed::EmbeddingRecord;
///
/// # fn keep(client: &twelvelabs::TwelveLabs) -> Result<(), Box<dyn std::error::Error>> {
/// let task = client.embed().v2().tasks().wait_for_done("66f…").send()?;
/// let mut file = std::fs::File::create("vectors.jsonl")?;
/// for record in task.into_records("65f…", "marengo3.5")? {
///     writeln!(file, "{}", serde_json::to_string(&record)?)?;
/// }
///
/// let text = std::fs::read_to_string("vectors.jsonl")?;
/// let records: Vec<EmbeddingRecord> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingRecord {
    /// A unique id: the asset, the model, and the index of the vector in the response, from 0.
    pub id: String,
    /// The id of the asset, or another name for what was embedded.
    pub asset_id: String,
    /// The model. Vectors from different models cannot be compared, even if they have the same length.
    pub model_name: String,
    /// The number of elements in the vector.
    pub dimension: usize,
    /// The vector and the part of the asset that it describes. In JSON, these fields are on the same level as the
    /// others.
    #[serde(flatten)]
    pub data: EmbeddingData,
}

impl EmbeddingRecord {
    /// Computes the cosine similarity of two vectors: see [`cosine_similarity`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the vectors come from different models, and the errors of [`cosine_similarity`].
    pub fn similarity(&self, other: &Self) -> Result<f32> {
        if self.model_name != other.model_name {
            let (a, b) = (&self.model_name, &other.model_name);
            return Err(refused(format!("come from different models, `{a}` and `{b}`, and cannot be compared")));
        }
        cosine_similarity(&self.data.embedding, &other.data.embedding)
    }
}

fn records(data: Vec<EmbeddingData>, asset_id: String, model_name: String) -> Vec<EmbeddingRecord> {
    let record = |(n, data): (usize, EmbeddingData)| EmbeddingRecord {
        id: format!("{asset_id}/{model_name}/{n}"),
        asset_id: asset_id.clone(),
        model_name: model_name.clone(),
        dimension: data.embedding.len(),
        data,
    };
    data.into_iter().enumerate().map(record).collect()
}

impl EmbeddingSuccessResponse {
    /// Returns the only vector: that of a text, an image, or several inputs embedded together.
    ///
    /// ```no_run
    /// use twelvelabs::embed::EmbedInput;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let vector = client.embed().v2().create(EmbedInput::text("a dog"), "marengo3.0").send()?.into_embedding()?;
    /// println!("{} dimensions", vector.len());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOutput`] if there is no vector, if it is empty, or if there is more than one, as for a video. In
    /// that case, read them from [`data`](Self::data).
    pub fn into_embedding(self) -> Result<Vec<f32>> {
        let message = match <[EmbeddingData; 1]>::try_from(self.data) {
            Ok([data]) if data.embedding.is_empty() => "the embedding in the response has no numbers".into(),
            Ok([data]) => return Ok(data.embedding),
            Err(data) => format!("the response has {} embeddings instead of one; read them from `data`", data.len()),
        };
        Err(Error::InvalidOutput { message, text: String::new() })
    }

    /// Turns the vectors into records that name the asset and the model, for storing them.
    pub fn into_records(self, asset_id: impl Into<String>, model_name: impl Into<String>) -> Vec<EmbeddingRecord> {
        records(self.data, asset_id.into(), model_name.into())
    }
}

impl EmbeddingTask {
    /// Turns the vectors into records that name the asset and the model, for storing them.
    ///
    /// # Errors
    ///
    /// [`Error::NotReady`] if the task has no vectors yet.
    pub fn into_records(
        self,
        asset_id: impl Into<String>,
        model_name: impl Into<String>,
    ) -> Result<Vec<EmbeddingRecord>> {
        match self.data {
            Some(data) => Ok(records(data, asset_id.into(), model_name.into())),
            None => Err(Error::NotReady {
                resource: "embedding task".into(),
                status: self.status.map(|status| status.to_string()).unwrap_or_default(),
                message: "it has no embeddings; wait for it with `tasks().wait_for_done(…)`".into(),
            }),
        }
    }
}

/// Computes the cosine similarity of two vectors: 1 if they point in the same direction, 0 if they are orthogonal, and
/// -1 if they point in opposite directions.
///
/// Only vectors from the same model can be compared; [`EmbeddingRecord::similarity`] checks that.
///
/// ```
/// use twelvelabs::embed::cosine_similarity;
///
/// assert_eq!(cosine_similarity(&[1.0, 0.0], &[2.0, 0.0])?, 1.0);
/// assert_eq!(cosine_similarity(&[1.0, 0.0], &[0.0, 3.0])?, 0.0);
/// assert!(cosine_similarity(&[1.0, 0.0], &[1.0]).is_err());
/// # Ok::<(), twelvelabs::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidArgument`] if the vectors differ in length (they come from different models, or from different
/// values of `embedding_dimension`), or if one has no direction because it is zero or not finite.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> Result<f32> {
    same_length(a.len(), b.len())?;
    Ok((dot(a, b) / (length(a)? * length(b)?)) as f32)
}

/// Scales a vector to length 1.
///
/// ```
/// use twelvelabs::embed::normalize;
///
/// assert_eq!(normalize(&[3.0, 4.0])?, [0.6, 0.8]);
/// # Ok::<(), twelvelabs::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidArgument`] if the vector has no direction because it is zero or not finite.
pub fn normalize(vector: &[f32]) -> Result<Vec<f32>> {
    let length = length(vector)?;
    Ok(vector.iter().map(|number| (f64::from(*number) / length) as f32).collect())
}

/// Computes the element-wise mean of vectors, such as one vector for a video from those of its clips. [`normalize`] it
/// before comparing it by dot product.
///
/// ```
/// use twelvelabs::embed::mean;
///
/// assert_eq!(mean([[1.0, 0.0], [0.0, 1.0]])?, [0.5, 0.5]);
/// # Ok::<(), twelvelabs::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there is no vector, or if the vectors differ in length.
pub fn mean(vectors: impl IntoIterator<Item = impl AsRef<[f32]>>) -> Result<Vec<f32>> {
    let (mut sum, mut count) = (Vec::new(), 0.0);
    for vector in vectors {
        let vector = vector.as_ref();
        if count == 0.0 {
            sum = vec![0.0; vector.len()];
        }
        same_length(sum.len(), vector.len())?;
        sum.iter_mut().zip(vector).for_each(|(sum, number)| *sum += f64::from(*number));
        count += 1.0;
    }
    if count == 0.0 {
        return Err(refused("are empty; give at least one".into()));
    }
    Ok(sum.iter().map(|sum| (sum / count) as f32).collect())
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn length(vector: &[f32]) -> Result<f64> {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 && length.is_finite() {
        return Ok(length);
    }
    Err(refused("must be finite and not zero".into()))
}

fn same_length(a: usize, b: usize) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(refused(format!(
        "must have the same length, not {a} and {b}; do they come from different models, or from different values of `embedding_dimension`?"
    )))
}

fn refused(why: String) -> Error {
    Error::invalid("vectors", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::decode::from_json;
    use crate::types::VideoSegment;
    use serde_json::{Value, json};

    fn answer() -> EmbeddingSuccessResponse {
        let clip = |start: f64| {
            json!({
                "embedding": [1.0, start], "embedding_option": "visual", "embedding_scope": "clip",
                "start_sec": start, "end_sec": start + 6.0,
            })
        };
        serde_json::from_value(json!({"data": [clip(0.0), clip(6.0)]})).unwrap()
    }

    #[test]
    fn vectors_are_kept_as_json_lines() {
        let records = answer().into_records("65f", "marengo3.5");
        let lines: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        let line: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(
            line,
            json!({
                "id": "65f/marengo3.5/1", "asset_id": "65f", "model_name": "marengo3.5", "dimension": 2,
                "embedding": [1.0, 6.0], "embedding_option": "visual", "embedding_scope": "clip",
                "start_sec": 6.0, "end_sec": 12.0,
            })
        );
        assert!(lines.iter().all(|line| !line.contains('\n')));
        let read: Vec<EmbeddingRecord> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, records);
    }

    #[test]
    fn a_number_that_is_too_large_is_an_error() {
        let read = |json: &str| from_json::<EmbeddingSuccessResponse>(json.as_bytes());
        let e = read(r#"{"data": [{"embedding": [1.0]}, {"embedding": [1.0, 1e39]}]}"#).unwrap_err();
        assert_eq!(e, "`data[1].embedding`: a number of the vector is out of range");
        let e = read(r#"{"data": [{"embedding": [1.0], "embedding_uncertainty": [1e39]}]}"#).unwrap_err();
        assert_eq!(e, "`data[0].embedding_uncertainty`: a number of the vector is out of range");
        assert!(read(r#"{"data": [{"embedding": null}]}"#).is_err());
        let segment = from_json::<VideoSegment>(br#"{"float": [-1e39], "start_offset_sec": 6}"#);
        assert_eq!(segment.unwrap_err(), "`float`: a number of the vector is out of range");
        assert_eq!(from_json::<VideoSegment>(b"{}").unwrap(), VideoSegment::default());
    }

    #[test]
    fn an_embedding_is_complete_or_an_error() {
        for (vectors, at) in [
            (r#"[{"embedding": [[0.1, 0.2]]}]"#, "`data[0].embedding[0]`"),
            (r#"[{"embedding": [null, null]}]"#, "`data[0].embedding[0]`"),
            (r#"[{"embedding": [0.1]}, null]"#, "`data[1]`"),
            ("[1, 2]", "`data[0]`"),
            (r#"[{"embedding": [0.1]}, {"embedding": ["?"]}, {"embedding": [0.3]}]"#, "`data[1].embedding[0]`"),
            (r#"[{"embedding": [0.1]}, {}]"#, "`data[1]`: missing field `embedding`"),
        ] {
            let response = from_json::<EmbeddingSuccessResponse>(format!(r#"{{"data": {vectors}}}"#).as_bytes());
            let e = response.unwrap_err();
            assert!(e.starts_with(at), "{vectors}: {e}");
            let task = format!(r#"{{"_id": "1", "status": "ready", "data": {vectors}}}"#);
            let e = from_json::<EmbeddingTask>(task.as_bytes()).unwrap_err();
            assert!(e.starts_with(at), "{vectors}: {e}");
        }
    }

    #[test]
    fn vectors_of_two_models_are_not_compared() {
        let records = answer().into_records("65f", "marengo3.0");
        assert_eq!(records[0].similarity(&records[0]).unwrap(), 1.0);
        let other = answer().into_records("65f", "marengo3.5");
        let e = records[0].similarity(&other[0]).unwrap_err().to_string();
        assert!(e.contains("`marengo3.0` and `marengo3.5`"), "{e}");
    }

    #[test]
    fn into_embedding_requires_exactly_one_vector() {
        let mut answer = answer();
        assert!(answer.clone().into_embedding().unwrap_err().to_string().contains("2 embeddings"));
        answer.data.truncate(1);
        assert_eq!(answer.clone().into_embedding().unwrap(), [1.0, 0.0]);
        let mut empty = answer.clone();
        empty.data[0].embedding.clear();
        assert!(empty.into_embedding().unwrap_err().to_string().starts_with("the embedding in the response has no"));
        answer.data.clear();
        assert!(answer.into_embedding().unwrap_err().to_string().starts_with("the response has 0 embeddings"));
    }

    #[test]
    fn invalid_vectors_are_an_error() {
        let none: [&[f32]; 0] = [];
        let errors = [
            cosine_similarity(&[1.0, 2.0], &[1.0]).map(drop),
            cosine_similarity(&[0.0], &[1.0]).map(drop),
            cosine_similarity(&[f32::NAN], &[1.0]).map(drop),
            normalize(&[0.0, 0.0]).map(drop),
            normalize(&[f32::INFINITY]).map(drop),
            normalize(&[]).map(drop),
            mean(none).map(drop),
            mean([vec![1.0], vec![1.0, 2.0]]).map(drop),
        ];
        for (n, error) in errors.into_iter().enumerate() {
            let e = error.expect_err(&format!("case {n}"));
            assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "vectors"), "{n}: {e}");
        }
        // Squares that `f32` cannot hold.
        let large = 2.0_f32.powi(100);
        assert_eq!(normalize(&[3.0 * large, 4.0 * large]).unwrap(), [0.6, 0.8]);
        assert_eq!(mean([[f32::MAX], [f32::MAX]]).unwrap(), [f32::MAX]);
    }
}
