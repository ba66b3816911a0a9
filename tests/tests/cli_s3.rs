//! Images in an S3 server: read as from a folder, with credentials and without, and what is said where there are none.

mod cli;
mod served;

use cli::{Bench, Ran, repository};
use serde_json::Value;
use served::python::Served;

const V2: &str = "ome-zarr-0.4.zarr";
const V3: &str = "ome-zarr-0.5-sharded.zarr";
const BUCKET: &str = "images";

/// A bench with a server that has the bundled images.
struct Bucket {
    bench: Bench,
    server: Served,
}

impl Bucket {
    fn new() -> Option<Bucket> {
        let bench = Bench::new()?;
        let fixtures = repository().join("fixtures");
        let server = Served::start("s3_server.py", &[fixtures.to_str().unwrap(), BUCKET])?;
        Some(Bucket { bench, server })
    }

    /// The command with what it needs to be let in.
    fn command(&self, line: &str) -> std::process::Command {
        let mut command = self.bench.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("AWS_ENDPOINT_URL", self.server.says["endpoint"].as_str().unwrap());
        command.env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "canary-secret");
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    fn json(&self, line: &str) -> Value {
        let ran = self.run(&format!("{line} --json"));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

fn url(name: &str) -> String {
    format!("s3://{BUCKET}/{name}")
}

#[test]
fn images_in_a_bucket_are_read_as_from_a_folder() {
    let Some(bucket) = Bucket::new() else { return };
    for name in [V2, V3] {
        let there = bucket.json(&format!("checksum {}", url(name)));
        assert_eq!(there["scenes"], bucket.bench.json(&format!("checksum fixtures/{name}"))["scenes"]);
        let verified = bucket.json(&format!("verify {} fixtures/{name}", url(name)));
        assert_eq!(verified["equal"], true, "{verified}");
        let inspected = bucket.json(&format!("inspect {}", url(name)));
        assert_eq!(inspected["path"], url(name).as_str());
    }
    let missing = bucket.run(&format!("inspect {}", url("none.zarr")));
    assert!(missing.code == 4 && missing.stderr.contains("404"), "{}", missing.stderr);
}

#[test]
fn folders_without_metadata_of_their_own_are_listed_in_a_bucket() {
    let Some(bucket) = Bucket::new() else { return };
    // The bucket's own top is no group; the image below it has no document but those of its levels.
    let mut bucket = bucket;
    bucket.server.ask(&format!("delete {V2}/.zattrs"));
    let there = bucket.json(&format!("inspect {}", url(V2)));
    assert_eq!(there["scenes"].as_array().unwrap().len(), 2, "each level is an array now: {there}");
}

#[test]
fn who_may_not_is_told_what_to_set_and_no_secret_is_told() {
    let Some(bucket) = Bucket::new() else { return };
    let mut command = bucket.command(&format!("inspect {}", url(V2)));
    let plain = Ran::of(command.env_remove("AWS_ALLOW_HTTP"));
    assert!(plain.code == 4 && plain.stderr.contains("AWS_ALLOW_HTTP=true"), "{}", plain.stderr);
    let forbidding = served::Server::playing(&bucket.bench.path(""), |_| Some(served::Trick::Status(403)));
    let mut command = bucket.command(&format!("inspect {}", url(V2)));
    let forbidden = Ran::of(command.env("AWS_ENDPOINT_URL", &forbidding.url));
    assert_eq!(forbidden.code, 4);
    for words in ["HTTP status 403", "AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "s3:ListBucket"] {
        assert!(forbidden.stderr.contains(words), "{words}: {}", forbidden.stderr);
    }
    let anonymous = Ran::of(
        bucket
            .command(&format!("inspect {} --log-level trace", url(V2)))
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env("AWS_SKIP_SIGNATURE", "true"),
    );
    assert_eq!(anonymous.code, 0, "{}", anonymous.stderr);
    let traced = bucket.run(&format!("inspect {} --log-level trace", url(V2)));
    assert_eq!(traced.code, 0, "{}", traced.stderr);
    for ran in [plain, forbidden, traced] {
        assert!(!ran.stderr.contains("canary-secret") && !ran.stdout.contains("canary-secret"));
    }
}
