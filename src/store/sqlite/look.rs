//! What `footfall check --connect` finds: a look at the file, which makes none and changes nothing.

use std::ffi::OsStr;
use std::path::Path;

use sqlx::{ConnectOptions, Connection};

use super::error::failed;
use super::{SqliteSettings, in_time, open};
use crate::store::{Looked, Schema, StoreError};

pub(super) async fn look(settings: &SqliteSettings) -> Result<Looked, StoreError> {
    let found = |schema| Looked { place: settings.path.display().to_string(), schema, warnings: Vec::new() };
    if !settings.path.exists() {
        return Ok(found(Schema::Absent));
    }
    // Who only reads still makes these two files if they are not there, and leaves them. They are there while a node has the
    // file open, or after one died; without them all there is lies in the file itself.
    let in_use = ["-wal", "-shm"].into_iter().all(|end| beside(&settings.path, end.as_ref()).exists());
    let options = open::options(settings).read_only(true).immutable(!in_use);
    let schema = in_time(async {
        let mut connection = options.connect().await.map_err(failed)?;
        let schema = open::schema(&mut connection).await;
        connection.close().await.map_err(failed)?;
        schema
    });
    Ok(found(schema.await?))
}

fn beside(path: &Path, end: &OsStr) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
