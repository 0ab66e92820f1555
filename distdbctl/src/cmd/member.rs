//! `member`: who belongs to the cluster, and who leads it.

use common::control::cluster::{MemberChanged, Transferred};
use common::control::request::{MemberChange, Request};

use crate::args::command::cluster::{Change, Member};
use crate::client::Client;
use crate::cmd::status;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn member(
    client: &Client,
    member: Member,
    output: &mut Output,
) -> Result<Exit, Problem> {
    match member {
        Member::List => status::members(client, output),
        Member::Remove(change) => change_member(client, MemberChange::Remove, change, output),
        Member::Promote(change) => change_member(client, MemberChange::Promote, change, output),
        Member::Transfer { member } => transfer(client, member, output),
    }
}

fn change_member(
    client: &Client,
    change: MemberChange,
    Change { member, dry_run }: Change,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let reply: MemberChanged = client.ask(&Request::Member { change, member, dry_run })?;
    if output.is_json() {
        output.json(&reply)?;
    } else {
        output.line(reply.summary.as_bytes())?;
    }
    Ok(if dry_run && !reply.safe { Exit::FOUND_SOMETHING } else { Exit::DONE })
}

fn transfer(client: &Client, member: Option<String>, output: &mut Output) -> Result<Exit, Problem> {
    let reply: Transferred = client.ask(&Request::TransferLeader { member })?;
    if output.is_json() {
        output.json(&reply)?;
    } else {
        output.line(reply.leader.as_str().as_bytes())?;
    }
    Ok(Exit::DONE)
}
