// An independent form parser. It is included by the tests and by the fuzz target instead of being a module of the
// crate, because it would add a dependency to the crate.

/// Returns the name, the file name and the content of each field.
pub fn parse(content_type: &str, body: &[u8], step: usize) -> Vec<(Option<String>, Option<String>, Vec<u8>)> {
    let boundary = multer::parse_boundary(content_type).expect("a boundary");
    let pieces: Vec<_> = body.chunks(step).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let mut form = multer::Multipart::new(futures_util::stream::iter(pieces), boundary);
    let mut found = Vec::new();
    pollster::block_on(async {
        while let Some(field) = form.next_field().await.expect("a field") {
            let (name, file) = (field.name().map(String::from), field.file_name().map(String::from));
            found.push((name, file, field.bytes().await.expect("its content").to_vec()));
        }
    });
    found
}
