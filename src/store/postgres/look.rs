//! What `footfall check --connect` finds: a look at the server and the schema, which changes nothing and waits for nobody.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use tokio::time::timeout;

use super::error::failed;
use super::open::{CONNECT_WITHIN, place, schema, why};
use crate::store::{Looked, StoreError};

pub(super) async fn look(options: &PgConnectOptions) -> Result<Looked, StoreError> {
    let place = place(options);
    let looked = timeout(CONNECT_WITHIN, reached(options, &place)).await.unwrap_or_else(|late| Err(StoreError::Late(Box::new(late))));
    looked.map_err(|failure| StoreError::Unusable(format!("{place}: {}", why(&failure))))
}

async fn reached(options: &PgConnectOptions, place: &str) -> Result<Looked, StoreError> {
    let mut connection = options.connect().await.map_err(failed)?;
    let schema = schema(&mut connection).await?;
    let warnings = warnings(&mut connection).await?;
    // The server notices in any case.
    drop(connection.close().await);
    Ok(Looked { place: place.to_owned(), schema, warnings })
}

/// By what the server gives to a connection that asks for nothing.
async fn warnings(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let row = sqlx::query(
        "SELECT current_setting('synchronous_commit') = 'off', current_setting('fsync') = 'off',
            current_setting('transaction_read_only') = 'on'",
    )
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    let sentences = [
        "synchronous_commit is off: a crash of the server forgets what it had just committed. Footfall turns it on for its own \
         connections, but other writers of this database lose data.",
        "fsync is off: what was stored does not outlive a crash of the server's machine.",
        "The database can only be read, as a standby's is: nothing can be stored there.",
    ];
    let mut warnings = Vec::new();
    for (column, sentence) in sentences.into_iter().enumerate() {
        if row.try_get(column).map_err(failed)? {
            warnings.push(sentence.to_owned());
        }
    }
    Ok(warnings)
}
