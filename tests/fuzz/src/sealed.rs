//! Checksums that are right, whatever they are of.

/// A frame of peers of that kind.
pub(crate) fn peer_frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let checked = [&[1, kind], payload].concat();
    let length = u32::try_from(checked.len() + 4).expect("short");
    let crc = crc32fast::hash(&checked);
    [&length.to_le_bytes(), &crc.to_le_bytes(), checked.as_slice()].concat()
}

/// A frame of a snapshot.
pub(crate) fn snapshot_frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    let crc = crc32fast::hash(payload);
    [&length.to_le_bytes(), &crc.to_le_bytes(), payload].concat()
}

/// The end of a snapshot of so many items.
pub(crate) fn snapshot_end(items: u64) -> Vec<u8> {
    [0_u32.to_le_bytes().as_slice(), &items.to_le_bytes()].concat()
}
