//! Whether a node answers at the address that it told.

use common::identity::NodeId;
use common::peer::hello::Purpose;

use crate::peers::handshake::{self, HandshakeError};
use crate::peers::{PeerInput, Shared};

/// Dials, and tells the driver what came of it. Nothing else changes, here or there.
pub(crate) fn start(node: NodeId, address: String, shared: Shared) {
    tokio::spawn(async move {
        let outcome = verify(node, &address, &shared).await.map_err(|error| error.to_string());
        let _ = shared.inputs.send(PeerInput::Verified { node, outcome }).await;
    });
}

async fn verify(node: NodeId, address: &str, shared: &Shared) -> Result<(), HandshakeError> {
    let ours = shared.view().with_purpose(Purpose::Verify);
    let (_, theirs, _) = handshake::dial(address, &ours).await?;
    if shared.faults.is_cut_off(&theirs.name) {
        return Err(HandshakeError::Fault);
    }
    handshake::expect(&theirs, node)
}
