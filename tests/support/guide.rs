// What the examples of the guide begin with, as an expression: a client of a stand-in, an asset that is in an index, the ids
// of both, and what goes away in the end, which is the stand-in and the folder with the files.
{
    use std::path::PathBuf;
    use twelvelabs::indexes::IndexModelInput;
    use twelvelabs::testing::StandIn;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::env::set_current_dir(std::env::temp_dir());
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    let folder = Folder(std::env::temp_dir().join(format!("twelvelabs-guide-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    std::env::set_current_dir(&folder.0).unwrap();
    for file in ["a.mp4", "b.mp4", "beach.jpg", "coat.jpg", "dog.jpg", "holiday.mp4", "match.mp4"] {
        std::fs::write(file, file).unwrap();
    }

    let stand_in = StandIn::start();
    let client = stand_in.client();
    let asset = client.assets().upload("holiday.mp4").send().unwrap();
    let model = IndexModelInput::new("marengo3.0", ["visual", "audio"]);
    let index = client.indexes().create("films", [model]).send().unwrap();
    let videos = client.indexes().indexed_assets();
    let video = videos.create(&index.id, &asset.id).send().unwrap();
    videos.wait_for_done(&index.id, &video.id).send().unwrap();
    (client, &*asset.id.leak(), &*index.id.leak(), (stand_in, folder))
}
