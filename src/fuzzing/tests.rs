//! Runs the fuzz targets on the inputs in `fuzz/corpus` and on random variants of them.

use std::fs;
use std::path::Path;

use super::*;

/// The number of variants of each input, and the smaller number for targets that write to disk.
const VARIANTS: usize = 200;
const VARIANTS_ON_DISK: usize = 20;

/// A random number generator that yields the same numbers in each run.
struct Chance(u64);

impl Chance {
    /// Returns a number below this one.
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }

    /// Changes a few bytes of an input.
    fn change(&mut self, data: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(data.len() + 1);
            let end = (at + self.below(9)).min(data.len());
            match self.below(5) {
                0 => data.truncate(at),
                1 => drop(data.drain(at..end)),
                2 => data.insert(at, self.below(256) as u8),
                3 => data.insert(at, b"\n\r\0 \"{}[],:&<>-%=09\xff"[self.below(20)]),
                _ => {
                    let part = data[at..end].to_vec();
                    let place = self.below(data.len() + 1);
                    data.splice(place..place, part);
                }
            }
        }
    }
}

/// Runs a target on its corpus, which a packaged crate does not contain.
fn replay(name: &str, target: impl Fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        eprintln!("there is no folder fuzz/: the corpus of {name} is NOT replayed");
        return;
    }
    let variants = if name == "manifest" { VARIANTS_ON_DISK } else { VARIANTS };
    let mut chance = Chance(0x5eed);
    let mut seeds: Vec<_> =
        fs::read_dir(fuzz.join("corpus").join(name)).unwrap().map(|file| file.unwrap().path()).collect();
    seeds.sort();
    assert!(seeds.len() > 3, "{name} has too few seeds");
    for seed in seeds {
        let data = fs::read(&seed).unwrap();
        for n in 0..=variants {
            let mut data = data.clone();
            if n > 0 {
                chance.change(&mut data);
            }
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&data))).is_err() {
                panic!("{}, variant {n}: {}", seed.display(), data.escape_ascii());
            }
        }
    }
}

macro_rules! replayed {
    ($($name:ident: $target:expr,)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), $target);
            }
        )*

        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
    };
}

replayed! {
    decode: super::decode,
    events: super::events,
    head: super::head,
    manifest: super::manifest,
    multipart: |data| super::multipart(data, form::parse),
    refusal: super::refusal,
    subtitles: super::subtitles,
}

#[test]
fn every_target_is_replayed() {
    let Ok(package) = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")) else { return };
    let targets = package.split("[[bin]]\n").skip(1).filter_map(|bin| bin.strip_prefix("name = \"")?.split('"').next());
    assert_eq!(targets.collect::<Vec<_>>(), REPLAYED);
}
