//! A client's headers as JSON, `[["name","value"], …]` in its order: one column, and any text can be in it.

use crate::message::ClientHeaders;
use crate::store::StoreError;

/// None if there are none.
pub(in crate::store) fn headers_to_json(headers: &ClientHeaders) -> Result<Option<String>, StoreError> {
    if headers.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(headers).map(Some).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(in crate::store) fn headers_from_json(json: Option<&str>) -> Result<ClientHeaders, StoreError> {
    let Some(json) = json else { return Ok(ClientHeaders::default()) };
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(format!("headers are not what was written: {error}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_come_back_as_they_were(pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..8)) {
            let headers: ClientHeaders = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let json = headers_to_json(&headers).unwrap();
            prop_assert_eq!(headers_from_json(json.as_deref()).unwrap(), headers);
        }
    }

    #[test]
    fn headers_that_were_tampered_with_are_corrupt() {
        assert!(matches!(headers_from_json(Some("{\"a\":1}")), Err(StoreError::Corrupt(_))));
    }
}
